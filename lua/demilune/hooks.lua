--- Hooks: functions of a policy, called at their moments with copies of what they may see.
local core = require "demilune.core"
local host = require "demilune.host"
local message = require "demilune.message"
local refusal = require "demilune.refusal"

local hooks = {}

local HOOK = "demilune.hook" -- what hooks can call on their arguments

-- Calls a hook of the program or of a policy file. Returns true, the first argument as the hook left it, and what it
-- returned, as many values as that were (of a policy file's, the first two); or nil and a message.
local function call_hook(hook, kinds, subject, context)
    if type(hook.run) == "userdata" then
        return hook.run:call(kinds, subject, context)
    end
    local methods = require(HOOK)[kinds[1]]
    if methods then
        setmetatable(subject, methods)
    end
    local results = table.pack(pcall(hook.run, subject, context))
    if not results[1] then
        local raised = results[2]
        return nil, type(raised) == "string" and raised or ("the hook raised a %s"):format(type(raised))
    end
    if methods then
        debug.setmetatable(subject, nil) -- ours; another one, set by the hook, is refused by the freeze
    end
    return true, subject, table.unpack(results, 2, results.n)
end

-- The file of a hook and the line on which it begins.
local function hook_place(hook)
    if type(hook.run) == "function" then
        local info = debug.getinfo(hook.run, "S")
        return info.short_src, info.linedefined
    end
    local file, line = tostring(hook.run):match("^hook (.*):(%d+)$")
    return file, math.tointeger(line)
end

--- The hook as one who says fields.
---@param hook table
---@return demilune.Speaker
function hooks.origin(hook)
    local file, line = hook_place(hook)
    local short = file and file:match("^%.%.%.(.*)$") -- Lua cuts long names
    if short and hook.file and hook.file:sub(-#short) == short then
        file = hook.file
    end
    return { kind = "hook", file = file, line = line }
end

-- What a hook wrote, without values; `fields` are what it was called with.
local function without_values(text, fields)
    return require("demilune.redact").text(text, fields)
end

local function hook_failed(name, hook, fields, text)
    local file, line = hook_place(hook)
    local problem = refusal.placed(name, "hook.failed", without_values(text, fields), file)
    problem.line = problem.line or line
    return refusal.of { problem }
end

-- A copy for each hook; the caller's variables are not for one that is not trusted, which could put them somewhere
-- inside. The facts of the host cost something when they are asked for: the private state has its own
-- view of them.
local function hook_context(hook, context)
    local copy = core.copy(context)
    if hook.trusted == false then
        copy.env = {}
    end
    if type(hook.run) ~= "userdata" then
        copy.host = host.facts()
    end
    return copy
end

-- The hook's own reason: no place is looked for in it.
local function hook_refused(name, hook, fields, reason)
    local file, line = hook_place(hook)
    local text = without_values(message.plain(reason), fields)
    return refusal.of { { field = name, code = "hook.refused", message = text, file = file, line = line } }
end

-- A hook of a layer that is not trusted gave more than was there before.
local function hook_widened(hook, wider)
    local problem = require("demilune.trust").problem(wider, "the policy before this hook", hook.doubt)
    problem.file, problem.line = hook_place(hook)
    return refusal.of { problem }
end

-- Why what a prepare hook returned is no answer; nil when it is one. Nothing goes on, but a nil that was returned may
-- be meant to refuse.
local function no_answer(count, answer, reason)
    if count == 0 or answer == true or type(answer) == "table" then
        return nil
    elseif answer then
        return ("returned a %s; return nothing, true, the policy, or nil and a reason"):format(type(answer))
    elseif reason == nil then
        return ("returned %s without a reason; to go on return nothing, true or the policy"):format(tostring(answer))
    end
    return ("returned %s and a %s; a reason is text"):format(tostring(answer), type(reason))
end

-- What the call of a prepare hook came to: what it left; or nil and why it refuses, or what it did wrong.
local function answered(hook, fields, ok, left, ...)
    local answer, reason = ...
    if not ok then
        return hook_failed("prepare", hook, fields, left)
    elseif not answer and type(reason) == "string" then
        return hook_refused("prepare", hook, fields, reason)
    end
    local wrong = no_answer(select("#", ...), answer, reason)
    if wrong then
        return hook_failed("prepare", hook, fields, wrong)
    end
    return type(answer) == "table" and answer or left
end

local function prepared(hook, fields, context)
    return answered(hook, fields, call_hook(hook, { "policy", "context" }, fields, hook_context(hook, context)))
end

-- The same for a hook that is not trusted, which may only take away.
local function prepared_narrower(self, hook, fields, context, excess)
    local before, text = core.copy(fields)
    if not before then
        return refusal.of { refusal.of_copy(text) }
    end
    local left, why, code, problems = prepared(hook, fields, context)
    if not left then
        return nil, why, code, problems
    end
    local wider
    wider, problems = excess(self, left, before)
    if problems then
        return refusal.of(problems)
    elseif wider then
        return hook_widened(hook, wider)
    end
    return left
end

--- Runs the prepare hooks of a policy, each on what the one before left, on a copy.
---@param self demilune.Policy
---@param context table
---@param excess fun(self: demilune.Policy, after: table, before: table): demilune.Problem|nil, demilune.Problem[]|nil
--- in what fields give more than others
---@param trace? { origin: demilune.Speaker, before: table, after: table }[] gets what each hook was given and left
---@return table|nil fields
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function hooks.prepare(self, context, excess, trace)
    local fields, text = core.copy(self.fields)
    if not fields then
        return refusal.of { refusal.of_copy(text) }
    end
    for _, hook in ipairs(self.hooks.prepare) do
        local before = trace and (core.copy(fields) or {})
        local code, problems
        if hook.trusted == false then
            fields, text, code, problems = prepared_narrower(self, hook, fields, context, excess)
        else
            fields, text, code, problems = prepared(hook, fields, context)
        end
        if not fields then
            return nil, text, code, problems
        end
        if trace then
            trace[#trace + 1] = { origin = hooks.origin(hook), before = before, after = core.copy(fields) or {} }
        end
    end
    return fields
end

--- Tells launched and finished hooks, which cannot change anything: their failures go to the list `failures`.
---@param plan demilune.Plan
---@param name "launched"|"finished"
---@param kind "process"|"result"
---@param subject table
---@param failures string[]
function hooks.notify(plan, name, kind, subject, failures)
    for _, hook in ipairs(plan.policy.hooks[name]) do
        local ok, text = call_hook(hook, { kind, "context" }, core.copy(subject), hook_context(hook, plan.context))
        if not ok then
            failures[#failures + 1] = ("%s: %s"):format(name, without_values(message.plain(text), plan.policy.fields))
        end
    end
end

return hooks
