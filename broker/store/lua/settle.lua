#!lua flags=allow-oom
-- uses clock, tenants, charges
-- Charges tenants for generations that have ended what these have cost, in place of what was reserved, and for what is stored of them.
-- Repeating it changes nothing.
--
-- KEYS  not declared: the ledgers of whose the generations are
-- ARGV  index ms, then for each: generation id, its owner or '', ms of its submit, '1' if it ran, its usage, JSON, bytes that are
--       stored of it
local now = now_ms()
for i = 2, #ARGV, 6 do
  local id, owner, created_ms, ran, usage, bytes = unpack(ARGV, i, i + 5)
  charge_end(owner, id, tonumber(created_ms), ran == '1', usage, tonumber(bytes), now, ARGV[1])
end
