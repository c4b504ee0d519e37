-- Shared by the scripts that make a record.

-- Makes the record of a submitted generation; `K` is {record, tombstone}, `A` begins with create's ARGV. Returns what create does.
local function create(K, A, now)
  local tombstone = redis.call('GET', K[2])
  local made_for = tombstone and string.match(tombstone, '^%d+ (%S+)$')
  if made_for and made_for ~= A[3] then return 'mismatch' end
  if redis.call('EXISTS', K[1]) == 1 then return 'exists' end
  if tombstone then return 'expired' end
  redis.call('HSET', K[1], 'state', 'queued', 'created_ms', int(now), 'model', A[4], 'request', A[5],
    'retention_ms', A[6], 'durability', A[7])
  if A[8] ~= '' then redis.call('HSET', K[1], 'owner', A[8]) end
  if A[9] ~= '' then redis.call('HSET', K[1], 'origin', A[9]) end
  if A[10] ~= '' then redis.call('HSET', K[1], 'abandon_ms', A[10]) end
  if A[11] ~= '' then redis.call('HSET', K[1], 'webhook', A[11]) end
  redis.call('PEXPIRE', K[1], A[1])
  redis.call('SET', K[2], int(now) .. ' ' .. A[3], 'PX', int(tonumber(A[1]) + tonumber(A[2])))
  return 'created'
end

