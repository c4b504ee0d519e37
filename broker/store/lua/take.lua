#!lua
-- uses clock
-- Takes jobs out of the queue, those that were submitted first, and locks them as arq does: whoever takes one has it alone. Their
-- generations are listed as running from here on. If nothing comes of it, a sweeper finds in `due` that nobody runs them.
--
-- KEYS  queue, wake, due, index:queued, index:running, index:all
-- ARGV  how many at most, prefix of arq's locks, life of a lock in ms, ms until the next look, index ms
-- Returns how many wait still, then name, place, name, place …
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
local look = int(now_ms() + ARGV[4])
local taken, ids, looks, places = { 0 }, {}, {}, {}
for i = 1, #popped, 2 do
  local name = popped[i]
  -- One that is locked runs already: it was enqueued twice.
  if redis.call('SET', ARGV[2] .. name, '1', 'PX', ARGV[3], 'NX') then
    local n, id = #ids, string.match(name, '^(.*):')
    ids[n + 1] = id
    looks[2 * n + 1], looks[2 * n + 2] = look, id
    places[2 * n + 1], places[2 * n + 2] = redis.call('ZSCORE', KEYS[6], id) or int(popped[i + 1] * 1000), id
    taken[2 * n + 2], taken[2 * n + 3] = name, popped[i + 1]
  end
end
if #ids > 0 then
  redis.call('ZADD', KEYS[3], unpack(looks))
  redis.call('ZREM', KEYS[4], unpack(ids))
  redis.call('ZADD', KEYS[5], 'NX', unpack(places))
  for _, list in ipairs({ KEYS[3], KEYS[5] }) do redis.call('PEXPIRE', list, ARGV[5]) end
end
taken[1] = redis.call('ZCARD', KEYS[1])
if taken[1] == 0 then redis.call('DEL', KEYS[2]) end
return taken
