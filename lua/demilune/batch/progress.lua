--- One line on the terminal that says how far a batch is, and is gone at its end.
local core = require "demilune.core"

local EVERY = 0.1 -- seconds between two updates, at least
local SETTLED = 1 -- seconds before a rate says anything

---@class demilune.Progress
local progress = {}
progress.__index = progress

--- `total`: bytes of all jobs, where that is known.
---@param total integer|nil
---@return demilune.Progress
function progress.new(total)
    return setmetatable({ total = total, started = core.clock(), shown = 0, width = 0 }, progress)
end

local function duration(seconds)
    local whole = math.floor(seconds + 0.5)
    if whole >= 3600 then
        return ("%d:%02d:%02d"):format(whole // 3600, whole // 60 % 60, whole % 60)
    end
    return ("%d:%02d"):format(whole // 60, whole % 60)
end

--- What the line says.
---@param counts { done: integer, running: integer, failed: integer, consumed: integer }
---@param passed number seconds
---@return string
function progress:text(counts, passed)
    local parts = {
        ("%d done"):format(counts.done), ("%d running"):format(counts.running), ("%d failed"):format(counts.failed),
    }
    if counts.done > 0 and passed >= SETTLED then
        parts[#parts + 1] = ("%.1f/s"):format(counts.done / passed)
        if self.total and counts.consumed > 0 then
            local left = math.max(0, self.total - counts.consumed)
            parts[#parts + 1] = duration(passed * left / counts.consumed) .. " left"
        end
    end
    return table.concat(parts, ", ")
end

--- Shows the line, unless it was shown a moment ago.
function progress:update(counts)
    local at = core.clock()
    if at - self.shown < EVERY then
        return
    end
    local text = self:text(counts, at - self.started)
    io.stderr:write("\r", text, (" "):rep(self.width - #text))
    self.shown, self.width = at, #text
end

--- Takes the line away: something else is said, or all is.
function progress:clear()
    if self.width > 0 then
        io.stderr:write("\r", (" "):rep(self.width), "\r")
        self.shown, self.width = 0, 0
    end
end

return progress
