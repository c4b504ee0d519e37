#!lua flags=allow-oom
-- Gives an attempt's lease back before it ends, so that the next attempt can be claimed at once.
--
-- KEYS  record
-- ARGV  attempt, '1' if the attempt should not count (a hand-over at shutdown is no crash)
-- Returns 1, or 0 if the attempt is no longer the one that runs.
local r = redis.call('HMGET', KEYS[1], 'state', 'attempt')
if r[1] ~= 'running' or r[2] ~= ARGV[1] then return 0 end
-- There is a lease until the first release: the same call, repeated, must not be counted off twice.
local held = redis.call('HDEL', KEYS[1], 'lease_until', 'claimant') > 0
if held and ARGV[2] == '1' then redis.call('HINCRBY', KEYS[1], 'spent', -1) end
return 1
