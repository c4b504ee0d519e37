#!lua flags=allow-oom
-- uses clock
-- Takes an ended generation's log out of Redis, its object being in the archive; what is left of the record is a stub, which
-- expires when the record would have. It may use memory beyond the limit: it frees more.
--
-- KEYS  record, log
-- ARGV  mark of the object, id of the log's last entry, how many it has, ms since the end until which this may be done
-- Returns 'archived' (also if an earlier call of the same did it), or refuses:
--   'gone'      there is no record
--   'changed'   record or log are not what the object was made from: Redis came back without its tail, or another object is
--               named already
--   'late'      so long after the object was announced somebody may take it for an orphan
local r = redis.call('HMGET', KEYS[1], 'state', 'terminal_id', 'finished_ms', 'archived')
if not r[1] then return 'gone' end
if r[4] then return r[4] == ARGV[1] and 'archived' or 'changed' end
if r[2] ~= ARGV[2] or redis.call('XLEN', KEYS[2]) ~= tonumber(ARGV[3]) then return 'changed' end
if now_ms() - tonumber(r[3]) > tonumber(ARGV[4]) then return 'late' end
redis.call('HSET', KEYS[1], 'archived', ARGV[1])
redis.call('HDEL', KEYS[1], 'request', 'attempt', 'lease_ms', 'before', 'kept', 'others', 'reached', 'produced', 'guarded',
  'abandon_ms', 'watched_ms')
redis.call('UNLINK', KEYS[2])
return 'archived'
