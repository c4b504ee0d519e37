#!lua flags=allow-oom
-- A write for its own sake: something for Redis to sync or to replicate.
--
-- KEYS  sync
-- ARGV  ms that it lives
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
