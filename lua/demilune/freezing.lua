--- From what a policy says to the plan: the engine's copy, the base beneath it, and where each problem was written.
local core = require "demilune.core"
local merge = require "demilune.merge"

local freezing = {}

-- Whether what a policy says stands somewhere: in a file, on a command line.
local function has_places(self)
    for _, layer in ipairs(self.layers) do
        if layer.file or layer.kind == "flags" then
            return true
        end
    end
    return false
end

--- Adds file and line, or the option, to each problem, where they are known.
---@param self demilune.Policy
---@param problems demilune.Problem[]
---@return demilune.Problem[] problems
function freezing.with_places(self, problems)
    if #problems > 0 and has_places(self) then
        require("demilune.places").add(self.layers, problems)
    end
    return problems
end

local bases = { host = true, nix = true, none = true }
local makers = {} -- their functions, once they are needed

local lasting = {} -- the frozen copies of bases that are the same for ever, by their tables
local no_base = core.freeze_base(nil)

-- The engine's copy of what the policy starts from: binds, links, files and environment. Nothing when its base is none.
local function base_of(fields)
    local name = fields.base == nil and "host" or fields.base
    if type(name) ~= "string" or not bases[name] then
        return no_base
    end
    local effects = type(fields.effects) == "table" and fields.effects
    local network = fields.network == true or effects and require("demilune.effects").has_network(effects)
    makers[name] = makers[name] or require("demilune.base." .. name)
    local base, lasts = makers[name](fields, network)
    local frozen = lasting[base] or core.freeze_base(base)
    lasting[base] = lasts and frozen or nil
    return frozen
end

-- What the command must not write to: the files of the policy and of the ceilings.
local function own_files(self, ceilings)
    local files = self.paths
    for _, one in ipairs(ceilings or {}) do
        files = merge.appended(files, one.files)
    end
    return files
end

-- The engine's copy of the fields and the problems of their shape. That of a policy's own fields, which do not change,
-- is made once.
local function copy_of(self, fields, ceilings)
    local home = not self.wire and os.getenv("HOME") or nil
    local made = rawget(self, "frozen")
    local as_is = not (ceilings and ceilings[1])
    if made and as_is and made.fields == fields and made.home == home then
        return made.core, {}
    end
    local frozen, problems = core.freeze(fields, { home = home, files = own_files(self, ceilings), wire = self.wire })
    if as_is and #problems == 0 and rawget(self, "fields") == fields then
        rawset(self, "frozen", { core = frozen, fields = fields, home = home })
    end
    return frozen, problems
end

--- The engine's copy of the fields, or nil and the problems of all of them.
---@param self demilune.Policy
---@param fields demilune.Fields
---@param base userdata from core.freeze_base
---@param ceilings? demilune.Ceiling[]
---@return userdata|nil
---@return demilune.Problem[]|nil
local function freeze(self, fields, base, ceilings)
    local frozen, problems = copy_of(self, fields, ceilings)
    if #problems == 0 then
        return frozen
    end
    local more = core.validate(frozen, base)
    return nil, freezing.with_places(self, table.move(more, 1, #more, #problems + 1, problems))
end

--- The problems of the fields by themselves, whatever their base; nil when there are none.
---@param self demilune.Policy
---@param fields demilune.Fields
---@return demilune.Problem[]|nil
function freezing.problems(self, fields)
    return select(2, freeze(self, fields, no_base))
end

--- The plan of these fields, its warnings, nil, and what was validated for it; or nil, nil and the problems.
---@param self demilune.Policy
---@param fields demilune.Fields
---@param command? string[]
---@param ceilings? demilune.Ceiling[]
---@return userdata|nil
---@return demilune.Problem[]|nil
---@return demilune.Problem[]|nil
---@return userdata|nil
function freezing.plan(self, fields, command, ceilings)
    local base = base_of(fields)
    local frozen, problems = freeze(self, fields, base, ceilings)
    if not frozen then
        return nil, nil, problems
    end
    local cores = ceilings and ceilings[1] and require("demilune.ceiling").cores(ceilings)
    local built, warnings, whole
    built, warnings, problems, whole = core.plan(frozen, base, command, cores)
    return built, warnings, not built and freezing.with_places(self, problems) or nil, whole
end

--- In what the fields `after` give more than `before`, nil for nothing; or nil and the problems of one of them.
---@param self demilune.Policy
---@param after demilune.Fields
---@param before demilune.Fields
---@return demilune.Problem|nil
---@return demilune.Problem[]|nil
function freezing.excess(self, after, before)
    local first, _, problems, frozen_before = freezing.plan(self, before)
    if not first then
        return nil, problems
    end
    local second, frozen_after
    second, _, problems, frozen_after = freezing.plan(self, after)
    if not second then
        return nil, problems
    end
    return (select(2, core.narrower(frozen_after, second, frozen_before, first)))
end

return freezing
