#!lua
-- uses clock, tenants
-- Takes jobs out of the queue, those that were submitted first, and locks them as arq does: whoever takes one has it alone. Their
-- generations are listed as running from here on. If nothing comes of it, a sweeper finds in `due` that nobody runs them.
--
-- KEYS  queue, wake, due, running; and, not declared, the lists of whose the jobs are
-- ARGV  how many at most, prefix of arq's locks, life of a lock in ms, ms until the next look, index ms
-- Returns how many wait still, then name, place, name, place …
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
local look = int(now_ms() + ARGV[4])
local taken, looks, theirs = { 0 }, {}, {}
for i = 1, #popped, 2 do
  local name = popped[i]
  -- One that is locked runs already: it was enqueued twice.
  if redis.call('SET', ARGV[2] .. name, '1', 'PX', ARGV[3], 'NX') then
    local id, _, owner = parts_of(name)
    local of = theirs[owner] or { ids = {}, places = {} }
    theirs[owner] = of
    of.ids[#of.ids + 1] = id
    of.places[#of.places + 1] = redis.call('ZSCORE', list_of(owner, 'index:all'), id) or int(popped[i + 1] * 1000)
    of.places[#of.places + 1] = id
    looks[#looks + 1], looks[#looks + 2] = look, id
    taken[#taken + 1], taken[#taken + 2] = name, popped[i + 1]
  end
end
for owner, of in pairs(theirs) do
  redis.call('ZREM', list_of(owner, 'index:queued'), unpack(of.ids))
  for _, list in ipairs({ list_of(owner, 'index:running'), KEYS[4] }) do
    redis.call('ZADD', list, 'NX', unpack(of.places))
    redis.call('PEXPIRE', list, ARGV[5])
  end
end
if #looks > 0 then
  redis.call('ZADD', KEYS[3], unpack(looks))
  redis.call('PEXPIRE', KEYS[3], ARGV[5])
end
taken[1] = redis.call('ZCARD', KEYS[1])
if taken[1] == 0 then redis.call('DEL', KEYS[2]) end
return taken
