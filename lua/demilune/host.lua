--- Facts about this machine, and which backend launches here.
local core = require "demilune.core"

local host = {}

local function distribution()
    local text = core.read_file("/etc/os-release", 64 * 1024) or core.read_file("/usr/lib/os-release", 64 * 1024) or ""
    local name = ("\n" .. text):match("\nPRETTY_NAME=([^\n]*)")
    return name and name:gsub('^"(.*)"$', "%1") or "unknown"
end

-- Facts that cost something are found out when somebody asks.
local costly = {
    distribution = distribution,
    bwrap_version = function()
        local path = core.find_bwrap()
        return path and core.bwrap_version(path) or nil
    end,
}

local found = {} -- the costly facts that were asked for

--- One costly fact by name.
---@param name string
---@return string|nil
function host.lookup(name)
    if found[name] == nil and costly[name] then
        found[name] = costly[name]()
    end
    return found[name]
end

--- Facts: kernel, machine, landlock (ABI, 0 without), memory (bytes), uid, gid, distribution, bwrap_version.
---@return demilune.Host
function host.facts()
    return setmetatable(core.facts(), {
        __index = function(facts, name)
            local value = host.lookup(name)
            rawset(facts, name, value)
            return value
        end,
    })
end

--- The path of bwrap: the trusted places, then PATH.
---@return string|nil path
---@return boolean|nil trusted whether only root can have put it there
function host.find_bwrap()
    return core.find_bwrap()
end

local backends = { "auto", "bwrap", "native", "none" }
local not_installed = "bwrap is not installed here (Debian: apt-get install bubblewrap)"

---@type demilune.Backend
host.native = { kind = "native", effective = "native" }

local EAGAIN, ENOMEM, ENFILE, EMFILE = 11, 12, 23, 24
local shortages = { [EAGAIN] = true, [ENOMEM] = true, [ENFILE] = true, [EMFILE] = true }

--- Whether an errno says that something is short now, which says nothing about the host.
---@param errno integer|nil
---@return boolean
function host.is_shortage(errno)
    return shortages[errno] or false
end

-- By backend, and by path for bwrap: why it does not work here; false when it is known to work.
local failures = {}

--- Why a backend does not work here, found out by trying, once.
---@param kind "bwrap"|"native"
---@param path? string of bwrap
---@param untried? boolean what is known of it already is enough
---@return string|nil text nil when it works, but for something that may pass
function host.failure(kind, path, untried)
    local key = path or kind
    if failures[key] == nil and not untried then
        local diagnose = require "demilune.diagnose"
        local failure = require("demilune.tryout").run(path)
        if failure and diagnose.may_pass(kind, failure) then
            return nil
        end
        local name = kind == "bwrap" and "bwrap" or "the native backend"
        failures[key] = failure and ("%s does not work here: %s"):format(name, diagnose.line(kind, failure)) or false
    end
    return failures[key] or nil
end

--- Whether it is known that a backend works here.
---@param kind "bwrap"|"native"
---@param path? string of bwrap
---@return boolean
function host.is_proven(kind, path)
    return failures[path or kind] == false
end

--- It has worked, which is what a trial would find out.
---@param kind "bwrap"|"native"
---@param path? string of bwrap
function host.prove(kind, path)
    failures[path or kind] = false
end

local function bwrap()
    local path, trusted = core.find_bwrap()
    if not path then
        local barred = core.barred_bwrap()
        local text = barred and ("bwrap is there, at %s, but cannot be executed"):format(core.quote(barred))
        return nil, text or not_installed, "backend_unavailable"
    end
    local failure = host.failure("bwrap", path, true)
    if failure then
        return nil, failure, "backend_unavailable"
    end
    local warning = not trusted and ("bwrap was found through PATH, at %s"):format(core.quote(path)) or nil
    return { kind = "bwrap", bwrap_path = path, effective = "bwrap" }, warning
end

--- Whether the bwrap that is found may be one that looks up mount points through symbolic links: in a tree that others
--- can write to, one that is put there between check and mount leads it out of the sandbox (CVE-2026-87766). Versions
--- before 0.12.0 do, unless their distribution has mended them, which cannot be told without harm.
---@return boolean
function host.bwrap_follows_links()
    local major, minor = (host.lookup("bwrap_version") or ""):match("^(%d+)%.(%d+)")
    return not major or (tonumber(major) == 0 and tonumber(minor) < 12)
end

local function automatic(untried)
    local backend, text, code = bwrap()
    if backend then
        return backend, text
    end
    local failure = host.failure("native", nil, untried)
    if failure then
        return nil, ("%s; and %s"):format(text, failure), code
    end
    return host.native
end

--- The backend that `flag` stands for here; auto is bwrap, then native.
---@param flag? "auto"|"bwrap"|"native"|"none"
---@param untried? boolean native is taken to work until it is known that it does not: a launch finds out by itself
---@return demilune.Backend|nil
---@return string|nil message a warning, or why there is no such backend
---@return string|nil code "unknown_backend" or "backend_unavailable"
function host.backend(flag, untried)
    flag = flag or "auto"
    if type(flag) ~= "string" then
        error(("bad argument #1 to 'backend' (string expected, got %s)"):format(type(flag)), 2)
    elseif flag == "none" then
        return { kind = "none", effective = "none" }, "no isolation: the command can do whatever you can do"
    elseif flag == "native" then
        return host.native
    elseif flag == "bwrap" then
        return bwrap()
    elseif flag == "auto" then
        return automatic(untried)
    end
    local nearest = core.nearest(flag, backends)
    return nil, ("%s is no backend; write auto, bwrap, native or none%s"):format(core.quote(flag),
        nearest and (" (did you mean %s?)"):format(nearest) or ""), "unknown_backend"
end

return host
