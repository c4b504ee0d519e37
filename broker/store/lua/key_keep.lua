#!lua
-- uses clock
-- Keeps what there is to know of an API key, unless something newer is kept already; and tells the APIs of one that was
-- revoked.
-- An end that was set stays: a key that was revoked is never valid again, and none expires later than it was to. So a record is
-- kept only if it is what `agreed_on` (broker/api_keys.py) makes of it and the one before.
--
-- KEYS  the key's record, the list of all keys
-- ARGV  the record, its `changed_ms`, ms that it is kept, its member of the list ('tenant:id'), ms that the list lives, the channel
--       that tells of revoked ones, most live keys of the tenant (0: any number), what the names of records begin with
-- Returns 'kept'; 'older' if what is kept is as new or newer, or has an end that this has not; 'many' if the tenant has as many
-- live keys as it may.
local function set(value)
  return value ~= nil and value ~= cjson.null
end

local function ends_later(new, before)
  return set(before) and (not set(new) or new > before)
end

local tenant, id = string.match(ARGV[4], '^([^:]*):(.*)$')
local raw, new = redis.call('GET', KEYS[1]), cjson.decode(ARGV[1])
if raw then
  local before = cjson.decode(raw)
  if before['changed_ms'] >= tonumber(ARGV[2])
    or ends_later(new['revoked_ms'], before['revoked_ms'])
    or ends_later(new['expires_ms'], before['expires_ms']) then
    return 'older'
  end
elseif tonumber(ARGV[7]) > 0 then
  local now, live = now_ms(), 0
  for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], '[' .. tenant .. ':', '(' .. tenant .. ';')) do
    local other = redis.call('GET', ARGV[8] .. string.match(member, '^[^:]*:(.*)$'))
    if other then
      local key = cjson.decode(other)
      if not set(key['revoked_ms']) and (not set(key['expires_ms']) or key['expires_ms'] > now) then
        live = live + 1
      end
    else
      redis.call('ZREM', KEYS[2], member)
    end
  end
  if live >= tonumber(ARGV[7]) then
    return 'many'
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
if raw and set(new['revoked_ms']) then
  redis.call('PUBLISH', ARGV[6], id)
end
return 'kept'
