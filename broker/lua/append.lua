-- uses common
-- Appends an attempt's entries, all or none, and tells, if asked, whether a cancel is pending. The same call repeated writes
-- nothing twice: what the log already has of it is skipped, by seq. This is the token path: a token costs one write.
--
-- KEYS  record, log, cancel
-- ARGV  channel, attempt, seq of the first entry, new lease in ms ('0': leave it), usage JSON ('': leave it),
--       '1' to look for a cancel, then kind, value …
-- Returns {seq of the log's last entry, cancel pending 0 | 1 (0 if not looked for)}, or refuses:
--   {-1}        fenced: the generation is not running, or another attempt is, or this one has given its lease back (which
--               must not be renewed then), or the log has gone (it is never made anew)
--   {-2, seq}   the log ends at seq, before the entry that should precede these: Redis came back without its tail
local r = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'lease_until', 'first_ms')
if r[1] ~= 'running' or r[2] ~= ARGV[2] or not r[3] then return { -1 } end
local attempt, first = ARGV[2], tonumber(ARGV[3])
local holder, last = tail(KEYS[2])
if int(holder) ~= attempt then return { -1 } end
local skip = last + 1 - first
if skip < 0 then return { -2, last } end

local seq, others, live = last, 0, {}
for i = 7 + 2 * skip, #ARGV, 2 do
  local kind, value = ARGV[i], ARGV[i + 1]
  seq = seq + 1
  redis.call('XADD', KEYS[2], 'NOMKSTREAM', attempt .. '-' .. seq, kind, value)
  live[#live + 1] = kind .. #value .. ':' .. value
  if kind ~= 't' and kind ~= 'k' and kind ~= 'i' then others = others + 1 end
end
if others > 0 then redis.call('HINCRBY', KEYS[1], 'others', others) end
if not r[4] and #live > others then redis.call('HSET', KEYS[1], 'first_ms', int(now_ms())) end
if ARGV[4] ~= '0' then redis.call('HSET', KEYS[1], 'lease_until', int(now_ms() + tonumber(ARGV[4]))) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'usage', ARGV[5]) end
if #live > 0 then
  redis.call('PUBLISH', ARGV[1],
    attempt .. '-' .. last .. ' ' .. attempt .. '-' .. (last + 1) .. '\n' .. table.concat(live))
end
return { seq, ARGV[6] == '1' and redis.call('EXISTS', KEYS[3]) or 0 }
