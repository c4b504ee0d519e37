#!lua
-- uses clock, tenants, turns
-- Takes jobs out of the lines, whose turn it is, and locks them as arq does: whoever takes one has it alone. Their
-- generations are listed as running from here on. If nothing comes of it, a sweeper finds in `due` that nobody runs them.
--
-- KEYS  wake, due, running, pace; and, not declared, what turns.lua names, and the lists of whose the jobs are
-- ARGV  how many at most, prefix of arq's locks, life of a lock in ms, ms until the next look, index ms, what tenants get: weight
--       ',' most slots or '' of all, then for each of whom more is said SP tenant '=' weight ',' most slots; how many jobs have
--       left the slots of who asks since it asked last, for how many ms they had had them together, ms of a bucket of these, how
--       many are kept
-- Returns how many wait still that may be taken, or 100 if it is more, then name, place, name, place …
local now, wanted, index_ms = now_ms(), tonumber(ARGV[1]), ARGV[5]
local look, taken, looks = int(now + ARGV[4]), { 0 }, {}

-- Notes how fast slots get free.
local function note_ends(jobs, held_ms, bucket_ms, kept)
  local bucket = math.floor(now / bucket_ms)
  redis.call('HINCRBY', KEYS[4], int(bucket) .. ':held', held_ms)
  if redis.call('HINCRBY', KEYS[4], int(bucket), jobs) > tonumber(jobs) then return end
  for _, field in ipairs(redis.call('HKEYS', KEYS[4])) do
    local at = tonumber(string.match(field, '^%d+'))
    if at <= bucket - kept or at > bucket then redis.call('HDEL', KEYS[4], field) end
  end
  redis.call('PEXPIRE', KEYS[4], int(bucket_ms * kept))
end

-- A tenant's weight, and how many slots it may have, nil if that is not said.
local function share(owner)
  local _, said = string.find(ARGV[6], ' ' .. owner .. '=', 1, true)
  local weight, most = string.match(ARGV[6], '^([^,]*),(%d*)', said and said + 1 or 1)
  return tonumber(weight), tonumber(most)
end

-- How many jobs in a row are one tenant's, before the next one's turn comes.
local function turns_before(owner, tag, weight, next_owner, next_tag)
  if not next_owner then return wanted end
  local turns = (next_tag - tag) * weight
  local whole = math.floor(turns)
  return math.min(wanted, turns == whole and owner > next_owner and whole or whole + 1)
end

-- Lists as running what was taken of one tenant: names and places.
local function run(owner, jobs)
  local ids, places = {}, {}
  for i = 1, #jobs, 2 do
    local name = jobs[i]
    -- One that is locked runs already: it was enqueued twice.
    if redis.call('SET', ARGV[2] .. name, '1', 'PX', ARGV[3], 'NX') then
      local id = parts_of(name)
      ids[#ids + 1] = id
      places[#places + 1], places[#places + 2] = int(jobs[i + 1] % BEGUN * 1000), id
      looks[#looks + 1], looks[#looks + 2] = look, id
      taken[#taken + 1], taken[#taken + 2] = name, jobs[i + 1]
    end
  end
  if #ids == 0 then return end
  for i, submitted in ipairs(redis.call('ZMSCORE', list_of(owner, 'index:all'), unpack(ids))) do
    places[2 * i - 1] = submitted or places[2 * i - 1]
  end
  redis.call('ZREM', list_of(owner, 'index:queued'), unpack(ids))
  for _, list in ipairs({ list_of(owner, 'index:running'), KEYS[3] }) do
    redis.call('ZADD', list, 'NX', unpack(places))
    redis.call('PEXPIRE', list, index_ms)
  end
end

-- Moves a tenant from one list of turns to another, or out of all.
local function move(owner, from, to, tag)
  redis.call('ZREM', from, owner)
  redis.call('ZREM', AGEING, owner)
  raise_level(tag, index_ms)
  if not to then return end
  redis.call('ZADD', to, exact(tag), owner)
  redis.call('PEXPIRE', to, index_ms)
end

-- Up to so many jobs of a line, which leave it: none of the background but in its turns. Whether it is empty now, too.
local function pop(line, list, row)
  local jobs = redis.call('ZPOPMIN', line, row)
  local empty = #jobs < 2 * row
  while list == TURNS and #jobs > 0 and tonumber(jobs[#jobs]) > now + 1 do
    local place = table.remove(jobs)
    redis.call('ZADD', line, place, table.remove(jobs))
    redis.call('PEXPIRE', line, index_ms)
    empty = false
  end
  return jobs, empty
end

-- Without a job to be taken a tenant leaves the list: for the background, or for good.
local function leave(owner, list, tag)
  local first = redis.call('ZRANGE', line_of(owner), 0, 0, 'WITHSCORES')
  if #first == 0 then return move(owner, list, nil, tag) end
  move(owner, list, BACKGROUND, tag)
  age(owner, first[2], index_ms)
end

-- The next turn: jobs of one tenant in a row. Whether there was one.
local function take_turn()
  local list = TURNS
  local turns = redis.call('ZRANGE', list, 0, 1, 'WITHSCORES')
  if #turns == 0 then
    list = BACKGROUND
    turns = redis.call('ZRANGE', list, 0, 1, 'WITHSCORES')
  end
  if #turns == 0 then return false end
  local owner, tag, weight, most = turns[1], tonumber(turns[2]), share(turns[1])
  local row = turns_before(owner, tag, weight, turns[3], tonumber(turns[4]))
  if most then
    row = math.min(row, most - slots_of(owner))
    if row <= 0 then
      move(owner, list, redis.call('EXISTS', line_of(owner)) == 1 and BOUND, tag)
      return true
    end
  end
  local jobs, empty = pop(line_of(owner), list, row)
  if #jobs == 0 then
    leave(owner, list, tag)
    return true
  end
  run(owner, jobs)
  local count = #jobs / 2
  redis.call('ZADD', list, exact(tag + count / weight), owner)
  if list == BACKGROUND then
    raise_level(tag + (count - 1) / weight, index_ms)
    leave(owner, list, tag + count / weight)
  end
  wanted = wanted - count
  -- Nobody else waits.
  if empty and not turns[3] and redis.call('EXISTS', BACKGROUND) == 0 then wanted = 0 end
  return true
end

if tonumber(ARGV[7]) > 0 then note_ends(unpack(ARGV, 7, 10)) end
for _, owner in ipairs(redis.call('ZRANGE', AGEING, '-inf', int(now), 'BYSCORE', 'LIMIT', 0, 100)) do
  line_up(owner, 0, index_ms)
end
-- What was queued before there were turns is nobody's.
if redis.call('EXISTS', TURNS, BACKGROUND) == 0 and redis.call('EXISTS', line_of('')) == 1 then line_up('', 0, index_ms) end
local steps = 0
while wanted > 0 and steps < 200 and take_turn() do steps = steps + 1 end
if #looks > 0 then
  redis.call('ZADD', KEYS[2], unpack(looks))
  redis.call('PEXPIRE', KEYS[2], index_ms)
end
for _, list in ipairs({ TURNS, BACKGROUND }) do
  for _, owner in ipairs(redis.call('ZRANGE', list, 0, 99)) do
    if taken[1] < 100 then taken[1] = math.min(100, taken[1] + redis.call('ZCARD', line_of(owner))) end
  end
end
if taken[1] == 0 then redis.call('DEL', KEYS[1]) end
return taken
