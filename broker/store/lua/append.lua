-- uses clock
-- Appends an attempt's entries, all or none, and tells whether a cancel is pending. The same call repeated writes
-- nothing twice: what the log already has of it is skipped, by seq. This is the token path: a token costs one write, and
-- nothing is read or made that it does not need.
--
-- There is a lease only while an attempt runs. Where the log ends is told by its length: the claim has noted how long it was,
-- and since then only this attempt appends.
--
-- KEYS  record, log
-- ARGV  channel, attempt, seq of the first entry, new lease in ms ('0': leave it), usage JSON and, behind an LF, what
--       it cost, JSON, if that is known ('': leave both), then kind,
--       value …
-- Returns the seq of the log's last entry, or, if a cancel is pending, {that seq, 1}; or refuses:
--   {-1}        fenced: the generation does not run, or by another attempt, or this one has given its lease back (which must
--               not be renewed then), or the log has gone (it is never made anew)
--   {-2, seq}   the log ends at seq, before the entry that should precede these: Redis came back without its tail
local attempt, first = ARGV[2], tonumber(ARGV[3])
local r = redis.call('HMGET', KEYS[1], 'attempt', 'lease_until', 'before', 'first_ms', 'cancel')
if r[1] ~= attempt or not r[2] then return { -1 } end
local last = redis.call('XLEN', KEYS[2]) - r[3] - 1
if last < 0 then return { -1 } end
local skip = last + 1 - first
if skip < 0 then return { -2, last } end

-- As the text that it is, if it can be: Lua writes a number in the time in which Redis reads a field.
local next_seq = skip == 0 and ARGV[3] or last + 1
local live, others = { attempt .. '-' .. next_seq .. '\n' }, 0
for i = 6 + 2 * skip, #ARGV, 2 do
  local kind, value = ARGV[i], ARGV[i + 1]
  redis.call('XADD', KEYS[2], 'NOMKSTREAM', attempt .. '-' .. next_seq, kind, value)
  next_seq = next_seq + 1
  live[#live + 1] = kind .. #value .. ':' .. value
  if kind ~= 't' and kind ~= 'k' and kind ~= 'i' and kind ~= 'T' and kind ~= 'K' and kind ~= 'I' then others = others + 1 end
end
local seq = next_seq - 1
if seq > last then redis.call('SPUBLISH', ARGV[1], table.concat(live)) end
if others > 0 then redis.call('HINCRBY', KEYS[1], 'others', others) end
local first_chunk = not r[4] and seq - last > others
if first_chunk or ARGV[4] ~= '0' then
  local now = now_ms()
  if first_chunk then redis.call('HSET', KEYS[1], 'first_ms', int(now)) end
  if ARGV[4] ~= '0' then redis.call('HSET', KEYS[1], 'lease_until', int(now + ARGV[4])) end
end
if ARGV[5] ~= '' then
  local usage, cost = string.match(ARGV[5], '^([^\n]*)\n?(.*)$')
  redis.call('HSET', KEYS[1], 'usage', usage)
  if cost ~= '' then redis.call('HSET', KEYS[1], 'cost', cost) else redis.call('HDEL', KEYS[1], 'cost') end
end
if r[5] then return { seq, 1 } end
return seq
