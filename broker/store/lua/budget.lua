-- Shared by the scripts of upstreams' budgets: each begins with `-- uses clock, budget`, or `-- uses clock, pace, budget`. The
-- arithmetic is that of broker/rate.py (pace.lua) and broker/breaker.py, where it is explained.

-- Milliseconds by Redis's clock, with what is less than one.
local function now_exactly()
  return now_us() / 1000
end

local function exactly(n)
  return string.format('%.3f', n)
end

-- The fields of a budget as a table, numbers as such; what is not there is 0, or empty.
local NAMES = { 'pause', 'until', 'probe', 'probe_until', 'since', 'calls', 'failures', 'calls_before', 'failures_before', 'paused',
  'requests', 'tokens', 'told_requests', 'told_requests_each', 'told_requests_burst', 'told_tokens', 'told_tokens_each',
  'told_tokens_burst' }
local function read(budget)
  local values, b = redis.call('HMGET', budget, unpack(NAMES)), {}
  for i, name in ipairs(NAMES) do
    if name == 'probe' then b[name] = values[i] or '' else b[name] = tonumber(values[i] or '0') end
  end
  return b
end

-- The state of the breaker, and how long until somebody may call.
local function breaker(b, now)
  if b.pause == 0 then return 'closed', 0 end
  if b.probe ~= '' and now < b.probe_until then return 'half_open', b.probe_until - now end
  return 'open', math.max(0, b['until'] - now)
end

-- Has all workers look at the budget before each call, for so long at least.
local function trouble(troubled, name, now, ms, ttl)
  redis.call('ZADD', troubled, 'GT', int(now + ms), name)
  redis.call('PEXPIRE', troubled, ttl)
end
