-- uses clock
-- Takes what the archiver should look at now, and puts the next look ahead, so that of many archivers one gets each.
--
-- KEYS  archive
-- ARGV  at most so many, ms until the next look, index ms
-- Returns generations and objects, those first that were due first.
local now = now_ms()
local found = redis.call('ZRANGE', KEYS[1], '-inf', int(now), 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, name in ipairs(found) do redis.call('ZADD', KEYS[1], int(now + tonumber(ARGV[2])), name) end
if #found > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return found
