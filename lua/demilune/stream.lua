--- A pipe to or from a process: a Lua file, and its descriptor for a loop that waits for it or takes it over.
local core = require "demilune.core"

---@class demilune.Stream
---@field file file* the pipe as Lua has files
local stream = {}
stream.__index = stream
stream.__name = "demilune.stream"

--- Takes over a descriptor.
---@param fd integer
---@param mode "r"|"w"
---@return demilune.Stream
function stream.new(fd, mode)
    return setmetatable({ file = core.file(fd, mode) }, stream)
end

for _, name in ipairs { "read", "write", "lines", "flush", "setvbuf" } do
    stream[name] = function(self, ...)
        local file = self.file
        if not file then
            return nil, "closed"
        end
        local first, second, third = file[name](file, ...)
        if first == file then
            return self
        end
        return first, second, third
    end
end

--- The descriptor, to wait for: it stays the stream's. Nil once it is closed.
---@return integer|nil
function stream:getfd()
    return self.file and core.fileno(self.file)
end

--- Gives the descriptor away, close-on-exec: the caller closes it. What the stream has read ahead is lost, so do this
--- before reading.
---@return integer|nil descriptor nil once it is closed
function stream:release()
    if not self.file then
        return nil
    end
    local fd = core.duplicate(core.fileno(self.file))
    self:close()
    return fd
end

--- Closes it; twice is fine.
function stream:close()
    local file = self.file
    self.file = nil
    return not file or file:close()
end

stream.pollfd, stream.fileno = stream.getfd, stream.getfd
stream.__close, stream.__gc = stream.close, stream.close

return stream
