-- Shared by the scripts that begin or end something in a log: each begins with `-- uses clock, common`.
--
-- A log is append-only and sealed by one terminal entry (field `z`). An entry has one field, whose name is its kind and
-- whose value is its content. Every write of entries is also published on the generation's live channel as
--     [ <id before the first> SP ] <id of the first> LF { <kind> <length> ':' <value> }
-- so that a hub can tell, without looking into the log, whether it missed anything in between. The id before the first is told
-- where the first begins an attempt; else it is the same attempt's, one less.

local TERMINAL = { completed = true, failed = true, cancelled = true }

-- The id of the log's last entry as (attempt, seq); (0, 0) for a log that is empty or not there.
local function tail(log)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  if #last == 0 then return 0, 0 end
  local ms, seq = string.match(last[1][1], '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function netstring(kind, value)
  return kind .. #value .. ':' .. value
end

-- The name of a new attempt: never one that was used before, not even by an attempt whose log entries Redis has lost in
-- a failover, as the clock has moved on since.
local function new_attempt(now, last_attempt)
  return math.max(now, last_attempt + 1)
end

-- The end's `metrics`, JSON. Whether the upstream read from its cache its usage says, if it says anything.
local function metrics(r, ttft, total, measured)
  local read = r[3] and string.match(r[3], '"cache_read_input_tokens":(%d+)')
  return '{"ttft_ms":' .. ttft .. ',"total_ms":' .. int(total)
    .. ',"queue_ms":' .. (r[8] and int(math.max(0, tonumber(r[8]) - tonumber(r[1]))) or 'null')
    .. ',' .. (measured or '"tokens_per_second":null,"inter_token_ms_p50":null,"inter_token_ms_p95":null')
    .. ',"cache_hit":' .. (read and tostring(read ~= '0') or 'null') .. '}'
end

-- Why a generation ended that has not failed, as JSON members.
local function why_ended(final, cancel)
  local reason = final.stop_reason
  if final.state ~= 'cancelled' then
    return '"stop_reason":' .. (reason ~= '' and cjson.encode(reason) or 'null')
  end
  if reason == '' then reason = cancel == 'abandoned' and cancel or 'requested' end
  return '"stop_reason":null,"reason":"' .. reason .. '"'
end

-- A JSON object with one more member.
local function with_member(object, name, value)
  return string.sub(object, 1, -2) .. (object == '{}' and '' or ',') .. '"' .. name .. '":' .. value .. '}'
end

-- Tokens and what they cost, as one JSON object.
local function spent_on(usage, cost)
  return cost and with_member(usage, 'cost', cost) or usage
end

-- The end's `usage`, JSON, with what of it was `wasted`: all of what failed, else what was spent on text that was discarded.
local function usage_told(failed, usage, cost, wasted)
  if not usage or usage == 'null' then return 'null' end
  if failed then wasted = spent_on(usage, cost) end
  return wasted and with_member(usage, 'wasted', wasted) or usage
end

-- Writes the one terminal entry and the terminal state, starts the retention, and puts aside what a webhook tells. Returns 1 if
-- there is one that tells this end, else 0. `K` is {record, log, tombstone, webhook}; the caller has made sure that the generation
-- is not terminal. Nothing can be appended after it: every script that appends looks at the state first.
--
-- The log is sealed under an attempt of its own: under an attempt's next seq the entry might take an id that a viewer has
-- already seen, before Redis lost its tail, with other bytes.
--
-- `attempt` and `seq` are the log's tail, `r` the record's created_ms, first_ms, usage, kept, others, retention_ms, durability,
-- started_ms, cancel, cost, wasted. `final` has `measured` where a worker ends what it ran, and `status` where the failure is not one
-- of ours. Of what is `cancelled`, its `stop_reason` is why, where the caller knows; else the record says so.
-- If `final` has a `withdraw`, that entry takes the place of all that the log had: nobody is given that again. Ids go on as ever.
local function seal_at(K, channel, now, final, remembered_ms, attempt, seq, r)
  local withdrawn = final.withdraw and final.withdraw ~= ''
  if withdrawn then
    local before = int(attempt) .. '-' .. int(seq)
    attempt, seq = new_attempt(now, attempt), 0
    redis.call('XTRIM', K[2], 'MAXLEN', '=', '0')
    redis.call('XADD', K[2], int(attempt) .. '-0', 'w', final.withdraw)
    redis.call('SPUBLISH', channel, before .. ' ' .. int(attempt) .. '-0\n' .. netstring('w', final.withdraw))
  end
  local prev, id = int(attempt) .. '-' .. int(seq), int(new_attempt(now, attempt)) .. '-0'
  local total = math.max(0, now - tonumber(r[1]))  -- the clock may have jumped back
  local ttft = r[2] and int(math.max(0, tonumber(r[2]) - tonumber(r[1]))) or 'null'
  -- An attempt's first entry is none; of those behind it only the others are counted, as they are few.
  local chunks = withdrawn and 0 or math.max(0, tonumber(r[4] or '0') + seq - tonumber(r[5] or '0'))
  local figures = '"usage":' .. usage_told(final.state == 'failed', r[3], r[10], r[11])
    .. ',"cost":' .. (r[10] or 'null') .. ',"ttft_ms":' .. ttft .. ',"total_ms":' .. int(total)
    .. ',"metrics":' .. metrics(r, ttft, total, final.measured)
    .. ',"chunks":' .. int(chunks) .. (r[7] == 'strict' and ',"durability":"strict"' or '')
    .. (withdrawn and ',"withdrawn":true' or '') .. '}'
  local json
  if final.state == 'failed' then
    json = '{"type":"error","code":' .. cjson.encode(final.code) .. ',"message":' .. cjson.encode(final.message)
      .. ',"status":' .. (final.status or '503') .. ',"retryable":' .. tostring(final.retryable)
      .. ',"retry_after_seconds":' .. (final.retry_after or 'null') .. ',"partial":' .. tostring(chunks > 0) .. ',' .. figures
  else
    json = '{"type":"stream_end","status":"' .. final.state .. '",' .. why_ended(final, r[9]) .. ',' .. figures
  end
  redis.call('XADD', K[2], id, 'z', json)
  redis.call('HSET', K[1], 'state', final.state, 'finished_ms', int(now), 'terminal_id', id, 'end', json)
  redis.call('HDEL', K[1], 'lease_until', 'claimant', 'cancel')
  redis.call('PEXPIRE', K[1], r[6])
  redis.call('PEXPIRE', K[2], r[6])
  redis.call('PEXPIRE', K[3], int(tonumber(r[6]) + remembered_ms))
  redis.call('SPUBLISH', channel, prev .. ' ' .. id .. '\n' .. netstring('z', json))
  local hook = redis.call('HGET', K[1], 'webhook')
  if not hook or not string.find(string.match(hook, '^%S*'), final.state, 1, true) then return 0 end
  set_aside(K[1], K[4])
  return 1
end

-- The same, of what the caller has not read. Text of a generation under guardrails is withdrawn, as no worker is there that could
-- have it checked.
local function seal(K, channel, now, final, remembered_ms)
  local attempt, seq = tail(K[2])
  local r = redis.call('HMGET', K[1], 'created_ms', 'first_ms', 'usage', 'kept', 'others', 'retention_ms', 'durability',
    'started_ms', 'cancel', 'cost', 'wasted', 'guarded')
  if r[12] == '1' and r[2] and attempt > 0 then
    final.withdraw = '{"type":"withdraw","guardrail":null,"reason":"It ended before it could be checked.","category":"unchecked"}'
  end
  return seal_at(K, channel, now, final, remembered_ms, attempt, seq, r)
end

