-- Accepts a request on the coordination side: its idempotency key and its `due` entry in one step, so that a generation
-- that a client was told of is always looked after. Repeating it with the same id changes nothing.
--
-- KEYS  due, index:all, index:queued [, idempotency key]
-- ARGV  generation id, body fingerprint, idempotency ms, first due in ms, index ms
-- Returns {'accepted' | 'known', generation id}, or {'mismatch', generation id} if the key names another body.
local t = redis.call('TIME')
local us = tonumber(t[1]) * 1000000 + tonumber(t[2])
local verdict, id = 'accepted', ARGV[1]
if KEYS[4] then
  local before = redis.call('GET', KEYS[4])
  if before then
    local known, fingerprint = string.match(before, '^(%S+) (%S+)$')
    if fingerprint ~= ARGV[2] then return { 'mismatch', known } end
    if known ~= id then verdict, id = 'known', known end
  else
    redis.call('SET', KEYS[4], id .. ' ' .. ARGV[2], 'PX', ARGV[3])
  end
end
-- Of a known one too: a sweeper may have taken the id for one that was never made.
redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', math.floor(us / 1000) + tonumber(ARGV[4])), id)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if verdict == 'accepted' then
  -- The order of submits, and with it the queue's, stands even where the clock jumps back.
  local newest = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
  local score = string.format('%.0f', math.max(us, tonumber(newest[2] or '0') + 1))
  redis.call('ZADD', KEYS[2], 'NX', score, id)
  redis.call('ZADD', KEYS[3], 'NX', score, id)
  for i = 2, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[5]) end
end
return { verdict, id }
