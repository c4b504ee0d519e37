-- Shared by the scripts by which an end comes to be told by a webhook.

local DELIVERY_MS = 129600000  -- longer than all tries of a delivery take

-- Puts aside what is told of a generation that has ended: a copy of its record, which may expire while tries go on.
local function set_aside(record, copy)
  redis.call('COPY', record, copy, 'REPLACE')
  redis.call('HDEL', copy, 'request')
  redis.call('PEXPIRE', copy, DELIVERY_MS)
end

