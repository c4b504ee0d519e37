#!lua flags=allow-oom
-- uses clock
-- Lists generations that have ended under their final states and no other, removes what is left of their jobs, and sets when they
-- are looked at next: when they have expired, or sooner, in `due`, where Redis may take the end back yet.
--
-- KEYS  due, expiring, queue, index:all, the index of each state, starting
-- ARGV  index ms, prefix of arq's jobs, of their locks, then for each, up to 100: generation id, which of KEYS is the index of its
--       state, its score there, which of KEYS is the list of its next look, ms until that, first and last of the attempts whose
--       jobs are removed (20 at most)
local now = now_ms()
local ids, names, jobs, rows = {}, {}, {}, {}
local function row(list, score, id)
  rows[list] = rows[list] or {}
  table.insert(rows[list], score)
  table.insert(rows[list], id)
end
local stood = {}
for i = 4, #ARGV, 7 do
  local id, index, score, looks, in_ms, first, last = unpack(ARGV, i, i + 6)
  ids[#ids + 1] = id
  row(4, score, id)
  row(tonumber(index), score, id)
  row(tonumber(looks), int(now + tonumber(in_ms)), id)
  if looks == '2' then stood[#stood + 1] = id end
  for ordinal = first, last do
    local name = id .. ':' .. int(ordinal)
    names[#names + 1] = name
    jobs[#jobs + 1] = ARGV[2] .. name
    jobs[#jobs + 1] = ARGV[3] .. name
  end
end
for list = 5, #KEYS do redis.call('ZREM', KEYS[list], unpack(ids)) end
if #stood > 0 then redis.call('ZREM', KEYS[1], unpack(stood)) end
redis.call('ZREM', KEYS[3], unpack(names))
redis.call('DEL', unpack(jobs))
for list, scored in pairs(rows) do
  if list == 4 then
    redis.call('ZADD', KEYS[list], 'NX', unpack(scored))
  else
    redis.call('ZADD', KEYS[list], unpack(scored))
  end
  redis.call('PEXPIRE', KEYS[list], ARGV[1])
end
