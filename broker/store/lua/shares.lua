#!lua
-- uses clock
-- Notes how a process shares out among cells what is submitted, and tells how others do and did. The 16 that were noted last are
-- kept.
--
-- KEYS  weights
-- ARGV  the process's own weights, ms that they are remembered
-- Returns all that are remembered, the process's own among them.
local now, remembered_ms = now_ms(), tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], int(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. int(now - remembered_ms))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -17)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)
