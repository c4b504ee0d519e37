-- uses clock
-- Puts the job of a generation's next attempt into the queue, in the order of submits, and wakes a worker. Repeating it changes
-- nothing. What is enqueued anew keeps its place: before everything that was submitted later.
--
-- KEYS  queue, wake, due, index:all, the job
-- ARGV  generation id, name of the job, the job, how long it is kept in ms, ms of the submit if the index has forgotten it
--       ('': now), wake ms, index ms
local submitted_us = redis.call('ZSCORE', KEYS[4], ARGV[1])
local place = submitted_us and tonumber(submitted_us) / 1000 or tonumber(ARGV[5]) or now_ms()
redis.call('SET', KEYS[5], ARGV[3], 'PX', ARGV[4], 'NX')
redis.call('ZADD', KEYS[1], 'NX', string.format('%.3f', place), ARGV[2])
redis.call('LPUSH', KEYS[2], ARGV[2])
-- There need be no more of them than workers: one that was woken takes jobs until none is left.
redis.call('LTRIM', KEYS[2], 0, 999)
redis.call('PEXPIRE', KEYS[2], ARGV[6])
-- An API process that was paused for long may find that a sweeper has taken the id for one never submitted.
redis.call('ZADD', KEYS[3], 'NX', 0, ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
