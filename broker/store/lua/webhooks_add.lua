-- uses clock
-- Has webhooks tried: now, unless they have a place already that is not to change.
--
-- KEYS  webhooks
-- ARGV  index ms, '1': whatever place they have, then the generations
local scored = {}
for i = 3, #ARGV do scored[2 * i - 5], scored[2 * i - 4] = int(now_ms()), ARGV[i] end
if ARGV[2] == '1' then
  redis.call('ZADD', KEYS[1], unpack(scored))
else
  redis.call('ZADD', KEYS[1], 'NX', unpack(scored))
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
