#!lua
-- uses clock
-- Has a name stand for a generation that is yet to be made, if it stands for what was seen: of several that saw the same, the first
-- has it. What is claimed and never made is claimed for a while only: then the name stands for what was before it.
--
-- KEYS  the name
-- ARGV  what it was seen to stand for, as it is kept ('' for nothing), whether that was seen to be there (1, 0), the generation, the
--       one before it ('-' for none), ms that it is not made before, ms for which it is claimed, ms that the name lives
-- Returns what it stands for now, as it is kept ('' for nothing): if that is another generation, nothing was done.
local value = redis.call('GET', KEYS[1]) or ''
if value ~= ARGV[1] then return value end
local now = now_ms()
local claimed_until = string.match(value, '^%d+ %S+ (%d+)')
if claimed_until and ARGV[2] == '0' and now < tonumber(claimed_until) then return value end
local made = int(math.max(now, tonumber(ARGV[5])))
local claim = made .. ' ' .. ARGV[3] .. ' ' .. int(now + tonumber(ARGV[6])) .. ' ' .. ARGV[4]
redis.call('SET', KEYS[1], claim, 'PX', int(math.max(tonumber(ARGV[7]), redis.call('PTTL', KEYS[1]))))
return claim
