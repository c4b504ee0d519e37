#!lua flags=allow-oom
-- uses clock, common
-- Ends a generation: the terminal entry, the terminal state and the figures in one step. It may use memory beyond the
-- limit, as the end of a running generation must be tellable when Redis is full. The entry gets an attempt of its own, as
-- all ends do: its figures hold the time, so a finish repeated after Redis lost the first one would give its id other bytes.
--
-- KEYS  record, log, tombstone
-- ARGV  channel, attempt, seq behind its last entry, remembered ms, state, stop reason, error code, error message,
--       retryable '0' | '1'
-- Returns {'ended', state} (also if an earlier call of the same did it), or refuses:
--   {'fenced'}        another attempt runs, or there is no record, or its log has gone
--   {'behind', seq}   the log ends at seq, before the entry that should precede the end
local r = redis.call('HMGET', KEYS[1], 'state', 'attempt')
if r[1] and TERMINAL[r[1]] then return { 'ended', r[1] } end
if r[1] ~= 'running' or r[2] ~= ARGV[2] then return { 'fenced' } end
local holder, last = tail(KEYS[2])
if int(holder) ~= ARGV[2] then return { 'fenced' } end
local seq = tonumber(ARGV[3])
if last + 1 < seq then return { 'behind', int(last) } end
if last + 1 > seq then return { 'fenced' } end
seal(KEYS, ARGV[1], now_ms(),
  { state = ARGV[5], stop_reason = ARGV[6], code = ARGV[7], message = ARGV[8], retryable = ARGV[9] == '1' },
  tonumber(ARGV[4]))
return { 'ended', ARGV[5] }
