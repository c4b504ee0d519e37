-- Shared by the scripts that hold a body against the one that an idempotency key came with. A fingerprint is the one to keep, and
-- behind it, with commas between, others that the same body may have been kept under (broker/keyed.py).

local function kept(fingerprint)
  return string.match(fingerprint, '^[^,]*')
end

local function same(made_for, fingerprint)
  return string.find(',' .. fingerprint .. ',', ',' .. made_for .. ',', 1, true) ~= nil
end

