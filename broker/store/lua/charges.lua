-- Shared by the scripts that charge a tenant for its generations.
--
-- The ledger has a charge of each: tokens, of the day of its submit (days since 1970, by UTC), bytes that are stored, and 'r' while
-- the tokens are reserved, 's' when they are settled. Beside it stand its sums: the tokens of one day, and all bytes. A charge is
-- replaced, never added to: whoever settles twice changes nothing, and who settles what Redis has lost puts it back.

local DAY_MS = 86400000

-- Of which day the tokens are, how many, and how many bytes. A new day begins with none; a clock that jumps back over midnight does
-- not begin one, unless it was wrong by more than a day.
local function sums(owner, now)
  local s = redis.call('HMGET', list_of(owner, 'used'), 'day', 'tokens', 'bytes')
  local today, day = math.floor(now / DAY_MS), tonumber(s[1] or '0')
  if today > day or today < day - 1 then return today, 0, tonumber(s[3] or '0') end
  return day, tonumber(s[2]), tonumber(s[3])
end

-- What the ledger has of a generation: {day, tokens, bytes, how}, or nil.
local function charge_of(owner, id)
  local charge = redis.call('HGET', list_of(owner, 'charges'), id)
  if not charge then return nil end
  local day, tokens, bytes, how = string.match(charge, '^(%d+) (%d+) (%d+) (%a)$')
  return { tonumber(day), tonumber(tokens), tonumber(bytes), how }
end

-- Puts one charge in another's place; nil: none.
local function replace(owner, id, before, after, now, index_ms)
  local used, ledger = list_of(owner, 'used'), list_of(owner, 'charges')
  local day, tokens, bytes = sums(owner, now)
  local function add(sign, charge)
    if charge[1] == day then tokens = tokens + sign * charge[2] end
    bytes = bytes + sign * charge[3]
  end
  if before then add(-1, before) end
  if after then add(1, after) end
  redis.call('HSET', used, 'day', int(day), 'tokens', int(math.max(0, tokens)), 'bytes', int(math.max(0, bytes)))
  redis.call('PEXPIRE', used, index_ms)
  if after then
    redis.call('HSET', ledger, id, int(after[1]) .. ' ' .. int(after[2]) .. ' ' .. int(after[3]) .. ' ' .. after[4])
    redis.call('PEXPIRE', ledger, index_ms)
  else
    redis.call('HDEL', ledger, id)
  end
end

-- How many tokens a usage comes to, JSON: all but what the upstream has read from its cache. Nil if that is not known.
local function tokens_of(usage)
  local known, told = pcall(cjson.decode, usage)
  if not known or type(told) ~= 'table' then return nil end
  local all = 0
  for _, name in ipairs({ 'input_tokens', 'cache_creation_input_tokens', 'output_tokens' }) do
    all = all + math.max(0, tonumber(told[name]) or 0)
  end
  return all
end

-- Charges a generation that has ended what it has cost: nothing if it never ran, what was reserved if nobody knows. `usage` is JSON,
-- '{}' where nothing was spent.
local function charge_end(owner, id, created_ms, ran, usage, bytes, now, index_ms)
  local before = charge_of(owner, id)
  local day, reserved = math.floor(created_ms / DAY_MS), 0
  if before then day, reserved = before[1], before[2] end
  local after = { day, ran and (tokens_of(usage) or reserved) or 0, bytes, 's' }
  if before and table.concat(before, ' ') == table.concat(after, ' ') then return end
  replace(owner, id, before, after, now, index_ms)
end

-- Strikes a generation that is there no more. Tokens that it has cost stay spent, and those that were reserved for what a worker had
-- taken: nobody will know what it cost. Those that were reserved for what never ran are given back.
local function strike(owner, id, taken, now, index_ms)
  local before = charge_of(owner, id)
  if not before then return end
  if before[4] == 's' or taken then before = { 0, 0, before[3] } end
  replace(owner, id, before, nil, now, index_ms)
end

