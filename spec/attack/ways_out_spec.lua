-- Ways out that no policy names: descriptors that lead to directories, keyrings, other mounts of /proc, empty names.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

describe("ways out:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local ESCAPE = 'cat /proc/self/fd/0/secret'

    it("F9: a directory as standard input shows what is in it, so it is refused", function()
        sandbox.write(scratch("secret"), "outside\n")
        local bare = sandbox.sh(("bwrap --ro-bind / / --proc /proc --tmpfs /tmp sh -c '%s' <%s"):format(ESCAPE, scratch()))
        assert.equal("outside\n", bare.out, bare.err) -- without the protection it works
        for _, redirection in ipairs { "<", ">", "2>" } do
            local inside = sandbox.sh(("%s run -- sh -c '%s' %s%s"):format(sandbox.command, ESCAPE, redirection,
                redirection == "<" and scratch() or "/dev/null"))
            assert.equal(redirection == "<" and 125 or 1, inside.code, inside.err)
            assert.equal("", inside.out)
        end
    end)

    it("neither may a program hand a directory to the module", function()
        local directory = assert(io.open(scratch()))
        local result, message, code = demilune.policy({}):run({ "sh", "-c", ESCAPE }, { stdin = { fd = core.fileno(directory) } })
        directory:close()
        assert.is_nil(result)
        assert.equal("setup.failed", code)
        assert.matches("standard input is a directory", message)
    end)

    -- Puts a key into a session keyring of its own and becomes the command; inside, the key is asked for.
    local KEEP = [[
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.syscall(250, 1, None)
assert libc.syscall(248, b"user", b"spec-key", b"key of the caller", 17, -3) > 0
os.execvp(sys.argv[1], sys.argv[1:])
]]
    local ASK = [[
import ctypes
libc = ctypes.CDLL(None)
value = ctypes.create_string_buffer(64)
key = libc.syscall(249, b"user", b"spec-key", None, -3)
print(value.value.decode() if key > 0 and libc.syscall(250, 11, key, value, 64) > 0 else "no key")
]]

    it("the caller's session keyring stays outside", function()
        local function ask(words)
            return sandbox.sh(("/usr/bin/python3 -c %s %s /usr/bin/python3 -c %s"):format(sandbox.quote(KEEP), words,
                sandbox.quote(ASK)))
        end
        assert.equal("key of the caller\n", ask("env").out)
        local inside = ask(sandbox.command .. " run --")
        assert.equal("no key\n", inside.out, inside.err)
    end)

    it("an empty path is no path, and not the current directory", function()
        for _, option in ipairs { "--rw", "--ro", "--work", "--project", "--effect=FsWrite=" } do
            local arguments = { "run", option, "", "--", "touch", "made" }
            if option:find("=", 1, true) then
                table.remove(arguments, 3)
            end
            local result = sandbox.demilune(arguments)
            assert.equal(125, result.code, option)
            assert.matches("path%.empty", result.err)
        end
    end)

    it("a tree with a mount of /proc in it is refused, unless that is masked", function()
        -- A user may mount in namespaces of its own, where the runner then runs.
        local script = ([[
mkdir -p %s/tree/proc && mount -t proc proc %s/tree/proc || exit 9
%s run --rw %s/tree:/t -- ls /t/proc; echo $?
%s run --rw %s/tree:/t --mask /t/proc -- sh -c 'ls /t/proc/1 2>/dev/null; echo masked'; echo $?]]):format(scratch(),
            scratch(), sandbox.command, scratch(), sandbox.command, scratch())
        local result = sandbox.sh("unshare --user --map-root-user --mount --pid --fork --mount-proc sh -c " .. sandbox.quote(script))
        assert.equal("125\nmasked\n0\n", result.out, result.err)
        assert.matches("shows a mount of proc", result.err)
    end)
end)
