#!lua
-- Which generations are on several lists at once, newest submit first. The shortest list of a tag is walked, so that it costs as
-- little as the rarest tag, and no more than so many steps: whoever wants more goes on from where it stopped.
--
-- KEYS  the list of each tag [, that of a state]
-- ARGV  how many of KEYS are tags', score and id to begin behind ('+inf', ''), at most so many, at most so many steps
-- Returns where it has stopped, as {score, id}, {} at the end; then id, score, id, score …
local most, steps = tonumber(ARGV[4]), tonumber(ARGV[5])
local walked, fewest
for i = 1, tonumber(ARGV[1]) do
  local size = redis.call('ZCARD', KEYS[i])
  if not fewest or size < fewest then walked, fewest = i, size end
end
-- None comes twice with one score but by chance: a few more let those be skipped that come before the cursor.
local rows = redis.call('ZRANGE', KEYS[walked], ARGV[2], '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, steps + 8, 'WITHSCORES')
local ids, scores = {}, {}
for i = 1, #rows, 2 do
  if rows[i + 1] ~= ARGV[2] or rows[i] < ARGV[3] then
    ids[#ids + 1], scores[#scores + 1] = rows[i], rows[i + 1]
  end
end
if #ids == 0 then return { {} } end

local found, on = { {} }, {}
for i, list in ipairs(KEYS) do
  if i ~= walked then on[#on + 1] = redis.call('ZMSCORE', list, unpack(ids)) end
end
for n, id in ipairs(ids) do
  local everywhere = true
  for _, list in ipairs(on) do everywhere = everywhere and list[n] end
  if everywhere then
    found[#found + 1], found[#found + 2] = id, scores[n]
    if #found > 2 * most then
      found[1] = { scores[n], id }
      return found
    end
  end
end
if #rows >= 2 * (steps + 8) then found[1] = { scores[#scores], ids[#ids] } end
return found
