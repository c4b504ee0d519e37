#!lua
-- uses clock, budget
-- Which budgets workers must look at before each call, as their upstreams have refused some of late or say that little is left.
--
-- KEYS  troubled
-- ARGV  what budgets' keys begin with, how many at most
-- Returns of each: name, upstream, model, the breaker's state, ms for which nobody may call, calls that run now
local now, found = now_exactly(), {}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', int(now))
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1)) do
  local budget = ARGV[1] .. name
  local who, b = redis.call('HMGET', budget, 'upstream', 'model'), read(budget)
  local state, closed_ms = breaker(b, now)
  if who[1] then
    found[#found + 1] = { name, who[1], who[2], state, int(math.ceil(math.max(closed_ms, b.paused - now, 0))),
      redis.call('ZCOUNT', budget .. ':calls', '(' .. int(now), '+inf') }
  end
end
return found
