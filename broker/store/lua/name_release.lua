#!lua
-- Takes a claim of a name back, of which nothing was made.
--
-- KEYS  the name
-- ARGV  the claim, and what stood there before it ('' for nothing), each as it is kept
-- Returns 1; 0 if the claim is not there any more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
end
return 1
