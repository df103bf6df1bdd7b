--- Policies: from a table, a file or JSON, with hooks, to a plan and a result.
local core = require "demilune.core"
local merge = require "demilune.merge"
local check_options = require("demilune.options").check
local plan = require "demilune.plan"
local refusal = require "demilune.refusal"

local hook_names = { "prepare", "launched", "finished" }

---@class demilune.Layer what one file or table said
---@field kind "file"|"json"|"table"|"flags"|"effects"
---@field file? string
---@field source? string
---@field fields table

---@class demilune.Policy
---@field package fields table what the policy says, without hooks; never handed out
---@field package hooks table<string, { run: any, file: string? }[]>
---@field package layers demilune.Layer[] outermost first
---@field package file string? the innermost policy file, as it was named
---@field package paths string[] every file that the policy was read from, with every link resolved
---@field package wire boolean it came in the ancestor's format alone: see policy.of_wire
---@field package ignored demilune.Problem[] unknown fields of JSON that were passed over
local policy = {}
policy.__index = policy
policy.__name = "demilune.policy"

-- Adds file and line to each problem, where they are known.
local function with_places(self, problems)
    if self.file and #problems > 0 then
        require("demilune.places").add(self.layers, problems)
    end
    return problems
end

local bases = { host = true, nix = true, none = true }

-- What the policy starts from: a table of binds, links, files and environment, or nil when its base is no base.
local function base_of(fields)
    local name = fields.base == nil and "host" or fields.base
    if type(name) ~= "string" or not bases[name] then
        return nil
    end
    local network = fields.network == true
    for _, effect in ipairs(type(fields.effects) == "table" and fields.effects or {}) do
        network = network or effect == "Network" or type(effect) == "table" and effect.effect == "Network"
    end
    return require("demilune.base." .. name) {
        network = network, user = fields.user, env_allowlist = fields.env_allowlist,
    }
end

local function freeze(self, fields, base)
    local frozen, problems = core.freeze(fields, base, {
        home = not self.wire and os.getenv("HOME") or nil, files = self.paths, wire = self.wire,
    })
    if #problems == 0 then
        return frozen
    end
    local more = core.validate(frozen)
    return nil, with_places(self, table.move(more, 1, #more, #problems + 1, problems))
end

--- Takes the hooks out of `fields` and appends them to `hooks`.
local function take_hooks(fields, hooks, file)
    for _, name in ipairs(hook_names) do
        local hook = rawget(fields, name)
        if hook ~= nil then
            hooks[name][#hooks[name] + 1] = { run = hook, file = file }
            fields[name] = nil
        end
    end
end

-- A policy of `fields`. `more`: `paths`, the files that it was read from; `wire`, see policy.of_wire; `unsure`, those
-- of the fields whose shape the engine has to look at now, where a reader has seen to the others. The base comes with
-- the plan.
local function build(fields, layers, more)
    local file = layers[#layers].file
    local self = { hooks = { prepare = {}, launched = {}, finished = {} }, layers = layers, file = file, ignored = {} }
    self.paths, self.wire = more.paths or {}, more.wire == true
    local frozen, problems = freeze(self, more.unsure or fields, nil)
    if not frozen and more.unsure then
        problems = select(2, freeze(self, fields, nil)) -- all of them at once
    end
    if not frozen then
        return refusal.of(problems)
    end
    take_hooks(fields, self.hooks, file)
    self.fields = fields
    return setmetatable(self, policy)
end

--- A policy from a table. The table is copied: changing it later changes nothing.
---@param fields demilune.Fields
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.new(fields)
    refusal.check_argument(fields, "table", 1, "policy")
    local copy, problem = core.copy(fields, true)
    if not copy then
        return refusal.of { refusal.of_copy(problem) }
    end
    return build(copy, { { kind = "table", fields = copy } }, {})
end

--- A policy of what a command line says.
---@param fields demilune.Fields not to be changed afterwards
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.of_flags(fields)
    return build(fields, { { kind = "flags", fields = fields } }, {})
end

--- A policy for a client of the ancestor, whose format has neither "~" for a home nor a word to accept a danger with:
--- a danger is a warning of the plan. What is never allowed still is not.
---@param fields demilune.Fields
---@param path? string the file that it was read from, with every link resolved
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.of_wire(fields, path)
    return build(fields, { { kind = "json", fields = fields } }, { paths = { path }, wire = true })
end

-- A policy from JSON; `file` is what was loaded, if it was.
local function decode(given, unknown, file)
    local read, problems = require("demilune.policy_json").decode(given, unknown)
    for _, problem in ipairs(problems or read.warnings) do
        problem.file = file and file.path
    end
    if not read then
        return refusal.of(problems)
    end
    local layer = { kind = "json", file = file and file.path, source = file and given, fields = read.fields }
    local self, text, code
    self, text, code, problems = build(read.fields, { layer }, { paths = file and file.files, unsure = read.own })
    if not self then
        return nil, text, code, problems
    end
    self.ignored = read.warnings
    return self, read.warnings
end

local unknown_modes = { ignore = true, refuse = true }

--- A policy from JSON: the ancestor's five fields, and the others of demilune.Fields but secrets and hooks. Blank text
--- is the ancestor's default policy. Unknown fields are passed over, as the ancestor does, when the text has none of
--- demilune's own fields, and problems when it has; `unknown` says "ignore" or "refuse" for both. What was passed over
--- is returned, and is among the warnings of each plan. Strings may be anything until a plan is made.
---@param given string
---@param options? demilune.DecodeOptions
---@return demilune.Policy|nil policy
---@return demilune.Problem[]|string warnings, or the message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.decode(given, options)
    refusal.check_argument(given, "string", 1, "decode")
    if options ~= nil then
        refusal.check_argument(options, "table", 2, "decode")
    end
    local unknown
    for name, value in next, options or {} do
        if name ~= "unknown" or not unknown_modes[value] then
            error(('bad option %s: unknown = "ignore" or "refuse" expected'):format(tostring(name)), 2)
        end
        unknown = value
    end
    return decode(given, unknown)
end

--- A policy from a file, or one found by its name. In a JSON file unknown fields are problems.
---@param name string a path (with a "/", or ending in .lua or .json), a bare name, or "-": JSON from standard input
---@param options? demilune.LoadOptions
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.load(name, options)
    refusal.check_argument(name, "string", 1, "load")
    if options ~= nil then
        refusal.check_argument(options, "table", 2, "load")
    end
    for key, value in next, options or {} do
        if key ~= "project" or type(value) ~= "string" then
            error(("bad option %s: project = \"/path\" expected"):format(tostring(key)), 2)
        end
    end
    local loaded, problem, code = require("demilune.load").file(name, options and options.project)
    if not loaded then
        return refusal.of { refusal.placed("", code, problem) }
    elseif loaded.is_json then
        return decode(loaded.source, "refuse", loaded)
    end
    local layer = { kind = "file", file = loaded.path, source = loaded.source, fields = loaded.fields }
    return build(loaded.fields, { layer }, { paths = loaded.files })
end

--- The ancestor's policy for effects: base `none`, /nix/store, and what the effects need. Of equal ones the last
--- spelling stays in a list, the first in JSON.
---@param list (string|demilune.Effect)[]|string a list, or the JSON of a set: {"effects":[...]}
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.from_effects(list)
    local effects = require "demilune.effects"
    local set
    if type(list) == "string" then
        local failure
        set, failure = require("demilune.wire").read_effects(list)
        if not set then
            return refusal.of { { field = failure.field, code = failure.code, message = failure.message } }
        end
    else
        refusal.check_argument(list, "table", 1, "from_effects")
        local checked, text, code, problems = policy.new { base = "none", effects = list }
        if not checked then
            return nil, text, code, problems
        end
        set = effects.sorted(checked.fields.effects, true)
    end
    local fields = effects.fields(set)
    fields.base = "none"
    return build(fields, { { kind = "effects", fields = fields } }, { unsure = {} })
end

--- This policy as JSON: the ancestor's five fields as it writes them, then demilune's own. Refuses what would be lost,
--- hooks and secrets (encode.lossy), unless that is wanted, and strings that are not UTF-8 (encode.utf8).
---@param options? demilune.EncodeOptions
---@return string|nil text
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:encode(options)
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

--- This policy with more on top: lists append, maps merge, scalars replace, hooks run after this one's.
---@param fields demilune.Fields
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:with(fields)
    local other = fields
    if getmetatable(fields) ~= policy then
        refusal.check_argument(fields, "table", 1, "with")
        local problem, code, problems
        other, problem, code, problems = policy.new(fields)
        if not other then
            return nil, problem, code, problems
        end
    end
    local layers = table.move(self.layers, 1, #self.layers, 1, {})
    table.move(other.layers, 1, #other.layers, #layers + 1, layers)
    local copy, text = core.copy { outer = self.fields, inner = other.fields }
    if not copy then
        return refusal.of { refusal.of_copy(text) }
    end
    local layered, problem, code, problems = build(merge.layers(copy.outer, copy.inner), layers, {})
    if not layered then
        return nil, problem, code, problems
    end
    layered.ignored = table.move(self.ignored, 1, #self.ignored, 1, {})
    table.move(other.ignored, 1, #other.ignored, #layered.ignored + 1, layered.ignored)
    layered.file = other.file or self.file
    layered.paths = table.move(self.paths, 1, #self.paths, 1, {})
    table.move(other.paths, 1, #other.paths, #layered.paths + 1, layered.paths)
    for _, name in ipairs(hook_names) do
        layered.hooks[name] = table.move(self.hooks[name], 1, #self.hooks[name], 1, {})
        table.move(other.hooks[name], 1, #other.hooks[name], #layered.hooks[name] + 1, layered.hooks[name])
    end
    return layered
end

local function has_hooks(self)
    return #self.hooks.prepare + #self.hooks.launched + #self.hooks.finished > 0
end

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

-- The plan of what the hooks left, with its warnings; or nil, nil and the problems.
local function freeze_and_plan(self, fields, command)
    local frozen, problems = freeze(self, fields, base_of(fields))
    if not frozen then
        return nil, nil, problems
    end
    local built, warnings
    built, warnings, problems = core.plan(frozen, command)
    return built, warnings, not built and with_places(self, problems) or nil
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
    if command ~= nil then
        refusal.check_argument(command, "table", 1, "plan")
    end
    options = check_options(options, 2)
    local context = command and has_hooks(self) and context_of(self, command)
    local fields = self.fields -- only read from here on: hooks get a copy
    if command and #self.hooks.prepare > 0 then
        local problem, code, problems
        fields, problem, code, problems = require("demilune.hooks").prepare(self, context)
        if not fields then
            return nil, problem, code, problems
        end
    end
    if options.narrow then
        local problems
        fields, problems = require("demilune.narrow").apply(fields, core.copy(options.narrow) or options.narrow)
        if not fields then
            return refusal.of(problems)
        end
    end
    fields = overlay(fields, options)
    local built, warnings, problems = freeze_and_plan(self, fields, command)
    if not built then
        return refusal.of(problems)
    end
    return setmetatable({
        core = built,
        policy = self,
        context = context,
        warnings = table.move(self.ignored, 1, #self.ignored, #warnings + 1, with_places(self, warnings)),
    }, plan)
end

--- What keeps this policy from being launched: a list, empty when nothing does.
---@param command? string[]
---@return demilune.Problem[] problems
---@return demilune.Problem[] warnings
function policy:problems(command)
    local built, _, _, problems = self:plan(command)
    return problems or {}, built and built.warnings or {}
end

--- Runs a command and waits for it.
---@param command string[]
---@param options? demilune.RunOptions
---@return demilune.Result|nil result
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:run(command, options)
    refusal.check_argument(command, "table", 1, "run")
    check_options(options, 2)
    local built, problem, code, problems = self:plan(command, options)
    if not built then
        return nil, problem, code, problems
    end
    return built:run(options)
end

--- Starts a command and returns at once.
---@param command string[]
---@param options? demilune.RunOptions
---@return demilune.Process|nil process
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy:spawn(command, options)
    refusal.check_argument(command, "table", 1, "spawn")
    check_options(options, 2)
    local built, problem, code, problems = self:plan(command, options)
    if not built then
        return nil, problem, code, problems
    end
    return built:spawn(options)
end

local said_by_ancestor = {
    ro_binds = true, rw_binds = true, work_host = true, network = true, env_allowlist = true, name = true,
    description = true, expect = true,
}

-- A warning of what a policy says and the ancestor's command line cannot, or nil.
local function left_out(fields)
    local names = {}
    for name, value in next, fields do
        if not said_by_ancestor[name] and not (name == "base" and value == "none") then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return #names > 0 and "the ancestor has no words for these, left out: " .. table.concat(names, ", ") or nil
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
    local words, warning = require("demilune.reference").command_line(fields, command, bwrap_path)
    return words, warning or left_out(self.fields)
end

return policy
