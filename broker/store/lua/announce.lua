#!lua
-- uses clock
-- Notes on which logs server a process of one role works, and tells on which others do. Of a role the 100 that were
-- announced last are kept.
--
-- KEYS  the set of the process's own role, that of the other role, that of the APIs
-- ARGV  identity of its logs server, ms that an announcement is live, ms that it is remembered
-- Returns the live identities of the other role, then all that APIs have announced.
local now, live_ms, remembered_ms = now_ms(), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], int(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. int(now - remembered_ms))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -101)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
-- What is beyond now was announced before the clock jumped back: by whom lives it is announced anew.
local live = redis.call('ZRANGE', KEYS[2], int(now - live_ms), int(now), 'BYSCORE')
return { live, redis.call('ZRANGE', KEYS[3], int(now - remembered_ms), '+inf', 'BYSCORE') }
