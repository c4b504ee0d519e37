-- uses clock
-- Makes the record of a submitted generation. Idempotent: the retry that follows a crash of the API completes the submit.
--
-- KEYS  record, tombstone
-- ARGV  waiting ms, remembered ms, fingerprint of the body if the id is an idempotency key's (else ''), then the model, the
--       request, the retention in ms, the durability, the owner or ''
-- Returns 'created', 'exists', 'expired' if a record of this id was there and its retention is over, or 'mismatch' if it was
-- made for another body.
local tombstone = redis.call('GET', KEYS[2])
local made_for = tombstone and string.match(tombstone, '^%d+ (%S+)$')
if made_for and made_for ~= ARGV[3] then return 'mismatch' end
if redis.call('EXISTS', KEYS[1]) == 1 then return 'exists' end
if tombstone then return 'expired' end
local now = int(now_ms())
redis.call('HSET', KEYS[1], 'state', 'queued', 'created_ms', now, 'model', ARGV[4], 'request', ARGV[5],
  'retention_ms', ARGV[6], 'durability', ARGV[7])
if ARGV[8] ~= '' then redis.call('HSET', KEYS[1], 'owner', ARGV[8]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], now .. ' ' .. ARGV[3], 'PX', int(tonumber(ARGV[1]) + tonumber(ARGV[2])))
return 'created'
