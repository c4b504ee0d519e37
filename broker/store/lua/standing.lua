-- uses clock, tenants, turns
-- What waits, of whom, and how fast slots of workers get free. Changes nothing.
--
-- KEYS  running, pace, slots; and, not declared, what turns.lua names, the lines and lists of all who wait
-- Returns now in ms, the level, how many slots are in use, what the workers have said of theirs, what is known of ends, then for
-- each tenant that waits: its name, its tag, how many jobs wait, how many of them may be taken before the background, how many
-- slots it has, the place of its oldest job in ms.
local now, begun, lines = now_ms(), 0, {}
for _, list in ipairs({ TURNS, BACKGROUND, BOUND }) do
  local found = redis.call('ZRANGE', list, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local owner, tag = found[i], found[i + 1]
    local line = line_of(owner)
    local first = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
    if #first > 0 then
      local ready = redis.call('ZCOUNT', line, '-inf', int(now + 1))
      if list ~= TURNS and ready > 0 then tag = exact(math.max(level(), tonumber(tag))) end
      begun = begun + redis.call('ZCOUNT', line, '-inf', '(0')
      for _, each in ipairs({ owner, tag, redis.call('ZCARD', line), ready, slots_of(owner), int(first[2] % BEGUN) }) do
        lines[#lines + 1] = each
      end
    end
  end
end
return { now, exact(level()), redis.call('ZCARD', KEYS[1]) - begun, redis.call('HVALS', KEYS[3]),
  redis.call('HGETALL', KEYS[2]), unpack(lines) }
