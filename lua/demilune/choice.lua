--- Which backend launches a plan: the one that is asked for, or of those that its ceilings allow the one that can.
local core = require "demilune.core"
local host = require "demilune.host"
local refusal = require "demilune.refusal"

local choice = {}

---@class demilune.Asked
---@field core userdata of core.plan
---@field ceilings demilune.Ceiling[]
---@field known table<string, demilune.Problem[]> by backend: what keeps it from launching this; it stays true

-- What keeps a backend from launching this, wherever it runs; what was found out once stays true.
local function problems_of(asked, name)
    if name == "none" then
        return {}
    end
    asked.known[name] = asked.known[name] or core.backend_problems(asked.core, name)
    return asked.known[name]
end

-- One backend and a warning; or nil, message, code and problems.
local function named(asked, name)
    local backend, text, code = host.backend(name)
    if not backend and code == "unknown_backend" then
        return refusal.plain(text, code)
    end
    if asked.ceilings[1] then
        local refused, why = require("demilune.ceiling").refuses(asked.ceilings, name)
        if refused then
            return refusal.plain(refused, why)
        end
    end
    local problems = problems_of(asked, name)
    if #problems > 0 then
        return refusal.of(problems)
    elseif not backend then
        return refusal.plain(text, code)
    end
    return backend, text
end

-- The same of the native backend, which has to be tried, unless a launch is about to show it.
local function native_that_works(asked, untried)
    local found = table.pack(named(asked, "native"))
    local failure = found[1] and host.failure("native", nil, untried)
    if failure then
        return refusal.plain(failure, "backend_unavailable")
    end
    return table.unpack(found, 1, found.n)
end

local MOST_MOUNTS = 500 -- bwrap reads the table of mounts once for each: this many take it most of a second
local many = "its %d mounts would take bwrap long: they cost it the square of their number"
local nested = "entries lie in writable trees, where a link that is put there meanwhile leads bwrap before 0.12 astray"
local astray = "entries lie in writable trees, where a link that is put there meanwhile leads this bwrap astray"

-- Of two refusals the one that says most: a backend that may not launch says nothing about the policy, one that is not
-- there says less than what is wrong with the policy, and what bwrap cannot do by nature native says more of.
local function worse(bwrap, native)
    if bwrap[3] == "ceiling.backend" or bwrap[3] == "requires.unavailable" and native[3] == bwrap[3] then
        return native
    elseif native[3] == "ceiling.backend" or bwrap[3] ~= "backend_unavailable" then
        return bwrap
    elseif native[3] ~= "backend_unavailable" then
        return native
    end
    return table.pack(refusal.plain(("%s; and %s"):format(bwrap[2], native[2]), bwrap[3]))
end

-- bwrap where it can do what is asked for and may, else native; and why it is not bwrap. Where entries lie in writable
-- trees it is native whatever the bwrap is: asking one for its version takes a launch's time, and its distribution may
-- have mended it all the same.
local function automatic(asked, untried)
    local bwrap, text, code, problems = named(asked, "bwrap")
    local nests = bwrap and core.nests_in_writable(asked.core)
    local mounts = bwrap and core.mount_count(asked.core) or 0
    if bwrap and not nests and mounts <= MOST_MOUNTS then
        return bwrap, text
    end
    local native = table.pack(native_that_works(asked, untried))
    if native[1] then
        return native[1], nil, nil, nil, nests and nested or bwrap and many:format(mounts) or text
    elseif bwrap then
        local follows = nests and host.bwrap_follows_links()
        return bwrap, follows and ("%s, and it cannot be native: %s"):format(astray, native[2]) or text
    end
    local refused = worse(table.pack(bwrap, text, code, problems), native)
    return table.unpack(refused, 1, refused.n)
end

--- The backend that launches what is asked about. Only looks at what it is told and at the host.
---@param asked demilune.Asked
---@param flag? "auto"|"bwrap"|"native"|"none"
---@param untried? boolean native is taken to work until it is known that it does not: a launch finds out by itself
---@return demilune.Backend|nil
---@return string|nil message a warning, or why there is none
---@return string|nil code
---@return demilune.Problem[]|nil problems
---@return string|nil why auto is native for it
function choice.of(asked, flag, untried)
    if flag == nil or flag == "auto" then
        return automatic(asked, untried)
    end
    return named(asked, flag)
end

--- What keeps a plan from being launched on any host: the problems of the policy with its backends, none of the host's.
---@param asked demilune.Asked
---@param flag? "auto"|"bwrap"|"native"|"none"
---@return demilune.Problem[]
---@return table chosen what choice.of returned, packed
function choice.problems(asked, flag)
    local chosen = table.pack(choice.of(asked, flag, true))
    local code = chosen[3]
    local of_host = code == "backend_unavailable" or code == "unknown_backend" or code == "ceiling.backend"
    return not chosen[1] and not of_host and chosen[4] or {}, chosen
end

return choice
