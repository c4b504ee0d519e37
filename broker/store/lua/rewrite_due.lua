-- uses clock
-- Whether a server is to rewrite its append-only file now; who is told so has it do that, and nobody else is told.
--
-- KEYS  when it did last, number of the newest erasure
-- ARGV  ms between two rewrites, at most; the same if something was erased since
-- Returns 1 or 0.
local now = now_ms()
local last, newest = tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(redis.call('GET', KEYS[2]) or '0')
local wait = tonumber(newest > last and ARGV[2] or ARGV[1])
if last <= now and now - last < wait then return 0 end
redis.call('SET', KEYS[1], int(now), 'PX', int(2 * tonumber(ARGV[1])))
return 1
