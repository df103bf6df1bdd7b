--- Base `host`: what ordinary programs need, read-only, and only what exists. Each bind costs a launch time, so the
--- list is short; nothing else of /etc, no /var, no home.
local common = require "demilune.base.common"
local core = require "demilune.core"

local roots = { "/bin", "/sbin", "/lib", "/lib32", "/lib64" }
local etc = { "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives" }

-- With the host's network, what finds names and checks certificates. Of /etc/ssl and /etc/pki the public parts alone:
-- started by root, the command could read the private keys there.
local etc_network = {
    "resolv.conf", "hosts", "nsswitch.conf", "services", "protocols", "ca-certificates", "ssl/certs",
    "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/cert.pem", "pki/ca-trust",
}

local function add(list, item)
    list[#list + 1] = item
end

-- A merged /usr has links at the root, an unmerged one directories.
local function add_roots(base)
    for _, path in ipairs(roots) do
        local kind, target = core.file_type(path)
        if kind == "link" then
            add(base.symlinks, { target = target, sandbox = path })
        elseif kind == "directory" then
            add(base.ro_binds, path)
        end
    end
end

local function add_localtime(base)
    local kind, target = core.file_type("/etc/localtime")
    if kind == "link" and target:find("^/usr/share/zoneinfo/") then
        add(base.symlinks, { target = target, sandbox = "/etc/localtime" })
    elseif kind then
        add(base.ro_binds, "/etc/localtime")
    end
end

local always_there = { [0] = true, [65534] = true } -- ids of root and nobody

-- Whoever the command is, its home is /work.
local function passwd(caller)
    local root_home = caller and caller.uid == 0 and "/work" or "/root"
    local lines = { ("root:x:0:0:root:%s:/bin/sh"):format(root_home), "nobody:x:65534:65534:nobody:/work:/bin/sh" }
    if caller and not always_there[caller.uid] then
        table.insert(lines, 2, ("%s:x:%d:%d::/work:/bin/sh"):format(caller.name, caller.uid, caller.gid))
    end
    return table.concat(lines, "\n") .. "\n"
end

local function group(caller)
    local lines = { "root:x:0:", "nogroup:x:65534:" }
    if caller and not always_there[caller.gid] then
        table.insert(lines, 2, ("%s:x:%d:"):format(caller.name, caller.gid))
    end
    return table.concat(lines, "\n") .. "\n"
end

local function caller_of(policy)
    if policy.user ~= "caller" then
        return nil
    end
    local facts = core.facts()
    return { name = core.user_name(), uid = facts.uid, gid = facts.gid }
end

--- The base for what a policy says, with the host's network or without.
---@param policy demilune.Fields
---@param network boolean
---@return table
return function(policy, network)
    local base = { ro_binds = {}, symlinks = {}, env = common.environment() }
    base.env_allowlist = policy.env_allowlist == nil and common.passed or nil
    local caller = caller_of(policy)
    base.files = { ["/etc/passwd"] = passwd(caller), ["/etc/group"] = group(caller) }
    add(base.ro_binds, "/usr")
    add_roots(base)
    if core.file_type("/nix/store") then
        add(base.ro_binds, "/nix/store")
    end
    for _, name in ipairs(etc) do
        add(base.ro_binds, "/etc/" .. name)
    end
    add_localtime(base)
    local generated = {
        ["/etc/hosts"] = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
        ["/etc/nsswitch.conf"] = "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    for _, name in ipairs(network and etc_network or {}) do
        local path = "/etc/" .. name
        if core.realpath(path) then
            add(base.ro_binds, path)
            generated[path] = nil
        end
    end
    for path, content in next, generated do
        base.files[path] = content
    end
    return base
end
