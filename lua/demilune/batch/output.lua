--- Records on their way to standard output. A reader that is slow, or reads nothing, keeps them waiting, not us.
local core = require "demilune.core"

local FD = 1
local AT_ONCE = 4096 -- bytes that a pipe takes without waiting when it can be written to

---@class demilune.Output
---@field count integer records that wait
---@field problem string|nil why nothing can be written any more
local output = {}
output.__index = output

---@return demilune.Output
function output.new()
    return setmetatable({ first = 1, count = 0, at = 1 }, output)
end

---@param text string
function output:add(text)
    self[self.first + self.count] = text
    self.count = self.count + 1
end

--- Writes a part, when standard output can be written to.
function output:advance()
    local text = self[self.first]
    local written, problem = core.write(FD, text, self.at, AT_ONCE)
    if not written then
        self:drop()
        self.problem = problem
        return
    end
    self.at = self.at + written
    if self.at > #text then
        self[self.first] = nil
        self.first, self.count, self.at = self.first + 1, self.count - 1, 1
    end
end

--- Gives up what waits.
function output:drop()
    for i = self.first, self.first + self.count - 1 do
        self[i] = nil
    end
    self.count, self.at = 0, 1
end

return output
