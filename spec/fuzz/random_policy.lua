-- Random policies from bytes: as a list of fields, which is built into a table, written as Lua or written as JSON, each in
-- any order of its keys.
local random = {}

-- --- bytes ----------------------------------------------------------------------------------------------------------

---@class fuzz.Source
local source = {}
source.__index = source

function random.source(bytes)
    return setmetatable({ bytes = bytes, at = 0 }, source)
end

--- The next byte; 0 when there is none left.
function source:byte()
    self.at = self.at + 1
    return self.bytes:byte(self.at) or 0
end

--- 0 to n - 1.
function source:number(n)
    local byte = self:byte()
    return (n > 256 and byte * 256 + self:byte() or byte) % n
end

function source:pick(list)
    return list[self:number(#list) + 1]
end

--- True once in n times; when the bytes are used up, never.
function source:rarely(n)
    return self:number(n) == n - 1
end

-- --- the scratch tree -------------------------------------------------------------------------------------------------

local function made_tree(tools)
    local pipe = assert(io.popen("mkdir -p \"${BUILD:-build/fuzz}/tree\" && realpath \"${BUILD:-build/fuzz}\"", "r"))
    local build = pipe:read()
    pipe:close()
    local tree = build .. "/tree"
    for _, name in ipairs { "ro", "ro/sub", "ro/sub/deep", "rw", "rw/in", "project", "project/.git", "project/.git/hooks",
        "sp ace", "new\nline", "esc\27]52;c;x\7", "b\xffyte", "bidi\u{202e}", "k", "k/a", "k/a/b", "k/a/b/c" } do
        tools.directory(tree .. "/" .. name)
    end
    for _, name in ipairs { "file", "ro/file", "rw/in/file", "project/.env", "project/.git/hooks/pre-commit", "k/a/b/f" } do
        assert(io.open(tree .. "/" .. name, "w")):close()
    end
    for name, target in pairs { to_ro = "ro", to_etc = "/etc", dangling = "nowhere", loop = "loop", ["rw/up"] = "..",
        ["k/a/link"] = "b", to_file = "file", ["project/out"] = "/" } do
        tools.link(target, tree .. "/" .. name)
    end
    tools.fifo(tree .. "/fifo")
    tools.fifo(tree .. "/ro/fifo")
    tools.socket(tree .. "/socket")
    tools.socket(tree .. "/rw/socket")
    tools.directory(build .. "/policies") -- not in the tree, whose files would be a policy's own
    return tree, build .. "/policies/policy.lua"
end

local tree, policy_file = made_tree(require "_fuzz")

--- Where a policy file can be written to.
random.policy_file = policy_file

-- --- paths and texts --------------------------------------------------------------------------------------------------

local below = { "", "/ro", "/ro/sub", "/ro/sub/deep", "/rw", "/rw/in", "/rw/in/file", "/project", "/project/.git",
    "/project/.git/hooks", "/project/.git/hooks/pre-commit", "/project/.env", "/file", "/to_ro", "/to_ro/sub", "/to_etc",
    "/dangling", "/loop", "/rw/up", "/fifo", "/ro/fifo", "/socket", "/rw/socket", "/sp ace", "/new\nline",
    "/esc\27]52;c;x\7", "/b\xffyte", "/bidi\u{202e}", "/nothing", "/k", "/k/a", "/k/a/b", "/k/a/b/c", "/k/a/b/f", "/k/a/link/c",
    "/project/out", "/project/out/etc" }
local elsewhere = { "/usr", "/usr/share", "/usr/lib", "/etc", "/etc/hostname", "/etc/ssl", "/opt", "/tmp", "/var", "/", "/proc",
    "/proc/self", "/sys", "/sys/class", "/dev", "/dev/null", "/dev/shm", "/home", "/root", "/run", "~/x", "~", "~/" }
local inside = { "/p", "/p/sub/deep", "/p/.git", "/p/.git/hooks", "/p/.env", "/p/in", "/p/in/file", "/p/up", "/p/a", "/p/a/b", "/p/a/b/c",
    "/p/a/link/c", "/q", "/q/r", "/q/r/s", "/q/r/s/t", "/work", "/work/x", "/work/x/y", "/tmp/x", "/tmp", "/usr/share", "/usr",
    "/etc/passwd", "/etc", "/proc", "/proc/x", "/proc/sys", "/dev", "/dev/x", "/dev/shm", "/dev/shm/x", "/sys/x", "/run/x", "/",
    "/b in", "/new\nline", "/esc\27[2J", "/b\xff", "/\u{202e}", "/home/u" }
local bad_paths = { "", ".", "..", "relative", "./x", "/..", "/a/..", "/a/../b", "//", "//a//b/", "/a/./b", "/a/", "/a\0b", "~x",
    "/" .. ("n"):rep(255), "/" .. ("n"):rep(256), ("/a"):rep(2048), "a:/b", "\xff", "%s%n" }

local function host_path(from)
    local kind = from:number(8)
    if kind < 5 then
        return tree .. from:pick(below)
    elseif kind < 7 then
        return from:pick(elsewhere)
    end
    return from:pick(bad_paths)
end

local function inside_path(from)
    local kind = from:number(10)
    if kind < 3 then
        return "/p" .. from:pick { "/a", "/a/b", "/a/b/c", "/a/b/f", "/.git", "/.git/hooks", "/.env", "/in", "/in/file", "/sub" }
    elseif kind < 6 then
        return from:pick(inside)
    elseif kind < 9 then
        return tree .. from:pick(below)
    end
    return from:pick(bad_paths)
end

local texts = { "x", "", "a b", "\27[2J", "new\nline", "\xff", "\u{202e}", "nul\0", ("x"):rep(300), "%s", "512M", "30s", "25%", "0755",
    "default", "off", "nobody", "caller", "debug", "landlock", "true" }
local names = { "A", "PATH", "HOME", "USER", "LANG", "LC_*", "LD_PRELOAD", "BASH_ENV", "API_TOKEN", "", "A=B", "9", "a b", "\27", "\0",
    "TERM", "B" }
local numbers = { 0, 1, -1, 2, 0.5, 1.0, 1024, 2^31, 2^53, 2^63, -2^63, 1 / 0, 0 / 0, math.maxinteger, math.mininteger, 493 }
local dangers = { "engine_socket", "ssh_agent", "gpg_agent", "x11", "wayland", "dbus", "user_runtime", "home_rw", "home", "root_rw",
    "root", "sys", "device", "path_rw", "loader_env", "tty_unfiltered", "no_seccomp" }

-- --- values -----------------------------------------------------------------------------------------------------------

-- A value is a scalar, or { list = { value... } }, or { map = { { key, value }... } }.

local function list_of(from, most, make)
    local list = {}
    for i = 1, from:number(most + 1) do
        list[i] = make(from)
    end
    return { list = list }
end

local function map_of(from, most, key, value)
    local map, seen = {}, {}
    for _ = 1, from:number(most + 1) do
        local name = key(from)
        local what = value(from)
        if not seen[name] then
            seen[name] = true
            map[#map + 1] = { name, what }
        end
    end
    return { map = map }
end

local function text(from) return from:pick(texts) end
local function name(from) return from:pick(names) end
local function number(from) return from:pick(numbers) end
local function boolean(from) return from:number(2) == 1 end

local any

local function any_list(from) return list_of(from, 3, any) end
local function any_map(from)
    return map_of(from, 3, function(s) return s:rarely(3) and s:byte() + 1 or name(s) end, any)
end

local anything = { text, name, number, boolean, host_path, any_list, any_map }

-- Of no type in particular.
function any(from)
    return from:pick(anything)(from)
end

-- Trees with something to protect in them, each where other entries are looked for.
local favourites = { "/k", "/project", "/rw", "/ro" }

local function bind(from)
    local way = from:number(8)
    if way == 7 then
        return { map = { { "host", tree .. from:pick(favourites) }, { "sandbox", "/p" } } }
    end
    local host = host_path(from)
    if way == 0 then
        return host
    elseif way == 1 then
        return { list = { host, inside_path(from) } }
    elseif way == 2 then
        return any(from)
    end
    local map = { { "host", host }, { "sandbox", from:rarely(4) and host or inside_path(from) } }
    if from:rarely(3) then
        map[#map + 1] = { "optional", boolean(from) }
    end
    return { map = map }
end

local function tmpfs(from)
    local at = inside_path(from)
    return from:number(2) == 0 and at
        or { map = { { "sandbox", at }, { "size", from:rarely(2) and text(from) or 65536 },
            { "mode", from:rarely(2) and any(from) or "0755" } } }
end

local function symlink(from)
    return { map = { { "target", from:rarely(3) and text(from) or inside_path(from) }, { "sandbox", inside_path(from) } } }
end

local function effect(from)
    local kind = from:pick { "Pure", "Fallible", "Network", "Process", "FsRead", "FsWrite", "Llm", "Cost", "Nothing" }
    if kind == "FsRead" or kind == "FsWrite" then
        return { map = { { "effect", kind }, { "path", host_path(from) } } }
    elseif kind == "Llm" or kind == "Cost" then
        return { map = { { "effect", kind }, { kind == "Llm" and "model" or "cents", any(from) } } }
    end
    return kind
end

local limit_names = { "timeout", "cpu_time", "memory", "pids", "file_size", "open_files", "output", "tmp", "nothing" }

local function limit(from) return from:rarely(4) and any(from) or from:pick { 1, 64, 1048576, "64M", "30s", "10%", 2.5 } end

local fields = {
    { "ro_binds", function(from) return list_of(from, 6, bind) end },
    { "rw_binds", function(from) return list_of(from, 5, bind) end },
    { "masks", function(from) return list_of(from, 5, inside_path) end },
    { "tmpfs", function(from) return list_of(from, 3, tmpfs) end },
    { "symlinks", function(from) return list_of(from, 3, symlink) end },
    { "secrets", function(from) return map_of(from, 3, inside_path, text) end },
    { "env", function(from)
        return map_of(from, 6, name, function(s) return s:rarely(3) and any(s) or s:pick { "x", true, false } end)
    end },
    { "env_allowlist", function(from) return list_of(from, 4, name) end },
    { "limits", function(from) return map_of(from, 5, function(s) return s:pick(limit_names) end, limit) end },
    { "acknowledge", function(from) return list_of(from, 6, function(s) return s:pick(dangers) end) end },
    { "effects", function(from) return list_of(from, 4, effect) end },
    { "network", boolean },
    { "work_host", host_path },
    { "project", function(from)
        local path = host_path(from)
        return from:number(2) == 0 and path or { map = { { "path", path }, { "write", boolean(from) } } }
    end },
    { "chdir", inside_path },
    { "devices", function(from) return list_of(from, 2, host_path) end },
    { "user", function(from) return from:pick { "nobody", "caller", "root", 0 } end },
    { "hostname", text },
    { "tty", boolean },
    { "nested", boolean },
    { "seccomp", function(from)
        return from:pick { "default", "off", "x", { map = { { "allow", { list = { "debug", "nested" } } } } } }
    end },
    { "requires", function(from)
        return list_of(from, 2, function(s) return s:pick { "cgroup", "landlock", "seccomp", "x" } end)
    end },
    { "name", text },
    { "description", text },
    { "expect", any }, { "extends", any }, { "nmae", any },
}

--- A policy: { map = ... }. Its base is always said, for JSON has another default.
function random.policy(from)
    local map, seen = { { "base", from:pick { "none", "none", "none", "none", "nix", "host", "x" } } }, {}
    if from:number(2) == 0 then -- so that much of it comes to a plan
        local list = {}
        table.move(dangers, 1, #dangers, 1, list)
        map[#map + 1] = { "acknowledge", { list = list } }
        seen.acknowledge = true
    end
    for _ = 1, 1 + from:number(8) do
        local field = from:pick(fields)
        local value = from:rarely(32) and any(from) or field[2](from)
        if not seen[field[1]] then
            seen[field[1]] = true
            map[#map + 1] = { field[1], value }
        end
    end
    return { map = map }
end

local ceiling_fields = {
    { "read", function(from) return list_of(from, 5, host_path) end },
    { "write", function(from) return list_of(from, 4, host_path) end },
    { "deny", function(from) return list_of(from, 3, host_path) end },
    { "network", boolean },
    { "env", function(from) return list_of(from, 4, name) end },
    { "limits", function(from) return map_of(from, 5, function(s) return s:pick(limit_names) end, limit) end },
    { "acknowledge", function(from) return list_of(from, 6, function(s) return s:pick(dangers) end) end },
    { "seccomp", function(from) return from:pick { "default", "off", "x" } end },
    { "backends", function(from) return list_of(from, 2, function(s) return s:pick { "bwrap", "native", "x" } end) end },
    { "raed", any },
}

--- A ceiling, of the same kind.
function random.ceiling(from)
    local map, seen = {}, {}
    for _ = 1, from:number(6) do
        local field = from:pick(ceiling_fields)
        local value = from:rarely(32) and any(from) or field[2](from)
        if not seen[field[1]] then
            seen[field[1]] = true
            map[#map + 1] = { field[1], value }
        end
    end
    return { map = map }
end

-- --- orders and writings ------------------------------------------------------------------------------------------------

-- The entries in an order that `seed` chooses; 0 is the given one.
local function ordered(map, seed)
    local entries = table.move(map, 1, #map, 1, {})
    for i = #entries, 2, -1 do
        seed = (seed * 6364136223846793005 + (seed ~= 0 and 1442695040888963407 or 0))
        local j = seed == 0 and i or (seed >> 33) % i + 1
        entries[i], entries[j] = entries[j], entries[i]
    end
    return entries
end

--- The value as Lua has it.
function random.build(value, seed)
    if type(value) ~= "table" then
        return value
    end
    local built = {}
    for i, item in ipairs(value.list or {}) do
        built[i] = random.build(item, seed)
    end
    for _, entry in ipairs(ordered(value.map or {}, seed)) do
        built[entry[1]] = random.build(entry[2], seed)
    end
    return built
end

-- The value as text. `syntax`: how a scalar is written, an item of a map from its key and value, and a whole from its
-- parts.
local function text_of(value, seed, syntax)
    if type(value) ~= "table" then
        return syntax.scalar(value)
    end
    local parts = {}
    for i, item in ipairs(value.list or {}) do
        parts[i] = text_of(item, seed, syntax)
    end
    for _, entry in ipairs(ordered(value.map or {}, seed)) do
        parts[#parts + 1] = syntax.item(entry[1], text_of(entry[2], seed, syntax))
    end
    return syntax.whole(value, parts)
end

local lua, json = {}, {}

function lua.scalar(value)
    if value ~= value then
        return "0/0"
    elseif value == 1 / 0 then
        return "1/0"
    end
    return ("%q"):format(value)
end

function lua.item(key, value)
    return ("[%s] = %s"):format(lua.scalar(key), value)
end

function lua.whole(_, parts)
    return "{" .. table.concat(parts, ", ") .. "}"
end

function json.scalar(value)
    if type(value) == "string" then
        return '"' .. value:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
    end
    return tostring(value)
end

function json.item(key, value)
    return json.scalar(tostring(key)) .. ":" .. value
end

function json.whole(value, parts)
    return (value.list and "[%s]" or "{%s}"):format(table.concat(parts, ","))
end

--- The value as Lua source.
function random.as_lua(value, seed)
    return text_of(value, seed, lua)
end

--- The value as JSON; what that has no way to say comes out as something that is none.
function random.as_json(value, seed)
    return text_of(value, seed, json)
end

return random
