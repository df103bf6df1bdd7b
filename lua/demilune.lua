--- demilune: run a command in a sandbox that a Lua policy describes.
--
--     local demilune = require "demilune"
--     local policy = assert(demilune.policy { rw_binds = { "/srv/job" } })
--     local result = assert(policy:run({ "gcc", "-c", "x.c" }, { capture = true, timeout = 5 }))
--
-- Misuse (a wrong type) raises. When nothing was executed a function returns nil, message, code, problems; when
-- something was executed it returns a result. The types stand in demilune/meta.lua.
local core = require "demilune.core"
local host = require "demilune.host"
local policy = require "demilune.policy"
local source = require "demilune.source"

-- From files, what a launch may need is read now: later the host may be elsewhere, or out of descriptors. The command
-- has all of it in its own file, and takes only what it needs.
local for_launches = {
    "base.host", "base.nix", "base.none", "ceiling", "diagnose", "effects", "extends", "hook", "hooks", "load",
    "narrow", "places", "planning", "process", "redact", "trust", "tryout",
}
local _, origin = ...
for _, name in ipairs(origin ~= ":demilune:" and for_launches or {}) do
    require("demilune." .. name)
end

---@class demilune
local demilune = {
    _NAME = "demilune",
    _VERSION = "demilune " .. core.version,
    --- Who "nobody" is inside.
    NOBODY_UID = 65534,
    NOBODY_GID = 65534,
    --- Where bwrap is looked for before PATH.
    TRUSTED_BWRAP_PATHS = core.trusted_bwrap_paths,

    policy = source.new,
    load = source.load,
    decode = source.decode,
    from_effects = source.from_effects,
    ceiling = function(fields) return require("demilune.ceiling").new(fields) end,
    build_bwrap_command = policy.build_bwrap_command,
    host = host.facts,
    find_bwrap = host.find_bwrap,
    backend = function(flag) return host.backend(flag) end,
}

return demilune
