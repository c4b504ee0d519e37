-- uses clock, fingerprints, tenants, turns, pace, charges, limits, lists
-- Accepts a request on the coordination side: its idempotency key and its `due` entry in one step, so that a generation
-- that a client was told of is always looked after. Repeating it with the same id changes nothing.
--
-- KEYS  due, index:all, index:queued, tenants [, idempotency key] [, what tells its tags, the list of each]; and, not
--       declared, what is kept of its owner's limits
-- ARGV  generation id, body fingerprint, idempotency ms, first due in ms, index ms, which of KEYS is the idempotency key ('0':
--       none), which is the first of the tags' ('0': none), its owner or '', how many may wait or '',
--       ms within which it is queued, what of limits it is held against (see limits.lua; '': nothing)
-- Returns {'accepted' | 'known', generation id}, and, of one that was accepted where requests are counted, how many more may come at
-- once, and ms until a whole burst may; {'mismatch', generation id} if the key names another body; or refuses, with nothing done:
--   {'full', generation id}    as many wait as may
--   {'limited', which, ms}     it would pass this limit; the same may fare better then
local us = now_us()
local now = math.floor(us / 1000)
local verdict, id = 'accepted', ARGV[1]
local key = KEYS[tonumber(ARGV[6])]
local before = key and redis.call('GET', key)
if before then
  local known, fingerprint = string.match(before, '^(%S+) (%S+)$')
  if not same(fingerprint, ARGV[2]) then return { 'mismatch', known } end
  if known ~= id then verdict, id = 'known', known end
end
local left, full_ms
local close = may_be_full(ARGV[9], KEYS[1])
local held = close or ARGV[11] ~= ''
-- What is listed was accepted by the same call, whose reply was lost.
if held and verdict == 'accepted' and not redis.call('ZSCORE', KEYS[2], id) then
  if close and full(ARGV[9], now) then return { 'full', id } end
  local reached
  reached, left, full_ms = charge(ARGV[8], ARGV[11], id, us, ARGV[5])
  if reached then return { 'limited', reached, left } end
  if close then will_come(id, now, tonumber(ARGV[10])) end
end
if key and not before then redis.call('SET', key, id .. ' ' .. kept(ARGV[2]), 'PX', ARGV[3]) end
-- Of a known one too: a sweeper may have taken the id for one that was never made.
redis.call('ZADD', KEYS[1], 'NX', int(now + tonumber(ARGV[4])), id)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if verdict == 'accepted' then
  local score = list_submitted(KEYS[2], KEYS[3], id, us, ARGV[5])
  note_owner(KEYS[4], id, ARGV[8], ARGV[5])
  if ARGV[7] ~= '0' then list_tagged(KEYS, tonumber(ARGV[7]), id, score, ARGV[5]) end
end
return { verdict, id, left, full_ms }
