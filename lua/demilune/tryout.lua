--- Trying a backend: a whole launch, of a command that is not there. That it is missed says that everything before it
--- went well.
local core = require "demilune.core"

local tryout = {}

-- A sandbox with hardly anything in it: a bind and a file system are enough for every step of a launch. No ceiling
-- bounds it: whether a backend works is a fact of the host. Nil and what is wrong where not even that can be planned.
local function plan()
    local policy = assert(require("demilune.source").new { base = "none", tmpfs = { "/trial" }, ro_binds = { "/etc" } })
    local built, _, problems = require("demilune.freezing").plan(policy, policy.fields, { "/trial/command" })
    return built, problems and require("demilune.message").problems(problems)
end

---@class demilune.Tryout
---@field text string why it does not work
---@field step? string of the native backend: the step that failed
---@field errno? integer the reason of the kernel

--- Launches by the native backend, or by the bwrap at `path`.
---@param path? string
---@return demilune.Tryout|nil failure nil when it works
function tryout.run(path)
    local built, wrong = plan()
    if not built then
        return { text = wrong }
    end
    local process, text, _, step, errno = core.start(built, { bwrap = path, stdin = -1, stdout = -1, stderr = -1 })
    if not process then
        return { text = text, step = step, errno = errno ~= 0 and errno or nil }
    end
    core.advance(process, "ended")
    local result = core.result(process, {})
    core.close(process)
    if result.code == "command.missing" then
        return nil
    end
    return { text = result.message or "it ended without a word", step = result.step, errno = result.errno }
end

return tryout
