-- For specs that launch real sandboxes: scratch directories, the command, and what comes back.
local core = require "demilune.core"
local lfs = require "lfs"
local leaks = require "support.leaks"

local sandbox = {}

local root = lfs.currentdir()

local count = 0

local function temporary_name()
    count = count + 1
    return ("/tmp/%s%d"):format(leaks.run_name, count)
end

--- The built command.
sandbox.command = ("%s/%s/bin/demilune"):format(root, os.getenv("BUILD") or "build")

--- The backend that launches: the specs here and in attack/ run once for each.
sandbox.backend = os.getenv("DEMILUNE_BACKEND") or "bwrap"

--- Whether these specs run as root.
sandbox.is_root = core.facts().uid == 0

--- A word as sh takes it.
function sandbox.quote(word)
    return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- What a command has in front to have a network of its own, whose abstract sockets nobody else has.
sandbox.own_network = sandbox.is_root and "unshare --net" or "unshare --user --map-current-user --net"

function sandbox.write(path, text, mode)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    if mode then
        assert(os.execute("chmod " .. mode .. " " .. sandbox.quote(path)))
    end
    return path
end

function sandbox.read(path)
    local file = io.open(path, "rb")
    if not file then
        return nil
    end
    local text = file:read("a")
    file:close()
    return text
end

--- Whether there is anything at a path, a dangling link included.
function sandbox.exists(path)
    return lfs.symlinkattributes(path) ~= nil
end

--- Runs a shell line. Returns its exit code (128+n for a signal), output and error output.
function sandbox.sh(line, input)
    local base = temporary_name()
    local files = { out = base .. ".out", err = base .. ".err", input = base .. ".in" }
    sandbox.write(files.input, input or "")
    local _, how, code = os.execute(("{ %s\n} <%s >%s 2>%s"):format(line, files.input, files.out, files.err))
    local result = { code = how == "signal" and 128 + code or code, out = sandbox.read(files.out),
        err = sandbox.read(files.err) }
    for _, path in pairs(files) do
        os.remove(path)
    end
    return result
end

--- Runs demilune with arguments. `options.env`: NAME=value words for it, `options.input`, `options.prefix` and
--- `options.suffix`: shell text around it, `options.command`: another program.
function sandbox.demilune(arguments, options)
    options = options or {}
    local words = {}
    for i, word in ipairs(arguments) do
        words[i] = sandbox.quote(word)
    end
    local env = {}
    for _, assignment in ipairs(options.env or {}) do
        env[#env + 1] = sandbox.quote(assignment)
    end
    local line = ("%s env %s %s %s %s"):format(options.prefix or "", table.concat(env, " "),
        sandbox.quote(options.command or sandbox.command), table.concat(words, " "), options.suffix or "")
    return sandbox.sh(line, options.input)
end

--- `demilune run` with options (a list) and a shell script as the command.
function sandbox.script(options, script, more)
    local arguments = { "run" }
    for _, word in ipairs(options) do
        arguments[#arguments + 1] = word
    end
    for _, word in ipairs { "--", "/bin/sh", "-c", script } do
        arguments[#arguments + 1] = word
    end
    return sandbox.demilune(arguments, more)
end

--- A scratch directory for each case, removed after it: sandbox.scratch(before_each, after_each) returns a function
--- that gives its path. It does not lie in a home or /tmp/demilune*.
function sandbox.scratch(before_each, after_each)
    local path
    before_each(function()
        path = temporary_name():gsub("specrun", "scratch")
        assert(lfs.mkdir(path))
    end)
    after_each(function()
        assert(os.execute("chmod -R u+rwX " .. sandbox.quote(path) .. "; rm -rf " .. sandbox.quote(path)))
    end)
    return function(name)
        return name and path .. "/" .. name or path
    end
end

--- The end of what core.start has begun: its result.
function sandbox.finish(process, options)
    core.advance(process, "ended")
    local result = core.result(process, options or {})
    core.close(process)
    return result
end

--- The codes of a list of problems, for comparing.
function sandbox.codes(problems)
    local codes = {}
    for i, problem in ipairs(problems or {}) do
        codes[i] = problem.code
    end
    return codes
end

return sandbox
