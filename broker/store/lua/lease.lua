-- Shared by every script that asks whether an attempt is alive.

local LONGEST_LEASE_MS = 60000  -- what any setting allows; for records that do not say how long theirs is

-- What is left of a record's lease in ms, 0 if it is over. No lease lasts longer than it was granted for: one that seems to was
-- granted before the clock jumped back, and counts, and is written down, as granted just now.
local function lease_left(record, now, lease_until, lease_ms)
  local left, most = tonumber(lease_until or '0') - now, tonumber(lease_ms or LONGEST_LEASE_MS)
  if left <= most then return math.max(0, left) end
  redis.call('HSET', record, 'lease_until', int(now + most))
  return most
end

