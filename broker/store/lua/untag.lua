-- Takes generations off the lists of their tags.
--
-- KEYS  for each what tells its tags
-- ARGV  prefix of the lists, then the generation ids
for i, key in ipairs(KEYS) do
  local digests = redis.call('GET', key)
  if digests then
    for digest in string.gmatch(digests, '%S+') do redis.call('ZREM', ARGV[1] .. digest, ARGV[i + 1]) end
    redis.call('DEL', key)
  end
end
