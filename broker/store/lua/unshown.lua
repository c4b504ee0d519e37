-- uses clock
-- Notes that a generation's asker lost its connection before it was shown anything: a repeat of the same request may have it.
--
-- KEYS  what was asked, and by whom
-- ARGV  the generation, how many are kept, ms that the key lives
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, int(tonumber(ARGV[2]) - 1))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
