--- Policies: from a table, a file or JSON, with hooks, to a plan and a result.
local core = require "demilune.core"
local host = require "demilune.host"
local merge = require "demilune.merge"
local options_of = require "demilune.options"
local plan = require "demilune.plan"
local refusal = require "demilune.refusal"

local hook_names = { "prepare", "launched", "finished" }

---@class demilune.Layer what one file or table said
---@field kind "file"|"json"|"table"|"flags"|"effects"|"site"
---@field file? string
---@field source? string
---@field fields table
---@field trusted? boolean false: it may only narrow what stands outside of it

---@class demilune.Policy
---@field package fields table what the policy says, without hooks; never handed out
---@field package hooks table<string, { run: any, file: string?, trusted: boolean? }[]>
---@field package layers demilune.Layer[] outermost first
---@field package file string? the innermost policy file, as it was named
---@field package paths string[] every file that the policy was read from, with every link resolved
---@field package wire boolean it came in the ancestor's format alone: see policy.of_wire
---@field package ignored demilune.Problem[] unknown fields of JSON that were passed over
---@field package ceilings demilune.Ceiling[] that hold for each of its plans, besides that of the machine
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

local function appended(first, second)
    return table.move(second, 1, #second, #first + 1, table.move(first, 1, #first, 1, {}))
end

-- What the command must not write to: the files of the policy and of the ceilings.
local function own_files(self, ceilings)
    local files = self.paths
    for _, one in ipairs(ceilings or {}) do
        files = appended(files, one.files)
    end
    return files
end

local function freeze(self, fields, base, ceilings)
    local frozen, problems = core.freeze(fields, base, {
        home = not self.wire and os.getenv("HOME") or nil, files = own_files(self, ceilings), wire = self.wire,
    })
    if #problems == 0 then
        return frozen
    end
    local more = core.validate(frozen)
    return nil, with_places(self, table.move(more, 1, #more, #problems + 1, problems))
end

--- Takes the hooks out of the fields of a layer and appends them to `hooks`.
local function take_hooks(fields, hooks, layer)
    for _, name in ipairs(hook_names) do
        local hook = rawget(fields, name)
        if hook ~= nil then
            hooks[name][#hooks[name] + 1] = { run = hook, file = layer.file, trusted = layer.trusted }
            fields[name] = nil
        end
    end
end

-- A policy of `fields`. `more`: `paths`, the files that it was read from; `wire`, see policy.of_wire; `unsure`, those
-- of the fields whose shape the engine has to look at now, where a reader has seen to the others. The base comes with
-- the plan.
local function build(fields, layers, more)
    local file = layers[#layers].file
    layers[#layers].trusted = layers[#layers].trusted ~= false
    local self = { hooks = { prepare = {}, launched = {}, finished = {} }, layers = layers, file = file, ignored = {},
        ceilings = {} }
    self.paths, self.wire = more.paths or {}, more.wire == true
    local frozen, problems = freeze(self, more.unsure or fields, nil)
    if not frozen and more.unsure then
        problems = select(2, freeze(self, fields, nil)) -- all of them at once
    end
    if not frozen then
        return refusal.of(problems)
    end
    take_hooks(fields, self.hooks, layers[#layers])
    self.fields = fields
    return setmetatable(self, policy)
end

local load_layered -- see policy.load

-- What is wrong with what a layer says under `extends`, with its place.
local function refuse_extends(problems, layer, given)
    for _, problem in ipairs(problems) do
        if problem.file == nil then
            local said = { kind = layer.kind, file = layer.file, source = layer.source, fields = { extends = given } }
            require("demilune.places").add({ said }, { problem })
        end
    end
    return refusal.of(problems)
end

-- A policy of one layer, on top of those that it extends. `origin`: how reading came to it.
local function build_extended(fields, layer, more, origin)
    local given, outer = rawget(fields, "extends"), nil
    if given ~= nil then
        local names, problems = require("demilune.extends").take(fields)
        if names then
            outer, problems = require("demilune.extends").resolve(names, origin, load_layered)
        end
        if problems then
            return refuse_extends(problems, layer, given)
        elseif more.unsure then
            more.unsure.extends = nil
        end
    end
    local self, text, code, problems = build(fields, { layer }, more)
    if not self then
        return nil, text, code, problems
    end
    self.ignored = more.ignored or {}
    if outer then
        return outer:with(self)
    end
    return self
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
    return build_extended(copy, { kind = "table", fields = copy }, {}, { seen = {} })
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

-- A policy from JSON; `file` is what was loaded, if it was, and `origin` how reading came to it.
local function decode(given, unknown, file, origin)
    local read, problems = require("demilune.policy_json").decode(given, unknown)
    for _, problem in ipairs(problems or read.warnings) do
        problem.file = file and file.path
    end
    if not read then
        return refusal.of(problems)
    end
    local layer = { kind = "json", file = file and file.path, source = file and given, fields = read.fields,
        trusted = origin.trusted }
    local self, text, code
    self, text, code, problems = build_extended(read.fields, layer, {
        paths = file and file.files, unsure = read.own, ignored = read.warnings,
    }, origin)
    if not self then
        return nil, text, code, problems
    end
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
    return decode(given, unknown, nil, { seen = {} })
end

-- A policy from a file, on top of those that it extends. `outer`: the origin of the one that extends it, or of the
-- reading as a whole. False when that file is a layer already.
function load_layered(name, outer, kind)
    local loader = require "demilune.load"
    local loaded, problem, code = loader.file(name, outer.project)
    if not loaded then
        return refusal.of { refusal.placed("", code, problem) }
    end
    local resolved = loaded.resolved
    if resolved then
        problem = outer.file and require("demilune.extends").loop(resolved, outer)
        if problem then
            return refusal.of { problem }
        elseif outer.seen[resolved] then
            return false
        end
        outer.seen[resolved] = true
    end
    local trusted = outer.trusted ~= false and loader.is_trusted(loaded)
    local origin = { file = resolved, shown = loaded.path, outer = outer, seen = outer.seen, trusted = trusted,
        project = outer.project }
    if loaded.is_json then
        return decode(loaded.source, "refuse", loaded, origin)
    end
    local layer = { kind = kind or "file", file = loaded.path, source = loaded.source, fields = loaded.fields,
        trusted = trusted }
    return build_extended(loaded.fields, layer, { paths = loaded.files }, origin)
end

local of_layer = { trusted = "boolean" }
local of_load = { trusted = "boolean", project = "string" }

-- The options of a layer. `trusted` can only take trust away: what is trusted a file's owner says.
local function check_layer(options, known, position, name)
    if options == nil then
        return {}
    end
    refusal.check_argument(options, "table", position, name)
    for key, value in next, options do
        if type(value) ~= known[key] then
            error(("bad option %s: %s expected"):format(tostring(key),
                known.project and 'trusted = true or false, or project = "/path"' or "trusted = true or false"), 3)
        end
    end
    return options
end

--- A policy from a file, or one found by its name. In a JSON file unknown fields are problems. A file that is neither
--- the caller's nor root's, or that others may write to, is not trusted, whatever the option says.
---@param name string a path (with a "/", or ending in .lua or .json), a bare name, or "-": JSON from standard input
---@param options? demilune.LoadOptions
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.load(name, options)
    refusal.check_argument(name, "string", 1, "load")
    options = check_layer(options, of_load, 2, "load")
    return load_layered(name, { seen = {}, trusted = options.trusted, project = options.project })
end

--- The policy of this machine, which stands outside of all others of a command line.
---@param path string
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function policy.of_site(path)
    return load_layered(path, { seen = {} }, "site")
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
    local trusted, other = check_layer(options, of_layer, 2, "with").trusted, fields
    if getmetatable(fields) ~= policy then
        refusal.check_argument(fields, "table", 1, "with")
        local problem, code, problems
        other, problem, code, problems = policy.new(fields)
        if not other then
            return nil, problem, code, problems
        end
    end
    local mark = trusted == false and doubted or function(list) return list end
    local copy, text = core.copy { outer = self.fields, inner = other.fields }
    if not copy then
        return refusal.of { refusal.of_copy(text) }
    end
    local layered, problem, code, problems = build(merge.layers(copy.outer, copy.inner),
        appended(self.layers, mark(other.layers)), {})
    if not layered then
        return nil, problem, code, problems
    end
    layered.file = other.file or self.file
    for _, name in ipairs { "ignored", "paths", "ceilings" } do
        layered[name] = appended(self[name], other[name])
    end
    for _, name in ipairs(hook_names) do
        layered.hooks[name] = appended(self.hooks[name], mark(other.hooks[name]))
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

-- The plan of what the hooks left, with its warnings and what was frozen for it; or nil, nil and the problems.
local function freeze_and_plan(self, fields, command, ceilings)
    local frozen, problems = freeze(self, fields, base_of(fields), ceilings)
    if not frozen then
        return nil, nil, problems
    end
    local cores = ceilings and ceilings[1] and require("demilune.ceiling").cores(ceilings)
    local built, warnings
    built, warnings, problems = core.plan(frozen, command, cores)
    return built, warnings, not built and with_places(self, problems) or nil, frozen
end

-- In what the fields `after` give more than `before`, nil for nothing; or nil and the problems of one of them.
local function excess(self, after, before)
    local first, _, problems, frozen_before = freeze_and_plan(self, before)
    if not first then
        return nil, problems
    end
    local second, frozen_after
    second, _, problems, frozen_after = freeze_and_plan(self, after)
    if not second then
        return nil, problems
    end
    return (select(2, core.narrower(frozen_after, second, frozen_before, first)))
end

-- The problems of layers that are not trusted and widen; nil when there are none.
local function check_trusted(self)
    for _, layer in ipairs(self.layers) do
        if not layer.trusted then
            return require("demilune.trust").check(self.layers, function(after, before)
                return excess(self, after, before)
            end)
        end
    end
    return nil
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
    if getmetatable(other) ~= policy then
        error(("bad argument #1 to 'narrower' (policy expected, got %s)"):format(type(other)), 2)
    end
    local mine, _, problems, own = freeze_and_plan(self, self.fields)
    if not mine then
        return refusal.of(problems)
    end
    local theirs, their
    theirs, _, problems, their = freeze_and_plan(other, other.fields)
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

-- What the hooks left and what was planned, for explain. A program's own hook may have kept the table that it left.
local function kept(self, hooked, fields)
    for _, hook in ipairs(hooked and self.hooks.prepare or {}) do
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
    options = options_of.check(options, 2)
    local ceilings, why, reason, refused = ceilings_of(self, options.ceiling)
    if not ceilings then
        return nil, why, reason, refused
    end
    refused = check_trusted(self)
    if refused then
        return refusal.of(refused)
    end
    local context = command and has_hooks(self) and context_of(self, command)
    local fields = self.fields -- only read from here on: hooks get a copy
    local hooked, trace
    if command and #self.hooks.prepare > 0 then
        local problem, code, problems
        trace = options.trace and {} or nil
        fields, problem, code, problems = require("demilune.hooks").prepare(self, context, excess, trace)
        if not fields then
            return nil, problem, code, problems
        end
        hooked = fields
    end
    if options.narrow then
        local problems
        fields, problems = require("demilune.narrow").apply(fields, core.copy(options.narrow) or options.narrow)
        if not fields then
            return refusal.of(problems)
        end
    end
    fields = overlay(fields, options)
    local built, warnings, problems = freeze_and_plan(self, fields, command, ceilings)
    local native
    if built then
        problems, native = host.backend_problems(built, options.backend)
        problems = with_places(self, problems)
    end
    if not built or #problems > 0 then
        return refusal.of(problems)
    end
    hooked, fields = kept(self, hooked, fields)
    return setmetatable({
        core = built,
        checked = { [options.backend or "auto"] = { {}, native } },
        ceilings = ceilings,
        policy = self,
        fields = fields,
        hooked = hooked,
        trace = trace,
        context = context,
        warnings = table.move(self.ignored, 1, #self.ignored, #warnings + 1, with_places(self, warnings)),
    }, plan)
end

--- What keeps this policy from being launched: a list, empty when nothing does.
---@param command? string[]
---@param options? demilune.RunOptions
---@return demilune.Problem[] problems
---@return demilune.Problem[] warnings
function policy:problems(command, options)
    local built, _, _, problems = self:plan(command, options)
    return problems or {}, built and built.warnings or {}
end

--- What is worth a thought in a plan of this policy: surprises, and ways out that were perhaps not meant. Looks through
--- what is bound, as no launch does.
---@package
---@param built demilune.Plan
---@return demilune.Problem[]
function policy:lint(built)
    return with_places(self, core.lint(built.core))
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
    options_of.check(options, 2)
    local built, problem, code, problems = self:plan(command, options)
    if not built then
        return nil, problem, code, problems
    end
    return built:run(options_of.of_launch(options))
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
    options_of.check(options, 2)
    local built, problem, code, problems = self:plan(command, options)
    if not built then
        return nil, problem, code, problems
    end
    return built:spawn(options_of.of_launch(options))
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
