#!lua
-- Has a name stand for a generation, unless it stands for a later one: a submit that is repeated does not take it back.
--
-- KEYS  the name
-- ARGV  the generation, when it was made (ms), ms that the name lives
-- Returns 1; 0 if it stands for a later one.
local before = redis.call('GET', KEYS[1])
if before and tonumber(string.match(before, '^%d+')) > tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. ARGV[1], 'PX', ARGV[3])
return 1
