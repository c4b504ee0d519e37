-- Shared by the scripts that list and queue what was submitted.

local HOUR_US = 3600000000

-- Lists a generation as submitted now, behind all others of its owner; returns its score (µs). The order of
-- submits, and with it the queue's, stands even where the clock jumps back.
local function list_submitted(all, queued, id, us, index_ms)
  local newest = tonumber(redis.call('ZRANGE', all, -1, -1, 'WITHSCORES')[2] or '0')
  local score = math.max(us, newest + 1)
  redis.call('ZADD', all, 'NX', int(score), id)
  -- The first of an hour has the list of all live on: that lives for very much longer, and is never empty meanwhile.
  if newest > us or math.floor(newest / HOUR_US) ~= math.floor(us / HOUR_US) then redis.call('PEXPIRE', all, index_ms) end
  redis.call('ZADD', queued, 'NX', int(score), id)
  redis.call('PEXPIRE', queued, index_ms)
  return score
end

-- Notes whose a generation is, if it is somebody's: so that its lists are found when its record has gone.
local function note_owner(tenants, id, owner, index_ms)
  if owner == '' then return end
  redis.call('HSET', tenants, id, owner)
  redis.call('PEXPIRE', tenants, index_ms)
end

-- Lists a generation under its tags too, with the score that it has in the list of all. `K` has, from `first` on, what
-- tells its tags, and the list of each.
local function list_tagged(K, first, id, score, index_ms)
  local digests = {}
  for i = first + 1, #K do
    redis.call('ZADD', K[i], int(score), id)
    redis.call('PEXPIRE', K[i], index_ms)
    digests[i - first] = string.match(K[i], '([^:]*)$')
  end
  redis.call('SET', K[first], table.concat(digests, ' '), 'PX', index_ms)
end

-- Puts a job into its line, in its `place` (ms of the submit), and wakes a worker. That of a later attempt stands in front: its
-- generation has begun, and has left its slot. Whoever uses it uses turns.lua.
local function queue_job(line, wake, job, name, content, waiting_ms, place, wake_ms, index_ms)
  local _, ordinal, owner = parts_of(name)
  if ordinal ~= '1' then place = place - BEGUN end
  redis.call('SET', job, content, 'PX', waiting_ms, 'NX')
  redis.call('ZADD', line, 'NX', string.format('%.3f', place), name)
  redis.call('PEXPIRE', line, index_ms)
  if ordinal ~= '1' then leave_slot(owner, wake, wake_ms, index_ms) end
  line_up(owner, place, index_ms)
  -- There need be no more bells than workers: one that was woken takes jobs until none is left.
  if redis.call('LPUSH', wake, name) > 1000 then redis.call('LTRIM', wake, 0, 999) end
  redis.call('PEXPIRE', wake, wake_ms)
end

