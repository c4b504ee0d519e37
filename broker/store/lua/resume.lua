-- uses clock, tenants, turns
-- Tenants that have all slots that they may have take turns again: whether they may have more by now is found when a job of theirs is
-- taken. The end of what has a slot does so at once; this is for what has left it otherwise, and for settings that have changed.
--
-- KEYS  wake; and, not declared, what turns.lua names
-- ARGV  wake ms, index ms, how many tenants at most
-- Returns how many.
local owners = redis.call('ZRANGE', BOUND, 0, ARGV[3] - 1)
for _, owner in ipairs(owners) do leave_slot(owner, KEYS[1], ARGV[1], ARGV[2]) end
return #owners
