#!lua flags=allow-oom
-- uses clock, lease, cost
-- What a sweeper must know of a generation.
--
-- KEYS  record, webhook, log
-- Returns {state, ordinal, ms of the submit, ms left of the lease, ms left of the record, ms since the end, 1 if a webhook is
-- to tell its end yet, its place in the queue in ms or 0 if that is its submit, ms at which it may start or 0 if it may, its owner
-- or '', and, of one that has ended and whose owner is charged for it, its usage and the bytes that are kept of it}, or {} if there is no
-- record.
local r = redis.call('HMGET', KEYS[1], 'state', 'ordinal', 'created_ms', 'lease_until', 'lease_ms', 'finished_ms',
  'place_ms', 'start_ms', 'owner', 'charged', 'usage')
if not r[1] then return {} end
local now, charged = now_ms(), r[10] and r[6]
return { r[1], tonumber(r[2] or '0'), tonumber(r[3]), lease_left(KEYS[1], now, r[4], r[5]),
  math.max(0, redis.call('PTTL', KEYS[1])), now - tonumber(r[6] or now), redis.call('EXISTS', KEYS[2]),
  tonumber(r[7] or '0'), tonumber(r[8] or '0') > now and tonumber(r[8]) or 0, r[9] or '',
  charged and (r[11] or '{}'), charged and stored(KEYS[1], KEYS[3]) }
