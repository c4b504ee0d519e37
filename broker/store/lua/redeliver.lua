-- uses clock, hooks
-- Has the end of a generation told again by its webhook, whatever came of that before: its tries begin anew.
--
-- KEYS  record, webhook
-- ARGV  what the record says of it then but for the time of the next try: JSON without its closing brace
-- Returns 'pending', or refuses: 'unknown', 'no webhook', 'not ended'.
local r = redis.call('HMGET', KEYS[1], 'terminal_id', 'webhook')
if redis.call('EXISTS', KEYS[1]) == 0 then return 'unknown' end
if not r[2] then return 'no webhook' end
if not r[1] then return 'not ended' end
set_aside(KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'delivery', ARGV[1] .. ',"next_at_ms":' .. int(now_ms()) .. '}')
return 'pending'
