-- Shared by the scripts that accept: how much a tenant may ask for. Each begins with `-- uses clock, tenants, pace, charges, limits`.

-- Charges a tenant for a submit, or says why it is refused, and charges nothing. `said` is what it is held against, words with spaces
-- between, '-' for none: the API key; µs between two requests, how many at once; how many may run and wait together; how many may
-- wait; tokens a day, tokens of this one; bytes in all, bytes of this one. '': nothing.
-- Returns nil and, where requests are counted, how many more may come at once and ms until a whole burst may; or the limit, and ms
-- until the same may fare better, 0 if that is not known.
local function charge(owner, said, id, us, index_ms)
  if said == '' then return nil end
  local words, now = {}, math.floor(us / 1000)
  for word in string.gmatch(said, '%S+') do words[#words + 1] = word end
  local key, interval, burst, unfinished, queued, tokens_a_day, tokens, most_bytes, bytes = words[1], tonumber(words[2]),
    tonumber(words[3]), tonumber(words[4]), tonumber(words[5]), tonumber(words[6]), tonumber(words[7]), tonumber(words[8]),
    tonumber(words[9])
  local rate, due, wait = list_of(owner, 'rate:' .. key), nil, 0
  if interval then due, wait = asked(rate, interval, burst, us) end
  if wait > 0 then return 'rate_limited', math.ceil(wait / 1000) end
  local waiting = (unfinished or queued) and redis.call('ZCARD', list_of(owner, 'index:queued'))
  if unfinished and waiting + redis.call('ZCARD', list_of(owner, 'index:running')) >= unfinished then
    return 'too_many_running', 0
  end
  if queued and waiting >= queued then return 'too_many_queued', 0 end
  if tokens_a_day or most_bytes then
    local day, spent, stored = sums(owner, now)
    if tokens_a_day and spent + tokens > tokens_a_day then return 'token_budget_spent', (day + 1) * DAY_MS - now end
    if most_bytes and stored + bytes > most_bytes then return 'storage_budget_spent', 0 end
    replace(owner, id, nil, { day, tokens, bytes, 'r' }, now, index_ms)
  end
  if interval then return nil, counted(rate, interval, burst, us, due) end
end

