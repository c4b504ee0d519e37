#!lua flags=allow-oom
-- uses clock, common
-- Erases a generation, whatever its state: record, log and what a webhook is to tell are gone, its worker and its viewers are told.
-- The tombstone says so from here on, and that nothing is made under this id again; it keeps whose it was, and which object of the
-- archive is to be erased yet. It may use memory beyond the limit: it frees more.
--
-- KEYS  record, log, tombstone, webhook, sync
-- ARGV  channel, workers' cancel channel, generation id, ms that a tombstone is kept at least
-- Returns {'erased' | 'again', the state that it had or '', its owner or '', the mark of its object or ''}; or refuses:
--   {'unknown'}   there is no record, and none is remembered
--   {'expired'}   there was one
local tombstone = redis.call('GET', KEYS[3])
local owner, mark = string.match(tombstone or '', '^%d+ erased ([^/]*)/(.*)$')
local r = redis.call('HMGET', KEYS[1], 'state', 'owner', 'archived', 'created_ms')
if not r[1] then
  if owner then return { 'again', '', owner, mark } end
  return { tombstone and 'expired' or 'unknown' }
end
-- A record beside such a tombstone is from before: Redis came back with a part of what it had.
local now = now_ms()
local attempt, seq = tail(KEYS[2])
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[4], KEYS[5])
owner, mark = r[2] or '', r[3] or ''
local life = math.max(redis.call('PTTL', KEYS[3]), tonumber(ARGV[4]))
redis.call('SET', KEYS[3], r[4] .. ' erased ' .. owner .. '/' .. mark, 'PX', int(life))
local id = int(new_attempt(now, attempt)) .. '-0'
redis.call('SPUBLISH', ARGV[1], int(attempt) .. '-' .. int(seq) .. ' ' .. id .. '\n' .. netstring('x', ''))
redis.call('PUBLISH', ARGV[2], ARGV[3])
return { 'erased', r[1], owner, mark }
