--- The command line that noether-isolation 0.8.2 makes for a policy: byte for byte, in its own order, of the five
--- fields that it knows. It depends on its arguments and on the caller's environment alone.
local reference = {}

local head = {
    "--unshare-all", "--die-with-parent", "--new-session", "--uid", "65534", "--gid", "65534", "--proc", "/proc",
    "--dev", "/dev", "--tmpfs", "/tmp", "--clearenv", "--cap-drop", "ALL",
}
local network = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl/certs" }

local WITH_NUL = "<string-with-nul>" -- what Rust's Command keeps of a word that no system call can take

local function put(words, ...)
    for _, word in ipairs { ... } do
        if word:find("\0", 1, true) then
            words.has_nul, word = true, WITH_NUL
        end
        words[#words + 1] = word
    end
end

local function put_binds(words, flag, binds)
    for _, bind in ipairs(binds) do
        put(words, flag, bind.host, bind.sandbox)
    end
end

-- A listed name is looked up as getenv does, which finds B=c for "A=B" in A=B=c. Values that are not UTF-8 are dropped.
local function put_environment(words, names)
    for _, name in ipairs(names) do
        local own = name == "" or name == "HOME" or name == "USER" or name:find("\0", 1, true)
        local value = not own and os.getenv(name)
        if value and utf8.len(value) then
            put(words, "--setenv", name, value)
        end
    end
end

--- Renders it.
---@param fields demilune.Fields the ancestor's, with binds as { host =, sandbox = }
---@param command string[]
---@param bwrap_path string
---@return string[]
---@return string|nil warning
function reference.command_line(fields, command, bwrap_path)
    local words = {}
    put(words, bwrap_path, table.unpack(head))
    if fields.network then
        put(words, "--share-net")
        for _, path in ipairs(network) do
            put(words, "--ro-bind-try", path, path)
        end
    end
    put_binds(words, "--bind", fields.rw_binds)
    put_binds(words, "--ro-bind", fields.ro_binds)
    if fields.work_host then
        put(words, "--bind", fields.work_host, "/work")
    else
        put(words, "--dir", "/work")
    end
    put(words, "--chdir", "/work", "--setenv", "HOME", "/work", "--setenv", "USER", "nobody")
    put_environment(words, fields.env_allowlist)
    put(words, "--")
    for _, word in ipairs(command) do
        put(words, word)
    end
    local has_nul = words.has_nul
    words.has_nul = nil
    return words, has_nul and ("a word has a NUL byte and shows as %s; it cannot be executed"):format(WITH_NUL) or nil
end

local said_by_ancestor = {
    ro_binds = true, rw_binds = true, work_host = true, network = true, env_allowlist = true, name = true,
    description = true, expect = true,
}

--- A warning of what a policy says and the ancestor's command line cannot, or nil.
---@param fields demilune.Fields
---@return string|nil
function reference.left_out(fields)
    local names = {}
    for name, value in next, fields do
        if not said_by_ancestor[name] and not (name == "base" and value == "none") then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return #names > 0 and "the ancestor has no words for these, left out: " .. table.concat(names, ", ") or nil
end

return reference
