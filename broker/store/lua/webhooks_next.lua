-- uses clock
-- Sets when a webhook that was taken is looked at next, unless somebody else has set that meanwhile.
--
-- KEYS  webhooks
-- ARGV  generation, until when it was taken (ms), ms from now ('': never)
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], int(now_ms() + tonumber(ARGV[3])), ARGV[1])
end
