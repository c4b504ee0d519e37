-- Shared by the scripts of coordination that touch the lists of many tenants at once. Whose these are is not known before: their
-- names are made here, as broker/keys.py makes them. Coordination is one server, never a cluster.

local STATES = { 'queued', 'running', 'completed', 'failed', 'cancelled' }

-- A list of this owner, or of what is nobody's ('').
local function list_of(owner, name)
  return (owner == '' and 'respool:' or 'respool:' .. owner .. ':') .. name
end

-- What a job's name says: the generation, the ordinal, its owner or ''.
local function parts_of(job)
  return string.match(job, '^([^:]*):(%d+):?(.*)$')
end

local function job_name(id, ordinal, owner)
  return id .. ':' .. int(ordinal) .. (owner == '' and '' or ':' .. owner)
end

