#!lua flags=allow-oom
-- uses clock, common, ending
-- Ends a generation as finish does, and files it in the same step, where one server plays both roles. Redis cannot take back the
-- end and keep what was filed: nobody need look whether the end has stood.
--
-- KEYS  record, log, tombstone, due, expiring, index:running, the index of its end, its job, the job's lock [, archive]
-- ARGV  as finish's, then generation id, ms that it is kept beyond its retention, index ms [, ms until it is archived]
-- Returns as finish.
local now = now_ms()
local ended = finish(KEYS, ARGV, now)
if not ended[3] then return ended end
redis.call('ZREM', KEYS[6], ARGV[13])
redis.call('ZADD', KEYS[7], int(ended[4] * 1000), ARGV[13])
redis.call('ZREM', KEYS[4], ARGV[13])
redis.call('ZADD', KEYS[5], int(now + ended[5] + tonumber(ARGV[14])), ARGV[13])
redis.call('PEXPIRE', KEYS[5], ARGV[15])
redis.call('PEXPIRE', KEYS[7], ARGV[15])
redis.call('DEL', KEYS[8], KEYS[9])
if KEYS[10] then
  redis.call('ZADD', KEYS[10], int(now + tonumber(ARGV[16])), ARGV[13])
  redis.call('PEXPIRE', KEYS[10], ARGV[15])
end
return ended
