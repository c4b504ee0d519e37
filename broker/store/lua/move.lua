-- uses clock, tenants, lists
-- Lists a generation under its state and no other, in the place that it has in the list of all. Repeating it changes nothing.
--
-- KEYS  running, tenants; and, not declared, the lists of whose it is
-- ARGV  generation id, its owner or '', its state, ms of the submit, index ms
local id, owner, state, index_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
note_owner(KEYS[2], id, owner, index_ms)
for _, each in ipairs(STATES) do
  if each ~= state then redis.call('ZREM', list_of(owner, 'index:' .. each), id) end
end
local lists = { list_of(owner, 'index:all'), list_of(owner, 'index:' .. state), KEYS[1] }
if state ~= 'running' then redis.call('ZREM', table.remove(lists), id) end
for _, list in ipairs(lists) do
  redis.call('ZADD', list, 'NX', int(ARGV[4] * 1000), id)
  redis.call('PEXPIRE', list, index_ms)
end
