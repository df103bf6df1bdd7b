-- For specs of the ancestor's protocol: its policies, the program by its name, and the ancestor's own launch.
local json = require "demilune.json"
local lfs = require "lfs"
local sandbox = require "support.sandbox"

local noether = {}

--- The command under the ancestor's name.
noether.command = sandbox.command:gsub("[^/]*$", "noether-sandbox")

-- What programs of this host need, at its own place.
local system = {}
for _, path in ipairs { "/usr", "/bin", "/lib", "/lib64" } do
    if lfs.attributes(path) then
        system[#system + 1] = path
    end
end

local function binds(list)
    local parts = {}
    for i, bind in ipairs(list) do
        local host, at = bind[1] or bind, bind[2] or bind
        parts[i] = ('{"host":%s,"sandbox":%s}'):format(json.encode(host), json.encode(at))
    end
    return "[" .. table.concat(parts, ",") .. "]"
end

--- The JSON of a policy with what programs need. `fields`: ro and rw (lists of paths or of { host, inside }), work,
--- network, env (names), more (JSON text: further keys).
function noether.policy(fields)
    fields = fields or {}
    local ro = table.move(fields.ro or {}, 1, #(fields.ro or {}), #system + 1, table.move(system, 1, #system, 1, {}))
    return ('{"ro_binds":%s,"rw_binds":%s,"work_host":%s,"network":%s,"env_allowlist":%s%s}'):format(binds(ro),
        binds(fields.rw or {}), fields.work and json.encode(fields.work) or "null", fields.network == true,
        json.encode(fields.env or {}), fields.more and "," .. fields.more or "")
end

--- Runs noether-sandbox. `more.policy` is its standard input (the policy above without one), the rest as for
--- sandbox.demilune.
function noether.run(words, more)
    local options = { command = noether.command }
    for name, value in pairs(more or {}) do
        options[name] = value
    end
    options.input = options.policy or noether.policy()
    return sandbox.demilune(words, options)
end

--- noether-sandbox with a shell script as the command, and flags in front.
function noether.script(script, more, flags)
    local words = table.move(flags or {}, 1, #(flags or {}), 1, {})
    return noether.run(table.move({ "--", "/bin/sh", "-c", script }, 1, 4, #words + 1, words), more)
end

--- Runs a command as the ancestor would, by its own command line for bwrap. `place` is for a file.
function noether.reference(place, policy, command, more)
    local program = ([[
        local fields = assert(require("demilune.wire").policy(%q))
        fields.base = "none"
        local words = assert(demilune.build_bwrap_command(assert(demilune.policy(fields)), { %s }))
        for i, word in ipairs(words) do
            words[i] = "'" .. word:gsub("'", "'\\''") .. "'"
        end
        return select(3, os.execute(table.concat(words, " ")))
    ]]):format(policy, (("%q, "):rep(#command)):format(table.unpack(command)))
    return sandbox.demilune({ "script", sandbox.write(place, program) }, more)
end

--- Shell text in front of a command that puts it into a copy of this host with other things in it: `mounts` are
--- further options of bwrap.
function noether.world(mounts)
    local words = { "bwrap --tmpfs /" }
    for name in lfs.dir("/") do
        local path = "/" .. name
        local target = lfs.symlinkattributes(path, "target")
        if target then
            words[#words + 1] = ("--symlink %s %s"):format(target, path)
        elseif not name:find("^%.") then
            words[#words + 1] = ("--dev-bind-try %s %s"):format(path, path)
        end
    end
    return table.concat(words, " ") .. " " .. mounts .. " --"
end

return noether
