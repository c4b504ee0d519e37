#!lua flags=allow-oom
-- uses clock, common
-- Notes that somebody watches a generation that ends where nobody does. It overwrites a small field: it may be done in a full Redis,
-- where viewers go on reading.
--
-- KEYS  record
-- Returns 1, or 0 if there is no such generation, or none that would end so, or if it has ended.
local r = redis.call('HMGET', KEYS[1], 'state', 'abandon_ms')
if not r[1] or not r[2] or TERMINAL[r[1]] then return 0 end
redis.call('HSET', KEYS[1], 'watched_ms', int(now_ms()))
return 1
