#!lua flags=allow-oom
-- uses clock, tenants, turns, charges
-- Takes generations that have expired, or that Redis has lost, out of the queue, of all lists and of `due`, and gives their owners
-- back what they are charged for them. It may use memory beyond the limit: it frees more.
--
-- KEYS  due, expiring, starting, running, tenants; and, not declared, the lists of whose the generations are, those of
--       their tags, their jobs, and the ledgers
-- ARGV  prefix of arq's jobs, of their locks, how many attempts' jobs are removed, whose those are of whom `tenants` does not know
--       it, index ms, then up to 100 generation ids
local ids, tenants, now = { unpack(ARGV, 6) }, KEYS[5], now_ms()
local owners = redis.call('HMGET', tenants, unpack(ids))
for i, id in ipairs(ids) do
  local owner, names, jobs = owners[i] or ARGV[4], {}, {}
  for ordinal = 1, tonumber(ARGV[3]) do
    local name = job_name(id, ordinal, owner)
    names[#names + 1] = name
    jobs[#jobs + 1] = ARGV[1] .. name
    jobs[#jobs + 1] = ARGV[2] .. name
  end
  redis.call('ZREM', line_of(owner), unpack(names))
  redis.call('DEL', unpack(jobs))
  local taken = redis.call('ZSCORE', list_of(owner, 'index:running'), id)
  for _, state in ipairs({ 'all', unpack(STATES) }) do redis.call('ZREM', list_of(owner, 'index:' .. state), id) end
  local told = 'respool:tags:' .. id
  for digest in string.gmatch(redis.call('GET', told) or '', '%S+') do
    redis.call('ZREM', list_of(owner, 'tag:' .. digest), id)
  end
  redis.call('DEL', told)
  strike(owner, id, taken, now, ARGV[5])
end
for list = 1, 4 do redis.call('ZREM', KEYS[list], unpack(ids)) end
redis.call('HDEL', tenants, unpack(ids))
