-- uses clock, tenants, turns
-- Returns jobs that were taken to their places in their lines, and wakes another worker. Generations that no attempt has begun are
-- listed as queued again.
--
-- KEYS  wake, running; and, not declared, what turns.lua names, the lists of whose the jobs are, and their locks
-- ARGV  prefix of arq's locks, wake ms, index ms, then name, place …
local wake_ms, index_ms = ARGV[2], ARGV[3]
for i = 4, #ARGV, 2 do
  local name, place = ARGV[i], ARGV[i + 1]
  local id, ordinal, owner = parts_of(name)
  redis.call('DEL', ARGV[1] .. name)
  redis.call('ZADD', line_of(owner), 'NX', place, name)
  redis.call('PEXPIRE', line_of(owner), index_ms)
  if ordinal == '1' then
    local queued = list_of(owner, 'index:queued')
    redis.call('ZREM', list_of(owner, 'index:running'), id)
    redis.call('ZREM', KEYS[2], id)
    redis.call('ZADD', queued, redis.call('ZSCORE', list_of(owner, 'index:all'), id) or int(place * 1000), id)
    redis.call('PEXPIRE', queued, index_ms)
  end
  leave_slot(owner, KEYS[1], wake_ms, index_ms)
  line_up(owner, tonumber(place), index_ms)
  redis.call('LPUSH', KEYS[1], name)
end
redis.call('PEXPIRE', KEYS[1], wake_ms)
