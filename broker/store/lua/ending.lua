-- Shared by the scripts by which a worker ends a generation.

-- What finish does, with its KEYS and ARGV. Returns what it does, and, behind the state that this very call has brought about, the
-- ordinal, ms of the submit, the retention in ms, 1 if a webhook is to tell it, the owner or '', and,
-- if that one is charged for it, its usage and the bytes that are kept of it.
local function finish(K, A, now)
  local r = redis.call('HMGET', K[1], 'state', 'attempt', 'ordinal',
    'created_ms', 'first_ms', 'usage', 'kept', 'others', 'retention_ms', 'durability', 'started_ms', 'cancel', 'cost', 'wasted',
    'owner', 'charged')
  if r[1] and TERMINAL[r[1]] then return { 'ended', r[1] } end
  if r[1] ~= 'running' or r[2] ~= A[2] then return { 'fenced' } end
  local holder, last = tail(K[2])
  if int(holder) ~= A[2] then return { 'fenced' } end
  local seq, withdraw = tonumber(A[3]), A[13]
  -- Of what is withdrawn nothing stays: where it ends does not matter.
  if withdraw == '' and last + 1 < seq then return { 'behind', int(last) } end
  if withdraw == '' and last + 1 > seq then return { 'fenced' } end
  local hooked = seal_at(K, A[1], now,
    { state = A[5], stop_reason = A[6], code = A[7], message = A[8], retryable = A[9] == '1', status = A[10] ~= '' and A[10] or nil, retry_after = A[11],
      measured = A[12] ~= '' and A[12] or nil, withdraw = withdraw },
    tonumber(A[4]), holder, last, { unpack(r, 4, 14) })
  return { 'ended', A[5], tonumber(r[3]), tonumber(r[4]), tonumber(r[9]), hooked, r[15] or '',
    r[16] and (r[6] or '{}'), r[16] and stored(K[1], K[2]) }
end

