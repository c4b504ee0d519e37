#!lua flags=allow-oom
-- uses clock
-- Notes that a view link was revoked, or all links of a generation that were made until now, and tells the APIs. What is noted
-- is forgotten when no link lives any more that was made before. May use memory beyond the limit: who has a link that should
-- not must be shut out when Redis is full, too.
--
-- KEYS  what was revoked
-- ARGV  its name: a generation's id, or that, a slash and the link's; the channel; ms that it is remembered; how many may be
-- Returns when, in ms; or false, if as many are remembered as may be.
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. int(now - tonumber(ARGV[3])))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
  return false
end
redis.call('ZADD', KEYS[1], int(now), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' ' .. int(now))
return int(now)
