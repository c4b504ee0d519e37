#!lua flags=allow-oom
-- uses clock, tenants, turns
-- Lists generations that have ended under their final states and no other, removes what is left of their jobs, and sets when they
-- are looked at next: when they have expired, or sooner, in `due`, where Redis may take the end back yet.
--
-- KEYS  due, expiring, wake, starting, running; and, not declared, the lists of whose the generations are, and their jobs
-- ARGV  index ms, prefix of arq's jobs, of their locks, wake ms, then for each, up to 100: generation id, its owner or '', its state, its
--       score there, which of KEYS is the list of its next look, ms until that, first and last of the attempts whose jobs are
--       removed (20 at most)
local now = now_ms()
local ids, owners, jobs, stood = {}, {}, {}, {}
local function list(key, mode, score, id)
  redis.call('ZADD', key, mode, score, id)
  redis.call('PEXPIRE', key, ARGV[1])
end
for i = 5, #ARGV, 8 do
  local id, owner, state, score, looks, in_ms, first, last = unpack(ARGV, i, i + 7)
  ids[#ids + 1] = id
  for _, each in ipairs(STATES) do
    if each ~= state then redis.call('ZREM', list_of(owner, 'index:' .. each), id) end
  end
  list(list_of(owner, 'index:all'), 'NX', score, id)
  list(list_of(owner, 'index:' .. state), 'CH', score, id)
  list(KEYS[tonumber(looks)], 'CH', int(now + tonumber(in_ms)), id)
  if looks == '2' then stood[#stood + 1] = id end
  local names = {}
  for ordinal = first, last do
    local name = job_name(id, ordinal, owner)
    names[#names + 1] = name
    jobs[#jobs + 1] = ARGV[2] .. name
    jobs[#jobs + 1] = ARGV[3] .. name
  end
  redis.call('ZREM', line_of(owner), unpack(names))
  owners[owner] = true
end
redis.call('ZREM', KEYS[4], unpack(ids))
redis.call('ZREM', KEYS[5], unpack(ids))
if #stood > 0 then redis.call('ZREM', KEYS[1], unpack(stood)) end
redis.call('DEL', unpack(jobs))
for owner in pairs(owners) do leave_slot(owner, KEYS[3], ARGV[4], ARGV[1]) end
