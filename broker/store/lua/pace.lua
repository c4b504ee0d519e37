-- Shared by the scripts that count what may be done so often: the arithmetic of broker/rate.py, where it is explained. Times and
-- intervals are of one unit, whichever.

-- How long until `cost` may be taken from a bucket that is full again at `full`, gets one every `each` and holds `burst`.
local function wait_for(full, now, each, burst, cost)
  return math.max(0, math.max(full - now, 0) + (math.min(cost, burst) - burst) * each)
end

-- When it is full again, once `cost` is taken.
local function with_taken(full, now, each, cost)
  return math.max(full, now) + cost * each
end

-- What a request of this key comes to at this pace (µs between two, how many at once): when the next would be due then, in µs, and
-- how long it must wait, in µs, 0 if it may come. One that waits moves nothing. What is too far ahead is from before the clock jumped
-- back.
local function asked(key, interval, burst, us)
  local due = math.min(tonumber(redis.call('GET', key) or '0'), us + interval * burst)
  local wait = wait_for(due, us, interval, burst, 1)
  if wait > 0 then return due, wait end
  return with_taken(due, us, interval, 1), 0
end

-- Counts a request that may come. Returns how many more may at once, and ms until a whole burst may.
local function counted(key, interval, burst, us, due)
  local full_ms = math.ceil((due - us) / 1000)
  redis.call('SET', key, int(due), 'PX', full_ms)
  return math.floor((us + interval * burst - due) / interval), full_ms
end

