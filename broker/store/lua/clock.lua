-- Shared by every script that needs the time.

-- Milliseconds by Redis's own clock, the only one that decides leases.
local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- The same in microseconds.
local function now_us()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

-- A whole number as text: Lua's own conversion would write a millisecond as 1.79e+12.
local function int(n)
  return string.format('%.0f', n)
end

