-- Sends votes that were written to a file beforehand, one after the other, each once.
-- wrk … -s votes.lua URL -- FILE RECORD_LENGTH

local file
local length

function init(args)
  file = assert(io.open(args[1], "rb"))
  length = tonumber(args[2])
end

function request()
  local record = file:read(length)
  if record == nil or #record < length then
    -- The file has ended. The requests on their way are answered first.
    wrk.thread:stop()
    return wrk.format("GET", "/api/v1/health")
  end
  return record
end
