#!lua
-- uses clock
-- Takes jobs out of the queue, those that were submitted first, and locks them as arq does: whoever takes one has it alone.
-- If nothing comes of it, a sweeper finds in `due` that nobody runs the generation.
--
-- KEYS  queue, wake, due
-- ARGV  how many at most, prefix of arq's locks, life of a lock in ms, ms until the next look
-- Returns how many wait still, then name, place, name, place …
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
local look = int(now_ms() + ARGV[4])
local taken = { 0 }
for i = 1, #popped, 2 do
  local name = popped[i]
  -- One that is locked runs already: it was enqueued twice.
  if redis.call('SET', ARGV[2] .. name, '1', 'PX', ARGV[3], 'NX') then
    redis.call('ZADD', KEYS[3], look, string.match(name, '^(.*):'))
    taken[#taken + 1] = name
    taken[#taken + 1] = popped[i + 1]
  end
end
taken[1] = redis.call('ZCARD', KEYS[1])
if taken[1] == 0 then redis.call('DEL', KEYS[2]) end
return taken
