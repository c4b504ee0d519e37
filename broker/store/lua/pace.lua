-- Shared by the scripts that count requests: so many a minute, so many at once, as broker/rate.py has it.

-- What a request of this key comes to at this pace (µs between two, how many at once): when the next would be due then, in µs, and
-- how long it must wait, in µs, 0 if it may come. One that waits moves nothing. What is too far ahead is from before the clock jumped
-- back.
local function asked(key, interval, burst, us)
  local window = interval * burst
  local due = math.min(math.max(tonumber(redis.call('GET', key) or '0'), us), us + window)
  local wait = due + interval - window - us
  if wait > 0 then return due, wait end
  return due + interval, 0
end

-- Counts a request that may come. Returns how many more may at once, and ms until a whole burst may.
local function counted(key, interval, burst, us, due)
  local full_ms = math.ceil((due - us) / 1000)
  redis.call('SET', key, int(due), 'PX', full_ms)
  return math.floor((us + interval * burst - due) / interval), full_ms
end

