-- uses clock, creating
-- Makes the record of a submitted generation. Idempotent: the retry that follows a crash of the API completes the submit.
--
-- KEYS  record, tombstone
-- ARGV  waiting ms, remembered ms, fingerprint of the body if the id is an idempotency key's (else ''), then the model, the
--       request, the retention in ms, the durability, the owner or '', the origin or '', the ms without a viewer after which it
--       counts as abandoned or '', the webhook or ''
-- Returns 'created', 'exists', 'expired' if a record of this id was there and its retention is over, or 'mismatch' if it was
-- made for another body.
return create(KEYS, ARGV, now_ms())
