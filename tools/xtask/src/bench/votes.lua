-- Sends votes that were written to a file beforehand, one after the other, each once.
-- wrk … -s votes.lua URL -- FILE RECORD_LENGTH

local file
local length

function init(args)
  file = assert(io.open(args[1], "rb"))
  length = tonumber(args[2])
end

local looked = false

function request()
  -- wrk asks for one request before the first, to look at it, and sends nothing.
  if not looked then
    looked = true
    local record = file:read(length)
    file:seek("set", 0)
    return record
  end
  local record = file:read(length)
  if record == nil or #record < length then
    -- The file has ended. The requests on their way are answered first.
    wrk.thread:stop()
    return wrk.format("GET", "/api/v1/health")
  end
  return record
end
