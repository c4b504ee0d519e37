#!lua flags=allow-oom
-- uses clock, lease, common
-- Asks for the end. The key is the truth: whoever appends or claims next sees it. If nobody runs the generation, it ends
-- here.
--
-- KEYS  record, log, cancel, tombstone
-- ARGV  channel, workers' cancel channel, generation id, waiting ms, remembered ms
-- Returns {'cancelled'} it ended here, {'cancelling'} its worker was told, {'ended', state} too late, or {'unknown'}.
local r = redis.call('HMGET', KEYS[1], 'state', 'lease_until', 'lease_ms')
if not r[1] then return { 'unknown' } end
if TERMINAL[r[1]] then return { 'ended', r[1] } end
local now = now_ms()
if lease_left(KEYS[1], now, r[2], r[3]) == 0 then
  seal(KEYS, ARGV[1], now, { state = 'cancelled', stop_reason = '' }, tonumber(ARGV[5]))
  return { 'cancelled' }
end
redis.call('SET', KEYS[3], '1', 'PX', ARGV[4])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return { 'cancelling' }
