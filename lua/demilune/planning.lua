--- From a policy and a command to the plan: hooks, what is taken away, options, ceilings, backends.
local choice = require "demilune.choice"
local core = require "demilune.core"
local freezing = require "demilune.freezing"
local merge = require "demilune.merge"
local plan = require "demilune.plan"
local refusal = require "demilune.refusal"

local planning = {}

local function context_of(self, command)
    return {
        command = command and core.copy(command) or nil,
        cwd = core.cwd(),
        home = os.getenv("HOME"),
        user = os.getenv("USER"),
        env = core.environ(),
        policy_file = self.file,
    }
end

--- The options of `run` that are fields of a policy.
local function overlay(fields, options)
    local extra = {}
    if options.env ~= nil then
        extra.env = core.copy(options.env) or options.env
    end
    extra.chdir = options.chdir
    if options.timeout ~= nil then
        extra.limits = { timeout = options.timeout }
    end
    return next(extra) and merge.layers(fields, extra) or fields
end

-- The first layer that is not trusted, mostly none.
local function doubted_layer(self)
    for _, layer in ipairs(self.layers) do
        if layer.trusted == false then
            return layer
        end
    end
    return nil
end

-- The problems of layers that are not trusted and widen; nil when there are none.
local function check_layers(self)
    return require("demilune.trust").check(self.layers, function(after, before)
        return freezing.excess(self, after, before)
    end)
end

-- What the hooks left and what was planned, for explain. A program's own hook may have kept the table that it left.
local function kept(self, hooked, fields)
    for _, hook in ipairs(self.hooks.prepare) do
        if type(hook.run) == "function" then
            local copy = core.copy { hooked, fields } or {}
            return copy[1], copy[2] or self.fields
        end
    end
    return hooked, fields
end

-- The ceilings that a plan is under; or nil and why nothing can be run. Mostly there is none.
local function ceilings_of(self, given)
    if core.operators_file(core.ceiling_path) == false and not self.ceilings[1] and not given then
        return {}
    end
    return require("demilune.ceiling").all(self.ceilings, given)
end

-- What the prepare hooks leave of the fields; or nil, message, code and problems.
local function after_hooks(self, context, trace)
    if not context or #self.hooks.prepare == 0 then
        return self.fields -- only read from here on: hooks get a copy
    end
    return require("demilune.hooks").prepare(self, context, freezing.excess, trace)
end

-- The same without what the options take away, and with what they add.
local function with_options(fields, options)
    if options.narrow then
        local problems
        fields, problems = require("demilune.narrow").apply(fields, core.copy(options.narrow) or options.narrow)
        if not fields then
            return nil, problems
        end
    end
    return overlay(fields, options)
end

-- Whether the options say a field, and not a policy.
local function is_said(options, field)
    local name = field:match("^%a[%w_]*")
    local taken = options.narrow and options.narrow[name]
    if name == "limits" then
        local limit = field:match("^limits%.([%w_]+)")
        return limit == "timeout" and options.timeout ~= nil or type(taken) == "table" and taken[limit] ~= nil
    elseif name == "env" then
        return options.env ~= nil and options.env[field:match("^env%.(.*)$") or field:match('^env%["(.*)"%]$')] ~= nil
    elseif name == "chdir" and options.chdir ~= nil then
        return true
    end
    return taken ~= nil
end

-- A problem of what the options say stands in no file. What they append to a list has its number there.
local function disown(self, options, problems)
    for _, problem in ipairs(problems) do
        local name, index, rest = problem.field:match("^(%a[%w_]*)%[(%d+)%](.*)$")
        local list = self.fields[name]
        local appended = tonumber(index or 0) - (type(list) == "table" and #list or 0)
        if is_said(options, problem.field) and (not index or appended > 0) then
            problem.field = index and ("%s[%d]%s"):format(name, appended, rest) or problem.field
            problem.file, problem.line, problem.option = nil, nil, nil
        end
    end
    return problems
end

-- The policy without the layers and hooks that are not trusted.
local function trusted_part(self)
    local fields, prepare = {}, {}
    for _, layer in ipairs(self.layers) do
        fields = layer.trusted == false and fields or merge.layers(fields, layer.fields)
    end
    for _, hook in ipairs(self.hooks.prepare) do
        prepare[#prepare + 1] = hook.trusted ~= false and hook or nil
    end
    return setmetatable({ fields = fields, hooks = { prepare = prepare } }, { __index = self })
end

-- What is said after a layer that is not trusted, by others or by hooks, might not hold for what that layer has added:
-- so the whole is compared, too. The problems, or nil.
local function check_whole(self, doubted, context, options, fields)
    local without, _, _, problems = after_hooks(trusted_part(self), context)
    if without then
        without, problems = with_options(without, options)
    end
    if not without then
        return problems
    end
    local wider
    wider, problems = freezing.excess(self, fields, without)
    if wider then
        local problem = require("demilune.trust").problem(wider, "all else together", doubted.doubt)
        problem.file = doubted.file
        return { problem }
    end
    return problems
end

-- The engine's plan, its warnings, what was found out of its backends, and which was chosen; or nil and the problems.
local function build(self, fields, command, options, ceilings)
    local built, warnings, problems = freezing.plan(self, fields, command, ceilings)
    if not built then
        return nil, problems
    end
    local asked = { core = built, ceilings = ceilings, known = {} }
    local chosen
    problems, chosen = choice.problems(asked, options.backend)
    if #problems > 0 then
        return nil, freezing.with_places(self, problems)
    end
    return built, freezing.with_places(self, warnings), asked.known, chosen
end

-- Says of problems that the policy has not without its prepare hooks that those left it so, and of a single hook where
-- that is.
local function with_hooks(self, problems, command, options, ceilings)
    local built, before = build(self, with_options(self.fields, options) or self.fields, command, options, ceilings)
    local own = {}
    for _, problem in ipairs(built and {} or before) do
        own[problem.code .. problem.field .. (problem.value or "")] = true
    end
    local origin = #self.hooks.prepare == 1 and require("demilune.hooks").origin(self.hooks.prepare[1]) or {}
    for _, problem in ipairs(problems) do
        if not own[problem.code .. problem.field .. (problem.value or "")] then
            problem.message = problem.message .. "; a prepare hook left it so"
            problem.file, problem.line, problem.option = origin.file, origin.line, nil
        end
    end
    return problems
end

--- Builds a plan; see policy:plan.
---@param self demilune.Policy
---@param command? string[]
---@param options demilune.RunOptions
---@return demilune.Plan|nil plan
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
---@return table|nil chosen the backend of options.backend for a launch that follows at once: see choice.problems
function planning.plan(self, command, options)
    local ceilings, text, code, problems = ceilings_of(self, options.ceiling)
    if not ceilings then
        return nil, text, code, problems
    end
    local doubted = doubted_layer(self)
    problems = doubted and check_layers(self)
    if problems then
        return refusal.of(problems)
    end
    local context = command and self:has_hooks() and context_of(self, command)
    local trace = options.trace and context and {} or nil
    local hooked, fields
    hooked, text, code, problems = after_hooks(self, context, trace)
    if not hooked then
        return nil, text, code, problems
    end
    fields, problems = with_options(hooked, options)
    if not fields then
        return refusal.of(problems)
    end
    problems = doubted and check_whole(self, doubted, context, options, fields)
    if problems then
        return refusal.of(problems)
    end
    local built, warnings, known, chosen = build(self, fields, command, options, ceilings)
    if not built then
        return refusal.of(disown(self, options, hooked == self.fields and warnings
            or with_hooks(self, warnings, command, options, ceilings)))
    end
    if hooked == self.fields then
        hooked = nil
    else
        hooked, fields = kept(self, hooked, fields)
    end
    return setmetatable({
        core = built,
        known = known,
        ceilings = ceilings,
        policy = self,
        fields = fields,
        hooked = hooked,
        trace = hooked and trace,
        context = context,
        warnings = self.ignored[1] and merge.appended(warnings, self.ignored) or warnings,
    }, plan), nil, nil, nil, chosen
end

return planning
