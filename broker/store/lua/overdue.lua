#!lua
-- uses clock, tenants, turns
-- Takes generations that somebody should look at now, and puts the next look a while ahead, so that of many sweepers
-- one gets each. One whose job stands in its line waits for its turn: nobody need look at its record. That its tenant takes turns
-- is seen to.
--
-- KEYS  due, expiring, starting, tenants; and, not declared, the lists of whose the generations are
-- ARGV  at most so many, ms until the next look, the same for one that waits, but at least so many for each that waits, ms of the
--       longest look ahead, index ms
-- Returns how many were overdue, then the ids of those to look at.
local now, most = now_ms(), tonumber(ARGV[1])
for _, list in ipairs({ KEYS[2], KEYS[3] }) do
  local come = redis.call('ZRANGE', list, '-inf', int(now), 'BYSCORE', 'LIMIT', 0, most)
  if #come > 0 then
    redis.call('ZREM', list, unpack(come))
    local at_once = {}
    for i, id in ipairs(come) do at_once[2 * i - 1], at_once[2 * i] = int(now), id end
    redis.call('ZADD', KEYS[1], 'NX', unpack(at_once))
  end
end
local ids = redis.call('ZRANGE', KEYS[1], '-inf', int(now), 'BYSCORE', 'LIMIT', 0, most)
if #ids < most then
  -- Nobody looks so far ahead: the clock has jumped back.
  local beyond = '(' .. int(now + tonumber(ARGV[5]))
  for _, id in ipairs(redis.call('ZRANGE', KEYS[1], beyond, '+inf', 'BYSCORE', 'LIMIT', 0, most - #ids)) do
    ids[#ids + 1] = id
  end
end

local found = { #ids }
if #ids == 0 then return found end

-- Where the jobs of first attempts stand, of those that have one in the line; and of which owners any of later attempts wait.
local places, begun = {}, {}
local function find_places(owner, ids)
  local names = {}
  for i, id in ipairs(ids) do names[i] = job_name(id, 1, owner) end
  for i, place in ipairs(redis.call('ZMSCORE', line_of(owner), unpack(names))) do places[ids[i]] = place end
  begun[owner] = redis.call('ZCOUNT', line_of(owner), '-inf', '(0') > 0
end

-- Whether a job of a later attempt stands in the generation's place.
local function waits_again(id, owner)
  if not begun[owner] then return false end
  local submitted_us = redis.call('ZSCORE', list_of(owner, 'index:all'), id)
  if not submitted_us then return false end
  local place = string.format('%.3f', tonumber(submitted_us) / 1000 - BEGUN)
  for _, name in ipairs(redis.call('ZRANGE', line_of(owner), place, place, 'BYSCORE', 'LIMIT', 0, 10)) do
    if parts_of(name) == id then return true end
  end
  return false
end

local looks, lines, of_owner = {}, {}, {}
local owners = redis.call('HMGET', KEYS[4], unpack(ids))
for i, id in ipairs(ids) do
  local owner = owners[i] or ''
  of_owner[owner] = of_owner[owner] or {}
  table.insert(of_owner[owner], id)
end
for owner, theirs in pairs(of_owner) do find_places(owner, theirs) end
local again = int(now + tonumber(ARGV[2]))
-- The more wait, the later is their turn, and the next look.
local turn = math.max(tonumber(ARGV[3]), depth() * ARGV[4])
turn = int(now + math.min(turn, ARGV[5] - 1000))
for i, id in ipairs(ids) do
  local owner = owners[i] or ''
  local place = places[id]
  local waits = place or waits_again(id, owner)
  if waits then lines[owner] = math.min(lines[owner] or math.huge, tonumber(place or '0')) end
  looks[2 * i - 1], looks[2 * i] = waits and turn or again, id
  if not waits then found[#found + 1] = id end
end
for owner, place in pairs(lines) do line_up(owner, place, ARGV[6]) end
redis.call('ZADD', KEYS[1], unpack(looks))
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return found
