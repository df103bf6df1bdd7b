--- Plans: a frozen, validated policy joined with a command; exactly what will be launched.
local core = require "demilune.core"
local host = require "demilune.host"
local check_options = require("demilune.options").check_launch
local refusal = require "demilune.refusal"

---@class demilune.Plan
---@field warnings demilune.Problem[]
---@field package core userdata
---@field package policy demilune.Policy
---@field package fields table what was planned, for explain
---@field package hooked? table what the prepare hooks left
---@field package trace? { origin: demilune.Speaker, before: table, after: table }[] what each of them did, if wanted
---@field package context table
---@field package checked table<string, table> by backend: what keeps it from launching this, and why auto is native
---@field package ceilings demilune.Ceiling[] that it was checked against
local plan = {}
plan.__index = plan
plan.__name = "demilune.plan"

-- Why its ceilings do not allow a backend; nothing when they do, and mostly there is none.
local function forbidden(self, backend)
    if self.ceilings[1] then
        return require("demilune.ceiling").refuses(self.ceilings, backend.effective)
    end
end

-- What keeps a backend from launching this, and why auto has to be native. What was found out once stays true.
local function check_backend(self, flag)
    local name = flag or "auto"
    local known = self.checked[name] or table.pack(host.backend_problems(self.core, flag))
    self.checked[name] = known
    return known[1], known[2]
end

--- The backend that launches this: auto is native where bwrap cannot do what the plan asks for, or may not.
---@param flag? "auto"|"bwrap"|"native"|"none"
---@return demilune.Backend|nil
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
---@return string|nil why auto is native for it
function plan:backend(flag)
    local backend, text, code = host.backend(flag)
    if not backend then
        return refusal.plain(text, code)
    end
    local problems, native = check_backend(self, flag)
    if #problems > 0 then
        return refusal.of(problems)
    end
    backend = native and host.native or backend
    text, code = forbidden(self, backend)
    local automatic = flag == nil or flag == "auto"
    if code and automatic and backend ~= host.native and not forbidden(self, host.native) then
        backend, native, code = host.native, text, nil
    end
    if code then
        return refusal.plain(text, code)
    end
    return backend, nil, nil, nil, native
end

--- Begins the launch and returns at once.
---@param given? demilune.RunOptions without those that make a plan: timeout, env, chdir, narrow, ceiling, trace
---@return demilune.Process|nil process
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function plan:spawn(given)
    given = check_options(given, 2)
    local backend, text, code, problems = self:backend(given.backend)
    if not backend then
        return nil, text, code, problems
    end
    return require("demilune.process").launch(self, backend, given)
end

--- Launches the plan and waits for its end.
---@param given? demilune.RunOptions as for spawn
---@return demilune.Result|nil result
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function plan:run(given)
    given = check_options(given, 2)
    for _, name in ipairs { "stdin", "stdout", "stderr" } do
        if given[name] == "pipe" then
            error(("bad option %s: \"pipe\" is for spawn"):format(name), 2)
        end
    end
    local process, text, code, problems = self:spawn(given)
    if not process then
        return nil, text, code, problems
    end
    local outcome = table.pack(process:wait())
    process:close()
    return table.unpack(outcome, 1, outcome.n)
end

--- This plan with a program of ours in the place of the command that the hooks were asked about.
---@param command string[]
---@return demilune.Plan|nil
function plan:instead(command)
    local built = core.with_command(self.core, command)
    return built and setmetatable({
        core = built, policy = self.policy, fields = self.fields, context = self.context, warnings = self.warnings,
        hooked = self.hooked, trace = self.trace, ceilings = self.ceilings, checked = self.checked,
    }, plan) or nil
end

--- This plan for another command, when its policy has no hooks, which would be asked; nil where only a new plan can say
--- what is right. What is known of the host is as old as this plan.
---@param command string[]
---@return demilune.Plan|nil
function plan:with_command(command)
    local hooks = self.policy.hooks
    local asked = #hooks.prepare + #hooks.launched + #hooks.finished > 0
    return not asked and self:instead(command) or nil
end

--- What is worth a thought in it: surprises, and ways out that were perhaps not meant, as `demilune check` says them.
--- Looks through what is bound, as no launch does.
---@return demilune.Problem[]
function plan:lint()
    local lints = self.policy:lint(self)
    local backend = host.backend()
    local refused = backend and forbidden(self, backend)
    if refused then
        local useless = "nothing can be launched here: " .. refused
        table.insert(lints, 1, { field = "", code = "lint.useless", message = useless })
    end
    return lints
end

--- The digest: 64 hexadecimal digits over everything but secret values.
---@return string
function plan:digest()
    return core.digest(self.core)
end

--- What the sandbox will be, for people.
---@param options? demilune.ExplainOptions
---@return string
function plan:explain(options)
    return require("demilune.explain").text(self, options or {})
end

return plan
