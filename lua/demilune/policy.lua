--- Policies: from a table, a file or JSON, with hooks, to a plan and a result.
local core = require "demilune.core"
local freezing = require "demilune.freezing"
local merge = require "demilune.merge"
local options_of = require "demilune.options"
local refusal = require "demilune.refusal"

local planning -- demilune.planning, once something is planned

local function planned(self, command, options)
    planning = planning or require "demilune.planning"
    return planning.plan(self, command, options)
end

local hook_names = { "prepare", "launched", "finished" }

---@class demilune.Layer what one file or table said
---@field kind "file"|"json"|"table"|"flags"|"effects"|"site"
---@field file? string
---@field source? string
---@field fields table
---@field trusted? boolean false: it may only narrow what stands outside of it
---@field doubt? string why it is not trusted, and what would be right

---@class demilune.Policy
---@field package fields table what the policy says, without hooks; never handed out
---@field package hooks table<string, { run: any, file: string?, trusted: boolean?, doubt: string? }[]>
---@field package layers demilune.Layer[] outermost first
---@field package file string? the innermost policy file, as it was named
---@field package paths string[] every file that the policy was read from, with every link resolved
---@field package wire boolean it came in the ancestor's format alone: see source.of_wire
---@field package ignored demilune.Problem[] unknown fields of JSON that were passed over
---@field package frozen? { core: userdata, fields: demilune.Fields, home: string? } the engine's copy: see freezing
---@field package ceilings demilune.Ceiling[] that hold for each of its plans, besides that of the machine
local policy = {}
policy.__index = policy
policy.__name = "demilune.policy"

-- A hook is given a table to change; a policy that took a field would pass over it.
function policy.__newindex(_, name)
    error(("a policy does not change; policy:with { %s = ... } makes another"):format(tostring(name)), 2)
end

--- Takes the hooks out of the fields of a layer and appends them to `hooks`.
local function take_hooks(fields, hooks, layer)
    for _, name in ipairs(hook_names) do
        local hook = rawget(fields, name)
        if hook ~= nil then
            hooks[name][#hooks[name] + 1] = { run = hook, file = layer.file, trusted = layer.trusted,
                doubt = layer.doubt }
            fields[name] = nil
        end
    end
end

--- A policy of `fields`. `more`: `paths`, the files that it was read from; `wire`, see source.of_wire; `unsure`, those
--- of the fields whose shape the engine has to look at now, where a reader has seen to the others. The base comes with
--- the plan.
---@package
---@param fields demilune.Fields not to be changed afterwards
---@param layers demilune.Layer[]
---@param more { paths: string[]?, wire: boolean?, unsure: table? }
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.build(fields, layers, more)
    local file = layers[#layers].file
    layers[#layers].trusted = layers[#layers].trusted ~= false
    local self = { hooks = { prepare = {}, launched = {}, finished = {} }, layers = layers, file = file, ignored = {},
        ceilings = {} }
    self.paths, self.wire = more.paths or {}, more.wire == true
    local problems = freezing.problems(self, more.unsure or fields)
    if problems and more.unsure then
        problems = freezing.problems(self, fields) -- all of them at once
    end
    if problems then
        return refusal.of(problems)
    end
    take_hooks(fields, self.hooks, layers[#layers])
    self.fields = fields
    return setmetatable(self, policy)
end

--- Whether anybody is to be asked or told about a command.
---@package
---@return boolean
function policy:has_hooks()
    return #self.hooks.prepare + #self.hooks.launched + #self.hooks.finished > 0
end

--- This policy as JSON: the ancestor's five fields as it writes them, then demilune's own. Refuses what would be lost,
--- hooks and secrets (encode.lossy), unless that is wanted, and strings that are not UTF-8 (encode.utf8).
---@param options? demilune.EncodeOptions
---@return string|nil text
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:encode(options)
    refusal.check_self(self, policy, "encode")
    if options ~= nil then
        refusal.check_argument(options, "table", 1, "encode")
    end
    for name, value in next, options or {} do
        if name ~= "lossy" or type(value) ~= "boolean" then
            error(("bad option %s: lossy = true or false expected"):format(tostring(name)), 2)
        end
    end
    local text, problems = require("demilune.policy_json").encode(self.fields, self.hooks, options and options.lossy)
    if not text then
        return refusal.of(problems)
    end
    return text
end

-- Layers or hooks that are not to be trusted: copies, since other policies have them too.
local function doubted(list)
    local copies = {}
    for i, item in ipairs(list) do
        copies[i] = merge.layers(item, {})
        copies[i].trusted = false
    end
    return copies
end

--- This policy with more on top: lists append, maps merge, scalars replace, hooks run after this one's. What is not
--- trusted may only narrow: each plan is compared with that of the policy without it.
---@param fields demilune.Fields|demilune.Policy
---@param options? demilune.LayerOptions
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:with(fields, options)
    refusal.check_self(self, policy, "with")
    local trusted, other = options_of.check_layer(options, options_of.of_layer, 2, "with").trusted, fields
    if getmetatable(fields) ~= policy then
        refusal.check_argument(fields, "table", 1, "with")
        local problem, code, problems
        other, problem, code, problems = require("demilune.source").new(fields)
        if not other then
            return nil, problem, code, problems
        end
    end
    local mark = trusted == false and doubted or function(list) return list end
    local copy, text = core.copy { outer = self.fields, inner = other.fields }
    if not copy then
        return refusal.of { refusal.of_copy(text) }
    end
    local layered, problem, code, problems = policy.build(merge.layers(copy.outer, copy.inner),
        merge.appended(self.layers, mark(other.layers)), {})
    if not layered then
        return nil, problem, code, problems
    end
    rawset(layered, "file", other.file or self.file)
    for _, name in ipairs { "ignored", "paths", "ceilings" } do
        layered[name] = merge.appended(self[name], other[name])
    end
    for _, name in ipairs(hook_names) do
        layered.hooks[name] = merge.appended(self.hooks[name], mark(other.hooks[name]))
    end
    return layered
end

--- Whether this policy gives its command nothing that the other does not: of the host's files and variables, the
--- network, limits, the filter of system calls, dangers accepted and all else that policies say, but for where things
--- stand inside. Hooks do not run.
---@param other demilune.Policy
---@return boolean|nil narrower nil when one of the two could not be launched
---@return string|nil counter_example the first thing that it gives, in words; or the message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:narrower(other)
    refusal.check_self(self, policy, "narrower")
    if getmetatable(other) ~= policy then
        error(("bad argument #1 to 'narrower' (policy expected, got %s)"):format(type(other)), 2)
    end
    local mine, _, problems, own = freezing.plan(self, self.fields)
    if not mine then
        return refusal.of(problems)
    end
    local theirs, their
    theirs, _, problems, their = freezing.plan(other, other.fields)
    if not theirs then
        return refusal.of(problems)
    end
    local narrower, wider = core.narrower(own, mine, their, theirs)
    if narrower then
        return true
    end
    return false, ("%s: %s%s"):format(wider.field, wider.value and wider.value .. " " or "", wider.message)
end

--- What it says in `expect`: its cases, in the order of its layers.
---@return demilune.Case[]
function policy:cases()
    return require("demilune.cases").of(self.layers, not self.wire and os.getenv("HOME") or nil)
end

--- Builds the plan. Without a command the hooks do not run.
---@param command? string[]
---@param options? demilune.RunOptions
---@return demilune.Plan|nil plan
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:plan(command, options)
    refusal.check_self(self, policy, "plan")
    if command ~= nil then
        refusal.check_argument(command, "table", 1, "plan")
    end
    options = options_of.check(options, 2)
    local built, problem, code, problems = planned(self, command, options)
    if not built then
        return nil, problem, code, problems
    end
    return built
end

--- What keeps this policy from being launched: a list, empty when nothing does.
---@param command? string[]
---@param options? demilune.RunOptions
---@return demilune.Problem[] problems
---@return demilune.Problem[] warnings
function policy:problems(command, options)
    refusal.check_self(self, policy, "problems")
    local built, _, _, problems = self:plan(command, options)
    return problems or {}, built and built.warnings or {}
end

--- What is worth a thought in a plan of this policy: surprises, and ways out that were perhaps not meant. Looks through
--- what is bound, as no launch does.
---@package
---@param built demilune.Plan
---@return demilune.Problem[]
function policy:lint(built)
    return freezing.with_places(self, core.lint(built.core))
end

--- Runs a command and waits for it.
---@param command string[]
---@param options? demilune.RunOptions
---@return demilune.Result|nil result
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:run(command, options)
    refusal.check_self(self, policy, "run")
    refusal.check_argument(command, "table", 1, "run")
    options = options_of.check_run(options_of.check(options, 2), 2)
    local built, problem, code, problems, chosen = planned(self, command, options)
    if not built then
        return nil, problem, code, problems
    end
    return built:complete(options, chosen)
end

--- Starts a command and returns at once.
---@param command string[]
---@param options? demilune.RunOptions
---@return demilune.Process|nil process
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:spawn(command, options)
    refusal.check_self(self, policy, "spawn")
    refusal.check_argument(command, "table", 1, "spawn")
    options = options_of.check(options, 2)
    local built, problem, code, problems, chosen = planned(self, command, options)
    if not built then
        return nil, problem, code, problems
    end
    return built:begin(options, chosen)
end

--- The command line that noether-isolation 0.8.2 would execute, of the policy's fields that it knows; a warning is
--- returned too when the policy has others. As there, a word with a NUL is "<string-with-nul>", with a warning, for no
--- system executes such a command line.
---@param self demilune.Policy
---@param command string[]
---@param bwrap_path? string
---@return string[]|nil arguments
---@return string|nil warning or message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.build_bwrap_command(self, command, bwrap_path)
    if getmetatable(self) ~= policy then
        error(("bad argument #1 to 'build_bwrap_command' (policy expected, got %s)"):format(type(self)), 2)
    end
    refusal.check_argument(command, "table", 2, "build_bwrap_command")
    bwrap_path = bwrap_path or core.find_bwrap() or "bwrap"
    refusal.check_argument(bwrap_path, "string", 3, "build_bwrap_command")
    local problems = {}
    for _, problem in ipairs(core.check_command(command)) do
        problems[#problems + 1] = problem.code ~= "string.nul" and problem or nil
    end
    if #problems > 0 then
        return refusal.of(problems)
    end
    local fields = require("demilune.policy_json").five(self.fields)
    local reference = require "demilune.reference"
    local words, warning = reference.command_line(fields, command, bwrap_path)
    return words, warning or reference.left_out(self.fields)
end

return policy
