#!lua flags=allow-oom
-- uses clock
-- Notes what a try to deliver a webhook came to: in the record, while there is one, and in what was put aside, which goes where there is
-- no further try.
--
-- KEYS  record, webhook
-- ARGV  id of the end that was told, tries before this one, what the record says of it but for the time of the next try: JSON without
--       its closing brace, ms until that ('': there is none)
-- Returns 1, or 0 if that end is not what is to be told, or somebody else has noted this try.
local r = redis.call('HMGET', KEYS[2], 'terminal_id', 'tries')
if r[1] ~= ARGV[1] or (r[2] or '0') ~= ARGV[2] then return 0 end
local at = 'null'
if ARGV[4] == '' then
  redis.call('DEL', KEYS[2])
else
  at = int(now_ms() + tonumber(ARGV[4]))
  redis.call('HSET', KEYS[2], 'tries', int(tonumber(ARGV[2]) + 1), 'next_at_ms', at)
end
if redis.call('HGET', KEYS[1], 'terminal_id') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'delivery', ARGV[3] .. ',"next_at_ms":' .. at .. '}')
end
return 1
