-- uses clock, fingerprints, creating, tenants, turns, pace, charges, limits, lists
-- All of a submit in one step, where one server plays both roles and no idempotency key may name a generation that is there: the
-- record, the place in `due`, the lists, the job and the bell. What is there already was made whole by the same call, whose reply was
-- lost: nothing changes.
--
-- KEYS  record, tombstone, due, index:all, index:queued, its line, wake, the job, starting, tenants [, what tells its tags, the
--       list of each]; and, not declared, what is kept of its owner's limits
-- ARGV  as create's, then generation id, first due in ms, name of the job, the job, wake ms, index ms, how many may
--       wait or '', what of limits it is held against (see limits.lua; '': nothing)
-- Returns what create does, and, of a record that was made, the ms of its submit, how many go before it in its line and how many
-- tenants take turns (both nil if it does not wait yet), and, where requests are counted, how many more may come at once and ms until
-- a whole burst may; or refuses, with nothing done:
--   {'full'}                   as many wait as may
--   {'limited', which, ms}     it would pass this limit; the same may fare better then
local us = now_us()
local now = math.floor(us / 1000)
local id, first_ms, name, job, wake_ms, index_ms, most, held = unpack(ARGV, #ARGV - 7)
local left, full_ms
local close = may_be_full(most, KEYS[3])
if (close or held ~= '') and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then
  if close and full(most, now) then return { 'full' } end
  local reached
  reached, left, full_ms = charge(ARGV[8], held, id, us, index_ms)
  if reached then return { 'limited', reached, left } end
end
local verdict = create(KEYS, ARGV, now)
if verdict ~= 'created' then return { verdict } end
local score = list_submitted(KEYS[4], KEYS[5], id, us, index_ms)
note_owner(KEYS[10], id, ARGV[8], index_ms)
if KEYS[11] then list_tagged(KEYS, 11, id, score, index_ms) end
local start, delay = tonumber(ARGV[13]), tonumber(ARGV[14])
if start and start > now then
  redis.call('ZADD', KEYS[9], ARGV[13], id)
  redis.call('PEXPIRE', KEYS[9], index_ms)
  return { verdict, now, false, false, left, full_ms }
end
redis.call('ZADD', KEYS[3], int(now + tonumber(first_ms)), id)
redis.call('PEXPIRE', KEYS[3], index_ms)
local place = place_of(now, start, delay) or score / 1000
queue_job(KEYS[6], KEYS[7], KEYS[8], name, job, ARGV[1], place, wake_ms, index_ms)
return { verdict, now, redis.call('ZRANK', KEYS[6], name), tenants_in_line(), left, full_ms }
