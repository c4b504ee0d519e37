#!lua
-- uses clock, pace, budget
-- Permits a call of an upstream, or says why it must wait. Whoever waits has its place: so much as those before it may take is
-- left to them. May be repeated: what is permitted stays so.
--
-- KEYS  budget, its calls, its waiting, troubled
-- ARGV  the budget's name, upstream, model, call, the process that asks, ms that it has waited, tokens of the call, ms that the
--       permit holds, calls at a time (0: any), ms for each request and how many at once (0: any), the same of tokens, life of the
--       budget in ms
-- Returns {1, 1 if the call is the probe, else 0} or {0, ms after which to ask again, why}
local now, b = now_exactly(), read(KEYS[1])
local call, cost, ttl = ARGV[4], tonumber(ARGV[7]), ARGV[14]
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', int(now))
if redis.call('ZSCORE', KEYS[2], call) then return { 1, b.probe == call and 1 or 0 } end

local state, closed_ms = breaker(b, now)
if state ~= 'closed' then trouble(KEYS[4], ARGV[1], now, 60000, ttl) end
-- Another process waits here if it asked a little while ago; it is before this one if it has waited longer.
local since, ahead = now - ARGV[6], 0
local waiting = redis.call('HGETALL', KEYS[3])
for i = 1, #waiting, 2 do
  local began, alive = string.match(waiting[i + 1], '^(%S+) (%S+)$')
  if tonumber(alive) < now then
    redis.call('HDEL', KEYS[3], waiting[i])
  elseif waiting[i] ~= ARGV[5] and tonumber(began) < since then
    ahead = ahead + 1
  end
end

local wait, why = 0, ''
local function must_wait(ms, reason)
  if ms > wait then wait, why = ms, reason end
end
local function of_rate(full, each, burst, needs, reason)
  if burst > 0 then must_wait(wait_for(full, now, each, burst, needs * (1 + ahead)), reason) end
end
local each = { requests = tonumber(ARGV[10]), tokens = tonumber(ARGV[12]) }
local burst = { requests = tonumber(ARGV[11]), tokens = tonumber(ARGV[13]) }
if closed_ms > 0 then
  must_wait(closed_ms, 'overloaded')
else
  must_wait(b.paused - now, 'paused')
  for reason, needs in pairs({ requests = 1, tokens = cost }) do
    of_rate(b[reason], each[reason], burst[reason], needs, reason)
    of_rate(b['told_' .. reason], b['told_' .. reason .. '_each'], b['told_' .. reason .. '_burst'], needs, reason)
  end
  local most = tonumber(ARGV[9])
  if most > 0 and redis.call('ZCARD', KEYS[2]) + ahead >= most then must_wait(1, 'concurrent') end
end

if wait > 0 then
  redis.call('HSET', KEYS[3], ARGV[5], exactly(since) .. ' ' .. exactly(now + 2000))
  redis.call('PEXPIRE', KEYS[3], 60000)
  return { 0, int(math.ceil(wait)), why }
end
redis.call('HDEL', KEYS[3], ARGV[5])
redis.call('ZADD', KEYS[2], int(now + ARGV[8]), call)
redis.call('PEXPIRE', KEYS[2], ttl)
local set = { 'upstream', ARGV[2], 'model', ARGV[3] }
local function note(name, value)
  set[#set + 1], set[#set + 2] = name, value
end
for reason, needs in pairs({ requests = 1, tokens = cost }) do
  if burst[reason] > 0 then note(reason, exactly(with_taken(b[reason], now, each[reason], needs))) end
  local told = 'told_' .. reason
  if b[told] > now then note(told, exactly(with_taken(b[told], now, b[told .. '_each'], needs))) end
end
if state ~= 'closed' then
  note('probe', call)
  note('probe_until', exactly(now + ARGV[8]))
end
redis.call('HSET', KEYS[1], unpack(set))
redis.call('PEXPIRE', KEYS[1], ttl)
return { 1, state ~= 'closed' and 1 or 0 }
