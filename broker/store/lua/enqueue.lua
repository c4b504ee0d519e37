-- uses clock, tenants, turns, lists
-- Puts the job of a generation's next attempt into the line of whose it is, in the order of submits, and wakes a worker. Repeating it
-- changes nothing. What is enqueued anew goes before everything that was submitted later.
--
-- KEYS  its line, wake, due, index:all, the job; and, not declared, what turns.lua names
-- ARGV  generation id, name of the job, the job, how long it is kept in ms, ms of the submit if the index has forgotten it
--       ('': now), wake ms, index ms, its place in ms where that is not its submit (else '')
local submitted_us = redis.call('ZSCORE', KEYS[4], ARGV[1])
local place = tonumber(ARGV[8]) or submitted_us and tonumber(submitted_us) / 1000 or tonumber(ARGV[5]) or now_ms()
queue_job(KEYS[1], KEYS[2], KEYS[5], ARGV[2], ARGV[3], ARGV[4], place, ARGV[6], ARGV[7])
redis.call('ZREM', COMING, ARGV[1])
-- An API process that was paused for long may find that a sweeper has taken the id for one never submitted.
if redis.call('ZADD', KEYS[3], 'NX', 0, ARGV[1]) == 1 then redis.call('PEXPIRE', KEYS[3], ARGV[7]) end
