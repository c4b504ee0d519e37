#!lua
-- uses clock
-- Notes that a generation waits for its upstream in nobody's hands, and has it looked at when it may be worth taking it again.
--
-- KEYS  due, held
-- ARGV  generation, ms until then, index ms, life of the list in ms
-- Returns nothing.
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', int(now))
redis.call('ZADD', KEYS[2], int(now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZADD', KEYS[1], int(now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return false
