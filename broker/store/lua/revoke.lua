#!lua flags=allow-oom
-- uses clock, lease, common, attempts
-- Takes the lease from an attempt whose worker is dead, and tells viewers so at once: `recovering`. From here on that worker, should
-- it only have been paused, is refused whatever it appends, and its finish too.
--
-- The entry has an attempt of its own, as an end has: under the dead attempt's next seq it would take an id that the worker may have
-- used, or use, for other bytes, if Redis comes back without this step.
--
-- KEYS  record, log
-- ARGV  channel, the attempt that is known to be dead, or '' for whichever has let its lease run out
-- Returns 1, or 0 if there is no such lease (any more).
local r = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'lease_until', 'lease_ms', 'ordinal', 'cancel')
if r[1] ~= 'running' or not r[3] then return 0 end
local now = now_ms()
if ARGV[2] ~= '' then
  if ARGV[2] ~= r[2] then return 0 end
elseif lease_left(KEYS[1], now, r[3], r[4]) > 0 then
  return 0
end
local _, chunks = settle(KEYS[1], KEYS[2], false)
local attempt, seq = tail(KEYS[2])
-- A log that has gone is never made anew; and behind a cancel comes the end.
if attempt == 0 or r[6] then return 1 end
local id = int(new_attempt(now, attempt)) .. '-0'
local json = '{"type":"recovering","attempt":' .. r[5] .. '}'
redis.call('XADD', KEYS[2], 'NOMKSTREAM', id, 'j', json)
-- Chunks are counted from the log's last id on: that is another attempt's now.
redis.call('HSET', KEYS[1], 'kept', int(chunks), 'others', '0')
redis.call('SPUBLISH', ARGV[1], int(attempt) .. '-' .. int(seq) .. ' ' .. id .. '\n' .. netstring('j', json))
return 1
