-- uses clock
-- A worker's sign of life, with how many slots it has for generations; those of workers that give none any more are forgotten.
--
-- KEYS  the host's heartbeat, slots
-- ARGV  the worker's name, its slots, ms that a sign of life counts
local now = now_ms()
redis.call('SET', KEYS[1], '1', 'PX', ARGV[3])
local known = redis.call('HGETALL', KEYS[2])
for i = 1, #known, 2 do
  local until_ms = tonumber(string.match(known[i + 1], '%d+$'))
  if until_ms < now or until_ms > now + 2 * ARGV[3] then redis.call('HDEL', KEYS[2], known[i]) end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. int(now + ARGV[3]))
redis.call('PEXPIRE', KEYS[2], ARGV[3])
