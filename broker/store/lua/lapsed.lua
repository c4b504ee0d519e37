#!lua flags=allow-oom
-- Notes in the record that a webhook was not delivered in time, where no worker has tried to for so long that what it tells has gone.
--
-- KEYS  record, webhook
-- ARGV  id of an end, what the record says then, JSON
-- Returns 1 if it has noted that.
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
if redis.call('HGET', KEYS[1], 'terminal_id') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'delivery', ARGV[2])
return 1
