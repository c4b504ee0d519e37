-- uses clock
-- Sets when generations are looked at next.
--
-- KEYS  due
-- ARGV  index ms, then generation id, ms from now …
local now, looks = now_ms(), {}
for i = 2, #ARGV, 2 do looks[i - 1], looks[i] = int(now + tonumber(ARGV[i + 1])), ARGV[i] end
redis.call('ZADD', KEYS[1], unpack(looks))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
