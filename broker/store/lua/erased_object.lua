#!lua flags=allow-oom
-- Notes that the archive has nothing of an erased generation any more.
--
-- KEYS  tombstone
-- ARGV  mark of the object that was erased
local tombstone = redis.call('GET', KEYS[1])
if not tombstone or not string.find(tombstone, '/' .. ARGV[1], 1, true) then return end
redis.call('SET', KEYS[1], (string.gsub(tombstone, '/.*$', '/')), 'KEEPTTL')
