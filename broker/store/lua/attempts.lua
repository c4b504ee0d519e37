
-- Shared by the steps after which an attempt is over and its generation is not.

-- What an attempt that holds a lease, however old, comes to if it is over now: how many chunks of content it has appended; how
-- many a reader has with those that were kept; whether it is free, for it was handed over or got further than any attempt before
-- it; and how many attempts count then.
local function standing(record, log, handed_over)
  local r = redis.call('HMGET', record, 'before', 'others', 'kept', 'reached', 'spent')
  local own = math.max(0, redis.call('XLEN', log) - (r[1] or 0) - 1 - (r[2] or 0))
  local chunks = own + (r[3] or 0)
  local free = handed_over or chunks > tonumber(r[4] or '0')
  return own, chunks, free, tonumber(r[5] or '0') - (free and 1 or 0)
end

-- Ends the attempt: its lease, by which it is seen that this has not been done yet, and what it counts. Returns how many attempts
-- count, and how many chunks a reader has.
local function settle(record, log, handed_over)
  local own, chunks, free, spent = standing(record, log, handed_over)
  redis.call('HDEL', record, 'lease_until', 'claimant')
  redis.call('HINCRBY', record, 'produced', own)
  redis.call('HSET', record, 'spent', int(spent))
  if chunks > tonumber(redis.call('HGET', record, 'reached') or '0') then
    redis.call('HSET', record, 'reached', int(chunks))
  end
  return spent, chunks
end

-- How many output tokens were paid for, at least, in attempts that are over: what the upstream said, or, of attempts that broke off
-- before it said so, a token for each chunk.
local function paid(record)
  local r = redis.call('HMGET', record, 'usage', 'produced')
  local known, usage = pcall(cjson.decode, r[1] or '{}')
  local told = known and type(usage) == 'table' and tonumber(usage.output_tokens) or 0
  return math.max(told, tonumber(r[2] or '0'))
end

