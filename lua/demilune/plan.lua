--- Plans: a frozen, validated policy joined with a command; exactly what will be launched.
local choice = require "demilune.choice"
local core = require "demilune.core"
local options_of = require "demilune.options"
local refusal = require "demilune.refusal"

local process -- demilune.process, once something is launched

---@class demilune.Plan
---@field warnings demilune.Problem[]
---@field package core userdata
---@field package policy demilune.Policy
---@field package fields table what was planned, for explain
---@field package hooked? table what the prepare hooks left
---@field package trace? { origin: demilune.Speaker, before: table, after: table }[] what each of them did, if wanted
---@field package context table
---@field package known table<string, demilune.Problem[]> by backend: what keeps it from launching this
---@field package ceilings demilune.Ceiling[] that it was checked against
local plan = {}
plan.__index = plan
plan.__name = "demilune.plan"

function plan.__newindex(_, name)
    error(("a plan does not change; say %s in the policy"):format(tostring(name)), 2)
end

--- The backend that launches this: auto is the one that its ceilings allow and that can do what the plan asks for,
--- bwrap before native.
---@param flag? "auto"|"bwrap"|"native"|"none"
---@return demilune.Backend|nil
---@return string|nil message a warning, or why there is none
---@return string|nil code
---@return demilune.Problem[]|nil problems
---@return string|nil why auto is native for it
function plan:backend(flag)
    return choice.of(self, flag)
end

--- Begins the launch, with options that were looked at.
---@package
---@param given demilune.RunOptions
---@param chosen? table the backend, where it was chosen a moment ago: see choice.problems
---@return demilune.Process|nil process
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function plan:begin(given, chosen)
    local function choose()
        chosen = chosen or table.pack(choice.of(self, given.backend, true))
        local backend, text, code, problems, why = table.unpack(chosen, 1, chosen.n)
        chosen = nil -- the next choice knows more
        if backend and given.launching then
            given.launching(backend, text, why)
        end
        return backend, text, code, problems
    end
    local backend, text, code, problems = choose()
    if not backend then
        return nil, text, code, problems
    end
    process = process or require "demilune.process"
    return process.launch(self, backend, given, choose)
end

--- The same, to its end.
---@package
---@param given demilune.RunOptions
---@param chosen? table
---@return demilune.Result|nil result
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function plan:complete(given, chosen)
    local launched, text, code, problems = self:begin(given, chosen)
    if not launched then
        return nil, text, code, problems
    end
    local outcome = table.pack(launched:wait())
    launched:close()
    return table.unpack(outcome, 1, outcome.n)
end

--- Begins the launch and returns at once.
---@param given? demilune.RunOptions without those that make a plan: timeout, env, chdir, narrow, ceiling, trace
---@return demilune.Process|nil process
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function plan:spawn(given)
    refusal.check_self(self, plan, "spawn")
    return self:begin(options_of.check_launch(given, 2))
end

--- Launches the plan and waits for its end.
---@param given? demilune.RunOptions as for spawn
---@return demilune.Result|nil result
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function plan:run(given)
    refusal.check_self(self, plan, "run")
    return self:complete(options_of.check_run(options_of.check_launch(given, 2), 2))
end

--- This plan with a program of ours in the place of the command that the hooks were asked about.
---@param command string[]
---@return demilune.Plan|nil
function plan:instead(command)
    local built = core.with_command(self.core, command)
    return built and setmetatable({
        core = built, policy = self.policy, fields = self.fields, context = self.context, warnings = self.warnings,
        hooked = self.hooked, trace = self.trace, ceilings = self.ceilings, known = self.known,
    }, plan) or nil
end

--- This plan for another command, when its policy has no hooks, which would be asked; nil where only a new plan can say
--- what is right. What is known of the host is as old as this plan.
---@param command string[]
---@return demilune.Plan|nil
function plan:with_command(command)
    return not self.policy:has_hooks() and self:instead(command) or nil
end

--- What is worth a thought in it: surprises, and ways out that were perhaps not meant, as `demilune check` says them.
--- Looks through what is bound, as no launch does.
---@return demilune.Problem[]
function plan:lint()
    refusal.check_self(self, plan, "lint")
    local lints = self.policy:lint(self)
    local backend, refused
    if self.ceilings[1] then
        backend, refused = self:backend()
    end
    if refused and not backend then
        local useless = "nothing can be launched here: " .. refused
        table.insert(lints, 1, { field = "", code = "lint.useless", message = useless })
    end
    return lints
end

--- The digest: 64 hexadecimal digits over everything but secret values.
---@return string
function plan:digest()
    refusal.check_self(self, plan, "digest")
    return core.digest(self.core)
end

--- What the sandbox will be, for people.
---@param options? demilune.ExplainOptions
---@return string
function plan:explain(options)
    refusal.check_self(self, plan, "explain")
    return require("demilune.explain").text(self, options or {})
end

return plan
