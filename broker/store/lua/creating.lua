-- Shared by the scripts that make a record.

-- Where a generation stands in the queue, if that is not its submit: as if it had been submitted when it may start, and in the
-- background so much later. `start` and `delay` are numbers or nil.
local function place_of(now, start, delay)
  if start or delay then return math.max(now, start or 0) + (delay or 0) end
end

-- Makes the record of a submitted generation; `K` is {record, tombstone}, `A` begins with create's ARGV. Returns what create does.
local function create(K, A, now)
  local tombstone = redis.call('GET', K[2])
  if tombstone and string.find(tombstone, ' erased ', 1, true) then return 'erased' end
  local made_for = tombstone and string.match(tombstone, '^%d+ (%S+)')
  if made_for and not same(made_for, A[3]) then return 'mismatch' end
  if redis.call('EXISTS', K[1]) == 1 then return 'exists' end
  if tombstone then return 'expired' end
  redis.call('HSET', K[1], 'state', 'queued', 'created_ms', int(now), 'model', A[4], 'request', A[5],
    'retention_ms', A[6], 'durability', A[7])
  if A[8] ~= '' then redis.call('HSET', K[1], 'owner', A[8]) end
  if A[9] ~= '' then redis.call('HSET', K[1], 'origin', A[9]) end
  if A[10] ~= '' then redis.call('HSET', K[1], 'abandon_ms', A[10]) end
  if A[11] ~= '' then redis.call('HSET', K[1], 'webhook', A[11]) end
  if A[12] ~= '' then redis.call('HSET', K[1], 'tags', A[12]) end
  if A[15] ~= '' then redis.call('HSET', K[1], 'sealed', A[15]) end
  if A[16] ~= '' then redis.call('HSET', K[1], 'charged', A[16]) end
  local start, delay, life = tonumber(A[13]), tonumber(A[14]), tonumber(A[1])
  local place = place_of(now, start, delay)
  if place then
    redis.call('HSET', K[1], 'place_ms', int(place))
    if delay then redis.call('HSET', K[1], 'priority', 'background') end
    if start then redis.call('HSET', K[1], 'start_ms', A[13]) end
    life = life + math.max(0, (start or 0) - now)
  end
  redis.call('PEXPIRE', K[1], int(life))
  local whose = A[8] ~= '' and ' ' .. A[8] or ''
  redis.call('SET', K[2], int(now) .. ' ' .. kept(A[3]) .. whose, 'PX', int(life + tonumber(A[2])))
  return 'created'
end

