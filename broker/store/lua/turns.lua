-- Shared by the scripts that put jobs into lines, and take them out: whose turn it is. The rule is that of broker/waiting.py.
--
-- A line has the jobs of one tenant by their places (ms). One of a generation that has begun stands in front, BEGUN less. A
-- tenant is in one of these lists, by its tag, or in none:
--   turns             its first job may be taken, or its line is empty: then it leaves when its turn has come
--   turns:background  its first job is in the background, until a time that turns:ageing has
--   turns:bound       it has all slots that it may have, until one of its generations leaves one
-- Keys are named here, not declared: coordination is one server, never a cluster.

local TURNS, BACKGROUND, AGEING = 'respool:turns', 'respool:turns:background', 'respool:turns:ageing'
local BOUND, LEVEL, COMING = 'respool:turns:bound', 'respool:turns:level', 'respool:coming'
local BEGUN = 4e12

local function exact(n)
  return string.format('%.17g', n)
end

local function line_of(owner)
  return list_of(owner, 'queue')
end

-- With which tag a tenant begins: that of whose turn is next, or the last that left its turns.
local function level()
  local first = redis.call('ZRANGE', TURNS, 0, 0, 'WITHSCORES')
  return tonumber(first[2] or redis.call('GET', LEVEL) or '0')
end

local function raise_level(tag, index_ms)
  if tag > tonumber(redis.call('GET', LEVEL) or '0') then redis.call('SET', LEVEL, exact(tag), 'PX', index_ms) end
end

local function take_turns(owner, tag, index_ms)
  redis.call('ZADD', TURNS, exact(math.max(level(), tag)), owner)
  redis.call('PEXPIRE', TURNS, index_ms)
end

local function age(owner, place, index_ms)
  redis.call('ZADD', AGEING, 'LT', int(place), owner)
  redis.call('PEXPIRE', AGEING, index_ms)
end

-- Whoever has a job in this place of its line takes turns, in the background or not.
local function line_up(owner, place, index_ms)
  if redis.call('ZSCORE', TURNS, owner) or redis.call('ZSCORE', BOUND, owner) then return end
  local tag = redis.call('ZSCORE', BACKGROUND, owner)
  if tag and place > now_ms() + 1 then return age(owner, place, index_ms) end
  if tag then
    redis.call('ZREM', BACKGROUND, owner)
    redis.call('ZREM', AGEING, owner)
  end
  take_turns(owner, tonumber(tag or '0'), index_ms)
end

-- One of its generations has left its slot: a tenant that waited for that takes turns again. Whether it may have one more is found
-- when a job of it is taken.
local function leave_slot(owner, wake, wake_ms, index_ms)
  local tag = redis.call('ZSCORE', BOUND, owner)
  if not tag then return end
  redis.call('ZREM', BOUND, owner)
  take_turns(owner, tonumber(tag), index_ms)
  redis.call('LPUSH', wake, owner)
  redis.call('PEXPIRE', wake, wake_ms)
end

-- How many slots of workers a tenant has: what runs, without what waits for its next attempt.
local function slots_of(owner)
  return redis.call('ZCARD', list_of(owner, 'index:running')) - redis.call('ZCOUNT', line_of(owner), '-inf', '(0')
end

-- How many tenants have jobs that wait, or have had just now.
local function tenants_in_line()
  return redis.call('ZCARD', TURNS) + redis.call('ZCARD', BACKGROUND) + redis.call('ZCARD', BOUND)
end

-- How many jobs wait. What was queued before there were turns is nobody's.
local function depth()
  local waiting, nobodys = 0, true
  for _, list in ipairs({ TURNS, BACKGROUND, BOUND }) do
    for _, owner in ipairs(redis.call('ZRANGE', list, 0, -1)) do
      waiting = waiting + redis.call('ZCARD', line_of(owner))
      nobodys = nobodys and owner ~= ''
    end
  end
  return nobodys and waiting + redis.call('ZCARD', line_of('')) or waiting
end

-- Whether it may be that as many wait as `most`; '': any number may. All that wait are in `due`, and all that are about to: while
-- that has 10,000 fewer, nobody need count them, nor keep places for those that are submitted and not queued yet.
local function may_be_full(most, due)
  return most ~= '' and redis.call('ZCARD', due) + 10000 >= tonumber(most)
end

-- Whether as many wait, or are about to, as `most`. Writes nothing: behind a write that needs no memory Redis lets a script write what
-- it has no memory for.
local function full(most, now)
  return depth() + redis.call('ZCOUNT', COMING, '(' .. int(now), '+inf') >= tonumber(most)
end

-- Keeps a place for what is submitted, and queued in another step.
local function will_come(id, now, ms)
  redis.call('ZADD', COMING, int(now + ms), id)
  redis.call('ZREMRANGEBYSCORE', COMING, '-inf', int(now))
  redis.call('PEXPIRE', COMING, ms)
end

