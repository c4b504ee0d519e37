#!lua flags=allow-oom
-- uses clock, lease, hooks, common
-- Asks for the end. The record is the truth: whoever appends or claims next sees it there. If nobody runs the generation, it ends
-- here.
--
-- KEYS  record, log, tombstone, webhook
-- ARGV  channel, workers' cancel channel, generation id, remembered ms
-- Returns {'cancelled'} it ended here, {'cancelling'} its worker was told, {'ended', state} too late, or {'unknown'}.
local r = redis.call('HMGET', KEYS[1], 'state', 'lease_until', 'lease_ms')
if not r[1] then return { 'unknown' } end
if TERMINAL[r[1]] then return { 'ended', r[1] } end
local now = now_ms()
if lease_left(KEYS[1], now, r[2], r[3]) == 0 then
  seal(KEYS, ARGV[1], now, { state = 'cancelled', stop_reason = '' }, tonumber(ARGV[4]))
  return { 'cancelled' }
end
redis.call('HSETNX', KEYS[1], 'cancel', 'requested')
redis.call('PUBLISH', ARGV[2], ARGV[3])
return { 'cancelling' }
