-- uses clock, lists
-- Lists a generation under its tags again, where coordination has lost that. Repeating it changes nothing.
--
-- KEYS  index:all, what tells its tags, the list of each
-- ARGV  generation id, ms of the submit, index ms
local score = redis.call('ZSCORE', KEYS[1], ARGV[1]) or ARGV[2] * 1000
list_tagged(KEYS, 2, ARGV[1], tonumber(score), ARGV[3])
