-- uses clock, lease, hooks, common, attempts
-- Grants the right to produce a generation: a new attempt, a lease, and the entry `<attempt>-0` which fences every
-- earlier attempt, as Redis refuses ids at or below the last one.
--
-- KEYS  record, log, tombstone, webhook
-- ARGV  channel, claimant (a name that no other claim has), lease ms, waiting ms, remembered ms, attempts that may count,
--       id of the last entry that the plan was made from ('0-0': none), 'run' or 'fail' (what to do after an interruption),
--       JSON of the first entry without its closing brace, chunks that are kept, attempts in all, output tokens that may be paid for
--       ('0': any number), '1' if what this attempt puts out must be checked before it may stay, '1' if it discards what earlier
--       ones have made, else '0'
-- Returns {'granted', attempt, ordinal, output tokens that were paid for at least}, or refuses:
--   {'unknown'}           there is no record
--   {'ended', state}      it is terminal
--   {'held', ms}          another attempt's lease is alive for so long
--   {'moved'}             the log has grown since the plan was made: read it again
--   {'sealed', state}     it ended here and now: a cancel was pending, or no attempt may follow
local r = redis.call('HMGET', KEYS[1], 'state', 'lease_until', 'ordinal', 'spent', 'claimant', 'attempt', 'lease_ms', 'cancel',
  'started_ms', 'created_ms')
local state = r[1]
if not state then return { 'unknown' } end
if TERMINAL[state] then return { 'ended', state } end
local now = now_ms()
local left = lease_left(KEYS[1], now, r[2], r[7])
-- The same claim again: its reply was lost on the way.
if left > 0 and r[5] == ARGV[2] then return { 'granted', r[6], r[3], int(paid(KEYS[1])) } end
if left > 0 then return { 'held', int(left) } end

local channel, remembered = ARGV[1], tonumber(ARGV[5])
local final
local ordinal, spent = tonumber(r[3] or '0'), tonumber(r[4] or '0')
-- Its worker is dead, and nobody has noticed yet.
if r[2] then spent = settle(KEYS[1], KEYS[2], false) end
local most_paid, tokens = tonumber(ARGV[12]), paid(KEYS[1])
if r[8] then
  final = { state = 'cancelled', stop_reason = '' }
elseif ordinal > 0 and ARGV[8] == 'fail' then
  final = { state = 'failed', code = 'interrupted', retryable = true,
    message = 'The attempt was interrupted, and on_interrupt is fail.' }
elseif spent >= tonumber(ARGV[6]) then
  final = { state = 'failed', code = 'attempts_exhausted', retryable = true,
    message = 'Every attempt that was allowed has been interrupted.' }
elseif ordinal >= tonumber(ARGV[11]) then
  final = { state = 'failed', code = 'attempts_exhausted', retryable = true,
    message = 'There were ' .. int(ordinal) .. ' attempts, as many as may be.' }
elseif most_paid > 0 and tokens >= most_paid then
  final = { state = 'failed', code = 'spend_exceeded', retryable = false, status = '422',
    message = 'As many output tokens as may be were spent on attempts that broke off.' }
end
if final then
  seal(KEYS, channel, now, final, remembered)
  return { 'sealed', final.state }
end

-- The first attempt is what makes the log.
local last_attempt, last_seq, before = 0, 0, 0
if ordinal > 0 then
  last_attempt, last_seq = tail(KEYS[2])
  before = redis.call('XLEN', KEYS[2])
end
local prev = int(last_attempt) .. '-' .. int(last_seq)
if prev ~= ARGV[7] then return { 'moved' } end

local attempt = int(new_attempt(now, last_attempt))
local id = attempt .. '-0'
local json = ARGV[9] .. ',"attempt":' .. int(ordinal + 1) .. '}'
redis.call('XADD', KEYS[2], id, 's', json)
redis.call('HSET', KEYS[1], 'state', 'running', 'attempt', attempt, 'ordinal', int(ordinal + 1), 'spent', int(spent + 1),
  'before', before, 'claimant', ARGV[2], 'lease_until', int(now + tonumber(ARGV[3])),
  'lease_ms', ARGV[3], 'kept', ARGV[10], 'others', '0', 'started_ms', r[9] or int(now),
  'guarded', ARGV[13])
if ARGV[14] == '1' then
  local before = redis.call('HMGET', KEYS[1], 'usage', 'cost')
  if before[1] then redis.call('HSET', KEYS[1], 'wasted', spent_on(before[1], before[2])) end
end
-- Until it ends, a generation lives as long as one may wait: retention must never end one that is merely silent. What was made in
-- the last minute does so already.
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if ordinal > 0 or math.abs(now - r[10]) > 60000 then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  redis.call('PEXPIRE', KEYS[3], int(tonumber(ARGV[4]) + remembered))
end
redis.call('SPUBLISH', channel, prev .. ' ' .. id .. '\n' .. netstring('s', json))
return { 'granted', attempt, int(ordinal + 1), int(tokens) }
