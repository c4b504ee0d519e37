-- uses clock
-- Generations that may not start yet are looked at when they may, and not before; those that may by now, at once.
--
-- KEYS  due, starting
-- ARGV  index ms, then generation id, ms at which it may start …
local now = now_ms()
for i = 2, #ARGV, 2 do
  if tonumber(ARGV[i + 1]) > now then
    redis.call('ZADD', KEYS[2], ARGV[i + 1], ARGV[i])
    redis.call('ZREM', KEYS[1], ARGV[i])
  else
    redis.call('ZADD', KEYS[1], int(now), ARGV[i])
  end
end
for _, list in ipairs(KEYS) do redis.call('PEXPIRE', list, ARGV[1]) end
