-- uses clock
-- Sets when generations are looked at next.
--
-- KEYS  where they are listed with that time, and, optionally, where no longer
-- ARGV  index ms, then generation id, ms from now …
local now = now_ms()
for i = 2, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], int(now + tonumber(ARGV[i + 1])), ARGV[i])
  if KEYS[2] then redis.call('ZREM', KEYS[2], ARGV[i]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
