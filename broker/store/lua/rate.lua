-- uses clock, pace
-- Counts a request that is no submit, if it may come.
--
-- KEYS  what is kept of the API key's requests
-- ARGV  µs between two, how many at once
-- Returns {how many more may come at once, ms until a whole burst may}, or {-1, ms until this one may}.
local us, interval, burst = now_us(), tonumber(ARGV[1]), tonumber(ARGV[2])
local due, wait = asked(KEYS[1], interval, burst, us)
if wait > 0 then return { -1, math.ceil(wait / 1000) } end
return { counted(KEYS[1], interval, burst, us, due) }
