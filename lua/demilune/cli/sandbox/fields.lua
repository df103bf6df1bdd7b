--- What of a policy in the ancestor's format is launched: its five fields, and what came with them there without being
--- said. Base `none` adds nothing.

-- With the host's network, so that names are found and certificates checked.
local network_files = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl/certs" }

-- Whether a bind at `at` takes the place of what would be at `path`.
local function covers(at, path)
    local place = at:gsub("/+", "/"):gsub("/$", "")
    return path == place or path:sub(1, #place + 1) == place .. "/"
end

local function covered(path, ...)
    for _, list in ipairs { ... } do
        for _, bind in ipairs(list) do
            if covers(bind.sandbox, path) then
                return true
            end
        end
    end
    return false
end

-- The policy's own binds come after those of the network there, so that they hide them.
local function read_only(policy)
    local binds = table.move(policy.ro_binds, 1, #policy.ro_binds, 1, {})
    for _, path in ipairs(policy.network and network_files or {}) do
        if not covered(path, policy.ro_binds, policy.rw_binds) then
            binds[#binds + 1] = { host = path, sandbox = path, optional = true }
        end
    end
    return binds
end

-- A name that is given twice is given once, an empty one not at all; a value that is not UTF-8 does not go through.
local function passed(names, environment)
    local list, seen = {}, {}
    for _, name in ipairs(names) do
        local value = environment[name]
        if name ~= "" and not seen[name] and (not value or utf8.len(value)) then
            seen[name] = true
            list[#list + 1] = name
        end
    end
    return list
end

--- The fields of the policy to launch.
---@param policy table what demilune.wire reads
---@param environment table<string, string> the caller's
---@return demilune.Fields
return function(policy, environment)
    return {
        base = "none",
        ro_binds = read_only(policy),
        rw_binds = policy.rw_binds,
        work_host = policy.work_host,
        network = policy.network,
        env_allowlist = passed(policy.env_allowlist, environment),
        env = { PWD = "/work" },
        chdir = "/work",
    }
end
