-- uses clock
-- Makes the record of a submitted generation. Idempotent: the retry that follows a crash of the API completes the submit.
--
-- KEYS  record, was
-- ARGV  waiting ms, remembered ms, then field, value … of the record (created_ms is added here)
-- Returns 'created', 'exists', or 'expired' if a record of this id was there and its retention is over.
if redis.call('EXISTS', KEYS[1]) == 1 then return 'exists' end
if redis.call('EXISTS', KEYS[2]) == 1 then return 'expired' end
redis.call('HSET', KEYS[1], 'state', 'queued', 'created_ms', int(now_ms()), unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], '1', 'PX', int(tonumber(ARGV[1]) + tonumber(ARGV[2])))
return 'created'
