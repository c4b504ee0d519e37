#!lua flags=allow-oom
-- uses clock
-- Tells all APIs of erasures: each reads what is behind the score that it has read last. So scores rise, whatever the clock does.
--
-- KEYS  erased, number of the newest
-- ARGV  ms that one is kept, at most so many, ms that the newest is remembered, then generation ids
local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
local now = now_ms()
local score = math.max(now, tonumber(newest[2] or '0') + 1)
for i = 4, #ARGV do redis.call('ZADD', KEYS[1], int(score + i - 4), ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. int(score - tonumber(ARGV[1])))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], int(score), 'PX', ARGV[3])
