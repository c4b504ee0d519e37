#!lua
-- uses clock, pace, budget
-- A call of an upstream is over: its permit is given back, and of its tokens what it was counted with too much, or too little. May
-- be repeated, and does nothing for a permit that has lapsed.
--
-- KEYS  budget, its calls
-- ARGV  life of the budget in ms, ms for each token (0: any number), then of each call: call, tokens to give back
-- Returns how many calls were there.
local now, b = now_exactly(), read(KEYS[1])
local left, back = 0, 0
for i = 3, #ARGV, 2 do
  if redis.call('ZREM', KEYS[2], ARGV[i]) == 1 then
    left, back = left + 1, back + ARGV[i + 1]
  end
end
if back == 0 then return left end
local set = {}
for _, each in ipairs({ { 'tokens', tonumber(ARGV[2]) }, { 'told_tokens', b.told_tokens_each } }) do
  local name, ms = each[1], each[2]
  if b[name] > 0 and ms > 0 then
    set[#set + 1], set[#set + 2] = name, exactly(with_taken(b[name], now, ms, -back))
  end
end
if #set > 0 then redis.call('HSET', KEYS[1], unpack(set)) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return left
