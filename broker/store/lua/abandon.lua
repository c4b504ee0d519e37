#!lua flags=allow-oom
-- uses clock
-- Cancels what an attempt runs if nobody has watched it for too long: as a cancel does, and for a reason of its own. It is asked
-- about once a second. Where it was not asked for longer than it may be (Redis was away or froze, its clock jumped, the worker
-- stood still), viewers could not be noted either: then time counts from now on.
--
-- KEYS  record
-- ARGV  attempt, ms without a viewer, '1' if one that nobody has watched yet counts, ms since when it was asked without such a
--       pause and ms when it was asked last (both as this script returned them; '0' the first time), the longest pause in ms
-- Returns {now, since when it has been asked without a pause, 1 if it is abandoned, else 0}.
local now, since, asked = now_ms(), tonumber(ARGV[4]), tonumber(ARGV[5])
local r = redis.call('HMGET', KEYS[1], 'attempt', 'lease_until', 'watched_ms', 'cancel')
if now < asked or now - asked > tonumber(ARGV[6]) then since = now end
local watched = tonumber(r[3] or '0')
if watched > now then  -- before the clock jumped back
  watched = now
  redis.call('HSET', KEYS[1], 'watched_ms', int(now))
end
local counts = r[1] == ARGV[1] and r[2] and not r[4] and (r[3] or ARGV[3] == '1')
if not counts or now - math.max(watched, since) <= tonumber(ARGV[2]) then return { now, since, 0 } end
redis.call('HSET', KEYS[1], 'cancel', 'abandoned')
return { now, since, 1 }
