#!lua flags=allow-oom
-- Notes that a strictly durable end is safe, so that nobody has to wait for it again.
--
-- KEYS  record
-- ARGV  id of the end
-- Returns 1, or 0 if the record does not end so: Redis has lost this end.
if redis.call('HGET', KEYS[1], 'terminal_id') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'confirmed', ARGV[1])
return 1
