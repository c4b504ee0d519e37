#!lua flags=allow-oom
-- uses clock, hooks, common, cost, ending, tenants, charges, turns
-- Ends a generation as finish does, and files it in the same step, where one server plays both roles. Redis cannot take back the
-- end and keep what was filed: nobody need look whether the end has stood.
--
-- KEYS  record, log, tombstone, webhook, due, expiring, index:running, the index of its end, its job, the job's lock, webhooks,
--       running, wake [, archive]; and, not declared, the ledger of its owner
-- ARGV  as finish's, then generation id, ms that it is kept beyond its retention, index ms, ms until it is archived or '',
--       its owner or '', wake ms
-- Returns as finish.
local now = now_ms()
local ended = finish(KEYS, ARGV, now)
if not ended[3] then return ended end
local due, expiring, running, final, job, lock, webhooks, all_running, wake, archive = unpack(KEYS, 5)
local id, slack_ms, index_ms, archive_ms, owner, wake_ms = unpack(ARGV, #ARGV - 5)
redis.call('ZREM', running, id)
redis.call('ZREM', all_running, id)
redis.call('ZADD', final, int(ended[4] * 1000), id)
redis.call('ZREM', due, id)
redis.call('ZADD', expiring, int(now + ended[5] + tonumber(slack_ms)), id)
redis.call('PEXPIRE', expiring, index_ms)
redis.call('PEXPIRE', final, index_ms)
redis.call('DEL', job, lock)
leave_slot(owner, wake, wake_ms, index_ms)
if ended[6] == 1 then
  redis.call('ZADD', webhooks, 'NX', int(now), id)
  redis.call('PEXPIRE', webhooks, index_ms)
end
if ended[8] then charge_end(ended[7], id, ended[4], true, ended[8], ended[9], now, index_ms) end
if archive then
  redis.call('ZADD', archive, int(now + tonumber(archive_ms)), id)
  redis.call('PEXPIRE', archive, index_ms)
end
return ended
