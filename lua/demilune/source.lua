--- Where policies come from: tables, files, JSON, effects, a command line; on top of those that they extend.
local core = require "demilune.core"
local options_of = require "demilune.options"
local policy = require "demilune.policy"
local refusal = require "demilune.refusal"

local source = {}

local load_layered -- see source.load

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
    local self, text, code, problems = policy.build(fields, { layer }, more)
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
function source.new(fields)
    if type(fields) == "string" then
        error("bad argument #1 to 'policy' (table expected, got string); demilune.load reads a file", 2)
    elseif type(fields) == "table" and rawget(fields, "policy") == source.new then
        error("demilune.policy is a function, no method: write demilune.policy { ... }, with a dot", 2)
    end
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
function source.of_flags(fields)
    return policy.build(fields, { { kind = "flags", fields = fields } }, {})
end

--- A policy for a client of the ancestor, whose format has neither "~" for a home nor a word to accept a danger with:
--- a danger is a warning of the plan. What is never allowed still is not.
---@param fields demilune.Fields
---@param path? string the file that it was read from, with every link resolved
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function source.of_wire(fields, path)
    return policy.build(fields, { { kind = "json", fields = fields } }, { paths = { path }, wire = true })
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
        trusted = origin.trusted, doubt = origin.doubt }
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
function source.decode(given, options)
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

-- Why what was loaded is not trusted, or nil when it is.
local function doubt_of(loaded, outer)
    if outer.trusted == false then
        return require("demilune.trust").inherited(outer)
    end
    local path, owner = require("demilune.load").doubtful(loaded)
    return path and require("demilune.trust").of_file(path, owner)
end

-- A policy from a file, on top of those that it extends. `outer`: the origin of the one that extends it, or of the
-- reading as a whole. False when that file is a layer already.
function load_layered(name, outer, kind)
    local loader = require "demilune.load"
    local own = outer.file and require("demilune.extends").files(outer)
    local loaded, problem, code = loader.file(name, outer.project, own)
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
    local doubt = doubt_of(loaded, outer)
    local trusted = doubt == nil
    local origin = { file = resolved, shown = loaded.path, outer = outer, seen = outer.seen, trusted = trusted,
        doubt = doubt, project = outer.project }
    if loaded.is_json then
        return decode(loaded.source, "refuse", loaded, origin)
    end
    local layer = { kind = kind or "file", file = loaded.path, source = loaded.source, fields = loaded.fields,
        trusted = trusted, doubt = doubt }
    return build_extended(loaded.fields, layer, { paths = loaded.files }, origin)
end

--- A policy from a file, or one found by its name. In a JSON file unknown fields are problems. A file that is neither
--- the caller's nor root's, or that others may write to, is not trusted, whatever the option says.
---@param name string a path (with a "/", or ending in .lua or .json), a bare name, or "-": JSON from standard input
---@param options? demilune.LoadOptions
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function source.load(name, options)
    refusal.check_argument(name, "string", 1, "load")
    options = options_of.check_layer(options, options_of.of_load, 2, "load")
    return load_layered(name, { seen = {}, trusted = options.trusted, project = options.project })
end

--- The policy of this machine, which stands outside of all others of a command line.
---@param path string
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function source.of_site(path)
    return load_layered(path, { seen = {} }, "site")
end

--- The ancestor's policy for effects: base `none`, /nix/store, and what the effects need. Of equal ones the last
--- spelling stays in a list, the first in JSON.
---@param list (string|demilune.Effect)[]|string a list, or the JSON of a set: {"effects":[...]}
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function source.from_effects(list)
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
        local checked, text, code, problems = source.new { base = "none", effects = list }
        if not checked then
            return nil, text, code, problems
        end
        set = effects.sorted(checked.fields.effects, true)
    end
    local fields = effects.fields(set)
    fields.base = "none"
    return policy.build(fields, { { kind = "effects", fields = fields } }, { unsure = {} })
end

return source
