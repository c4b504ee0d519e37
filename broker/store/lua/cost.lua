-- Shared by the scripts that tell what a generation has cost, of those whose tenants are charged.

-- Bytes that Redis keeps of it, as Redis counts them; where it may not be asked, about so many.
local function stored(record, log)
  local bytes = 0
  for _, key in ipairs({ record, log }) do
    local told = redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', '0')
    if type(told) == 'table' then
      return redis.call('HSTRLEN', record, 'request') + 64 * redis.call('XLEN', log)
    end
    bytes = bytes + (told or 0)
  end
  return bytes
end

