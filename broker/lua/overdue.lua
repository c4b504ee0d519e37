-- uses clock
-- Takes generations that somebody should look at now, and puts the next look a while ahead, so that of many sweepers
-- one gets each.
--
-- KEYS  due
-- ARGV  at most so many, ms until the next look, index ms
-- Returns generation ids.
local now = now_ms()
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  redis.call('ZADD', KEYS[1], int(now + tonumber(ARGV[2])), id)
end
if #ids > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return ids
