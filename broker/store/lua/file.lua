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
local ids, owners, jobs, added, removed = {}, {}, {}, {}, {}

-- What each list loses, and gets, is gathered first: however many are filed, each is written once.
local function remove(key, ...)
  removed[key] = removed[key] or {}
  for _, member in ipairs({ ... }) do table.insert(removed[key], member) end
end
local function add(key, mode, score, id)
  added[key] = added[key] or { mode }
  table.insert(added[key], score)
  table.insert(added[key], id)
end

for i = 5, #ARGV, 8 do
  local id, owner, state, score, looks, in_ms, first, last = unpack(ARGV, i, i + 7)
  ids[#ids + 1] = id
  for _, each in ipairs(STATES) do
    if each ~= state then remove(list_of(owner, 'index:' .. each), id) end
  end
  add(list_of(owner, 'index:all'), 'NX', score, id)
  add(list_of(owner, 'index:' .. state), 'CH', score, id)
  add(KEYS[tonumber(looks)], 'CH', int(now + tonumber(in_ms)), id)
  if looks == '2' then remove(KEYS[1], id) end
  for ordinal = first, last do
    local name = job_name(id, ordinal, owner)
    remove(line_of(owner), name)
    jobs[#jobs + 1] = ARGV[2] .. name
    jobs[#jobs + 1] = ARGV[3] .. name
  end
  owners[owner] = true
end
remove(KEYS[4], unpack(ids))
remove(KEYS[5], unpack(ids))
for key, members in pairs(removed) do redis.call('ZREM', key, unpack(members)) end
for key, rows in pairs(added) do
  redis.call('ZADD', key, unpack(rows))
  redis.call('PEXPIRE', key, ARGV[1])
end
redis.call('DEL', unpack(jobs))
for owner in pairs(owners) do leave_slot(owner, KEYS[3], ARGV[4], ARGV[1]) end
