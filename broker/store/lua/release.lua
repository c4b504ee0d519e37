#!lua flags=allow-oom
-- uses clock, attempts
-- Gives an attempt's lease back before it ends, so that the next attempt can be claimed at once. Not where none may follow: then who
-- asked ends the generation.
--
-- KEYS  record, log
-- ARGV  attempt, '1' if it is handed over (at shutdown, which is no crash), attempts that may count, attempts in all
-- Returns {'released', attempts that count}, {'fenced'} if the attempt is no longer the one that runs; or, of one that is not handed
-- over, {'last'} if as many count as may, {'exhausted'} if there were as many in all as may be.
local r = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'lease_until', 'spent', 'ordinal')
if r[1] ~= 'running' or r[2] ~= ARGV[1] then return { 'fenced' } end
-- There is a lease until the first release: the same call, repeated, must not be counted off twice.
if not r[3] then return { 'released', tonumber(r[4]) } end
local handed_over = ARGV[2] == '1'
if not handed_over then
  local _, _, _, spent = standing(KEYS[1], KEYS[2], false)
  if spent >= tonumber(ARGV[3]) then return { 'last' } end
  if tonumber(r[5]) >= tonumber(ARGV[4]) then return { 'exhausted' } end
end
local spent = settle(KEYS[1], KEYS[2], handed_over)
return { 'released', spent }
