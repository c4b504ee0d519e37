-- Takes generations that somebody should look at now, and puts the next look a while ahead, so that of many sweepers
-- one gets each.
--
-- KEYS  due
-- ARGV  at most so many, ms until the next look, index ms
-- Returns generation ids.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), id)
end
if #ids > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return ids
