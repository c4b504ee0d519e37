#!lua
-- uses clock, budget
-- Notes what a call of an upstream has found: for the breaker, and of limits that the upstream tells of.
--
-- KEYS  budget, troubled
-- ARGV  the budget's name, upstream, model, call, what it found (answered, overloaded, failed, gone), so many others that were
--       answered of late, ms for which the upstream asks not to be called, 1 if that is for a limit, overloads that open the breaker
--       (0: none), ms of its first pause and its longest, of half a window, life of the budget in ms; then of requests and of tokens:
--       ms until the limit is full again (0: nothing was told; -1: enough is left), ms for each, how many when it is full
-- Returns the breaker's state, and 1 if that is by this call, else 0.
local now, b = now_exactly(), read(KEYS[1])
local call, found, before, retry = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local opens_at, first, longest, half, ttl = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]), ARGV[13]
local before_state = breaker(b, now)
local set, troubled_ms = { 'upstream', ARGV[2], 'model', ARGV[3] }, 0
local function note(name, value)
  set[#set + 1], set[#set + 2] = name, value
  b[name] = name == 'probe' and value or tonumber(value)
end

local function open(pause)
  note('pause', int(pause))
  note('until', exactly(now + math.max(pause, retry)))
  note('probe', '')
  troubled_ms = math.max(pause, retry) + 60000
end
local function count(calls, failures)
  local age = now - b.since
  if age >= half then
    local near = age < 2 * half
    note('calls_before', near and b.calls or 0)
    note('failures_before', near and b.failures or 0)
    note('since', exactly(now))
    note('calls', 0)
    note('failures', 0)
  end
  note('calls', b.calls + calls)
  note('failures', b.failures + failures)
end

if b.pause > 0 and call == b.probe then
  if found == 'answered' then
    note('pause', 0)
    note('since', exactly(now))
    for _, name in ipairs({ 'calls', 'failures', 'calls_before', 'failures_before' }) do note(name, 0) end
  elseif found == 'overloaded' then
    open(math.min(2 * b.pause, longest))
  elseif found == 'failed' then
    open(b.pause)
  end
  note('probe', '')
elseif b.pause == 0 then
  local told = (found == 'answered' or found == 'overloaded') and 1 or 0
  if told + before > 0 then count(before + told, found == 'overloaded' and 1 or 0) end
  if found == 'overloaded' then
    troubled_ms = 2 * half
    local failed = b.failures + b.failures_before
    if opens_at > 0 and failed >= opens_at and 2 * failed >= b.calls + b.calls_before then open(first) end
  end
end

if ARGV[8] == '1' and now + retry > b.paused then
  note('paused', exactly(now + retry))
  troubled_ms = math.max(troubled_ms, retry + 1000)
end
for i, name in ipairs({ 'told_requests', 'told_tokens' }) do
  local at = 11 + 3 * i
  local full = tonumber(ARGV[at])
  if full > 0 then
    note(name, exactly(now + full))
    note(name .. '_each', ARGV[at + 1])
    note(name .. '_burst', ARGV[at + 2])
    troubled_ms = math.max(troubled_ms, full + 1000)
  elseif full < 0 and b[name] > 0 then
    note(name, 0)
    note(name .. '_burst', 0)
  end
end
if troubled_ms > 0 then trouble(KEYS[2], ARGV[1], now, troubled_ms, ttl) end
redis.call('HSET', KEYS[1], unpack(set))
redis.call('PEXPIRE', KEYS[1], ttl)
local state = breaker(b, now)
return { state, state ~= before_state and 1 or 0 }
