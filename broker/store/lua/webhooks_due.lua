-- uses clock
-- Takes generations whose webhooks are to be tried now, and puts the next try ahead, so that of many workers one gets each.
--
-- KEYS  webhooks
-- ARGV  at most so many, ms until the next try, index ms
-- Returns ms until when nobody else gets them, then the generations, those first that were due first.
local now = now_ms()
local until_ms = int(now + tonumber(ARGV[2]))
local found = redis.call('ZRANGE', KEYS[1], '-inf', int(now), 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, id in ipairs(found) do redis.call('ZADD', KEYS[1], until_ms, id) end
if #found > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
table.insert(found, 1, until_ms)
return found
