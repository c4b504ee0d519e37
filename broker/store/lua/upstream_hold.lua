#!lua
-- uses clock, budget
-- The calls of a process go on: their permits hold for so long from now, the probe's too. One that had lapsed counts again.
--
-- KEYS  budget, its calls
-- ARGV  ms that a permit holds, life of the budget in ms, then the calls
-- Returns nothing.
local till = int(now_exactly() + ARGV[1])
local probe = redis.call('HGET', KEYS[1], 'probe')
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[2], till, ARGV[i])
  if ARGV[i] == probe then redis.call('HSET', KEYS[1], 'probe_until', till) end
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return false
