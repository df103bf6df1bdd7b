-- demilune sandbox, and demilune called as noether-sandbox: how it is spoken to, and what it answers.
local leaks = require "support.leaks"
local lfs = require "lfs"
local noether = require "support.noether"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local BARE = { "--isolate", "none" }

-- A world without bwrap, or with one at another place alone, which is what is bound over it.
local function world_without_bwrap(instead)
    local mounts = {}
    for _, path in ipairs(require("demilune").TRUSTED_BWRAP_PATHS) do
        if lfs.attributes(path) then
            mounts[#mounts + 1] = "--ro-bind /dev/null " .. path
        end
    end
    return noether.world(table.concat(mounts, " ") .. (instead or ""))
end

local WITHOUT_USER_NAMESPACES =
    "unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"' sh"

-- A world where nothing isolates.
local function world_without_backends()
    return world_without_bwrap() .. " " .. WITHOUT_USER_NAMESPACES
end

-- Calls argv[2:] with argv[1] as its input and prints what wait(2) says: a code, or a negative signal.
local STATUS = [[
import subprocess, sys
print(subprocess.run(sys.argv[2:], input=sys.argv[1].encode()).returncode)
]]

describe("noether-sandbox:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- Nothing ran: exit code 2, no output, and a message that has this in it.
    local function refused(words, more, expected)
        local result = noether.run(words, more)
        assert.equal(2, result.code, result.err)
        assert.equal("", result.out)
        assert.is_truthy(result.err:find(expected, 1, true), result.err)
        return result.err
    end

    -- It ran, and said this and nothing more.
    local function says(expected, script, more, flags)
        local result = noether.script(script, more, flags)
        assert.same({ 0, expected, "" }, { result.code, result.out, result.err })
    end

    describe("exit codes (4.1):", function()
        it("the command's own, isolated and bare", function()
            for _, flags in ipairs { {}, BARE } do
                for _, code in ipairs { 0, 7, 255 } do
                    assert.equal(code, noether.script("exit " .. code, nil, flags).code)
                end
            end
        end)

        it("128 and the signal, as a code for whoever waits, isolated and bare", function()
            for _, flags in ipairs { {}, BARE } do
                for _, signal in ipairs { 15, 9, 11, 34 } do
                    local words = table.move(flags, 1, #flags, 3, { noether.policy(), noether.command })
                    table.move({ "--", "/usr/bin/python3", "-c", ("import os; os.kill(os.getpid(), %d)"):format(signal) },
                        1, 4, #words + 1, words)
                    assert.equal(128 + signal .. "\n", probe.host(STATUS, words).out)
                end
            end
        end)

        it("127 for what is not found inside, where the ancestor gives 1", function()
            for _, name in ipairs { "no-such-command", "/no/such/command" } do
                local result = noether.run { "--", name }
                assert.equal(127, result.code)
                assert.matches("^noether%-sandbox: .+\n$", result.err)
            end
            assert.equal(1, noether.reference(scratch("r"), noether.policy(), { "no-such-command" }).code)
        end)

        it("a policy that comes through a file is out of the command's reach there", function()
            local path = sandbox.write(scratch("policy.json"), noether.policy { more = '"x":1' })
            local before = sandbox.read(path)
            for _, how in ipairs { "", "--policy-file /dev/stdin", "--isolate none" } do
                local script = "echo rewritten 2>/dev/null >/proc/self/fd/0; cat; true"
                local result = sandbox.sh(("%s %s -- /bin/sh -c %s <%s"):format(sandbox.quote(noether.command), how,
                    sandbox.quote(script), path))
                assert.same({ 0, "" }, { result.code, result.out }, result.err)
                assert.equal(before, sandbox.read(path))
            end
            local result = sandbox.sh(("%s run -p - -- /bin/sh -c 'echo rewritten >/proc/self/fd/0; cat' <%s"):format(
                sandbox.quote(sandbox.command), sandbox.write(scratch("p.json"),
                '{"base":"host","ro_binds":[],"network":false,"env_allowlist":[]}')))
            assert.equal("", result.out)
            assert.matches("base", sandbox.read(scratch("p.json")))
        end)

        it("keys of any length and shape cost little", function()
            local key = ("a."):rep(250000)
            local before = require("demilune.core").clock()
            local result = noether.run({ "--", "true" }, { policy = noether.policy { more = ('"%s":0'):format(key) } })
            assert.equal(0, result.code, result.err:sub(1, 200))
            assert.is_true(require("demilune.core").clock() - before < 5)
        end)

        it("2 for a command without a name, which nothing was launched for", function()
            assert.equal(2, noether.run({ "--", "" }).code)
        end)

        it("126 for what cannot be executed inside, where the ancestor gives 1", function()
            assert.equal(126, noether.run({ "--", "/usr/share" }).code)
            assert.equal(126, noether.run({ "--", sandbox.write(scratch("f"), "", "644") },
                { policy = noether.policy { ro = { scratch() } } }).code)
            assert.equal(1, noether.reference(scratch("r"), noether.policy(), { "/usr/share" }).code)
        end)

        it("127 for both when bare, as the ancestor has it", function()
            for _, name in ipairs { "no-such-command", "/usr/share", "" } do
                local result = noether.run { "--isolate=none", "--", name }
                assert.equal(127, result.code)
                assert.matches("^noether%-sandbox: .* cannot be executed: ", result.err)
            end
        end)

        it("127 for a bwrap that cannot be started", function()
            sandbox.write(scratch("bwrap"), "", "644")
            local result = noether.script("true", { prefix = world_without_bwrap(), env = { "PATH=" .. scratch() ..
                ":/usr/bin:/bin" } }, { "--isolate", "bwrap" })
            assert.equal(127, result.code)
            assert.matches("bwrap\", but cannot be executed", result.err)
        end)

        it("1 for a backend that fails (4.11: where there are no user namespaces)", function()
            for backend, words in pairs { bwrap = "bwrap could not set the sandbox up",
                native = "the native backend does not work here: user namespaces are off" } do
                local result = noether.script("true", { prefix = WITHOUT_USER_NAMESPACES }, { "--isolate", backend })
                assert.equal(1, result.code)
                assert.matches("^noether%-sandbox: " .. words .. ": ", result.err)
            end
        end)

        it("2 for usage, policy, backend, and isolation that is required", function()
            refused({}, nil, "no command was given")
            refused({ "--", "true" }, { policy = "{" }, "standard input")
            refused({ "--policy-file", scratch("none"), "--", "true" }, nil, "No such file")
            refused({ "--isolate", "docker", "--", "true" }, nil, '"docker" is no backend')
            refused({ "--isolate", "none", "--require-isolation", "--", "true" }, nil, "isolation is required")
        end)

        it("arguments that are not UTF-8 are passed on, where the ancestor panics", function()
            for _, flags in ipairs { {}, BARE } do
                local words = table.move({ "--", "printf", "%s", "a\xff\xc0b" }, 1, 4, #flags + 1,
                    table.move(flags, 1, #flags, 1, {}))
                assert.equal("a\xff\xc0b", noether.run(words).out)
            end
            refused({ "--is\xff", "--", "true" }, nil, '"--is\\xff" is no option')
            refused({ "--isolate=\xff", "--", "true" }, nil, '"\\xff" is no backend')
        end)

        it("a standard error that cannot be written to changes none of them", function()
            local call = [[
import os, subprocess, sys
read, write = os.pipe()
os.close(read)
for error in (write, open("/dev/full", "w"), None):
    close = None if error else lambda: os.close(2)
    print(subprocess.run(sys.argv[2:], input=sys.argv[1].encode(), stderr=error, preexec_fn=close).returncode, end=" ")
]]
            local function codes(policy, ...)
                return probe.host(call, { policy, noether.command, ... }).out
            end
            assert.equal("2 2 2 ", codes("{", "--", "true"))
            assert.equal("4 4 4 ", codes(noether.policy { more = '"unknown":1' }, "--", "/bin/sh", "-c", "exit 4"))
            assert.equal("127 127 127 ", codes(noether.policy(), "--isolate=none", "--", "no-such-command"))
        end)
    end)

    describe("order (4.2):", function()
        it("the words come first: nothing is read for bad ones", function()
            local endless = { prefix = ("mkfifo %s; timeout 5"):format(scratch("fifo")), suffix = "<>" .. scratch("fifo") }
            refused({ "--unknown", "--", "true" }, endless, "is no option")
            endless.prefix = "timeout 1"
            assert.equal(124, noether.run({ "--", "true" }, endless).code)
        end)

        it("then the policy: its problems win over a bad backend", function()
            assert.is_nil(refused({ "--isolate", "docker", "--", "true" }, { policy = "nonsense" },
                "standard input"):find("docker"))
        end)

        it("then the backend: a bad one wins over isolation that is required", function()
            assert.is_nil(refused({ "--require-isolation", "--isolate", "docker", "--", "true" }, nil,
                "docker"):find("required"))
        end)

        it("then what is required, before the warning", function()
            local message = refused({ "--isolate", "auto", "--require-isolation", "--", "true" },
                { prefix = world_without_backends() },
                "isolation is required: bwrap is not installed")
            assert.is_nil(message:find("warning"))
        end)

        it("bare, the policy is validated all the same", function()
            for policy, expected in pairs {
                ["{"] = "standard input",
                ['{"ro_binds":[],"network":false}'] = "env_allowlist",
                [noether.policy { ro = { "relative" } }] = "path.relative",
                [noether.policy { ro = { "/a\0b" } }] = "string.nul",
                [noether.policy { env = { "A=B" } }] = "env.name",
                [noether.policy { ro = { { "/usr", "/dev/x" } } }] = "path.reserved",
            } do
                refused({ "--isolate=none", "--", "true" }, { policy = policy }, expected)
            end
        end)

        it("but bare nothing is bound, so that what is missing does not matter", function()
            local missing = noether.policy { ro = { "/no/such/path" } }
            says("ran\n", "echo ran", { policy = missing }, BARE)
            refused({ "--", "true" }, { policy = missing }, "bind.missing")
        end)
    end)

    describe("words (4.3):", function()
        local here = "readlink /proc/self/ns/mnt"

        it("options take their value behind = or as the next word; the last one counts", function()
            local bare, inside = sandbox.sh(here).out, noether.script(here).out
            assert.are_not.equal(bare, inside)
            for _, flags in ipairs { { "--isolate=none" }, { "--isolate", "none" }, { "--isolate=bwrap",
                "--isolate=none" }, { "--isolate", "docker", "--isolate", "none" } } do
                assert.equal(bare, noether.script(here, nil, flags).out)
            end
            for _, flags in ipairs { { "--isolate=bwrap" }, { "--isolate", "auto" }, { "--isolate=none",
                "--isolate=auto" } } do
                assert.are_not.equal(bare, noether.script(here, nil, flags).out)
            end
            sandbox.write(scratch("bad"), "nonsense")
            sandbox.write(scratch("good"), noether.policy())
            says("ran\n", "echo ran", nil, { "--policy-file", scratch("bad"), "--policy-file=" .. scratch("good") })
        end)

        it("there are no others, no abbreviations, no --help and no --version", function()
            for _, word in ipairs { "--help", "-h", "--version", "--isol=none", "-i", "--require-isolation=1",
                "--require-isolation=", "-", "", "---", "run", "sandbox", "--unsafe-no-isolation" } do
                refused({ word, "--", "true" }, nil, ("%q is no option"):format(word))
            end
        end)

        it("a value is needed, and may be anything", function()
            refused({ "--isolate" }, nil, "--isolate needs a value")
            refused({ "--policy-file" }, nil, "--policy-file needs a value")
            refused({ "--isolate", "--", "--", "true" }, nil, '"--" is no backend')
            refused({ "--policy-file", "--", "--", "true" }, nil, "No such file")
            refused({ "--isolate=", "--", "true" }, nil, '"" is no backend')
            refused({ "--policy-file=", "--", "true" }, nil, "No such file")
        end)

        it("the command stands behind the first --, and has to be there", function()
            refused({ "true" }, nil, '"true" is no option')
            refused({ "--" }, nil, "no command was given")
            refused({ "--isolate=none" }, nil, "no command was given")
            assert.equal("--isolate=none -- x\n", noether.run({ "--", "echo", "--isolate=none", "--", "x" }).out)
        end)

        it("a second -- is the command's name", function()
            local program = sandbox.write(scratch("--"), "#!/bin/sh\necho called as $0 with \"$@\"\n", "755")
            local result = noether.run({ "--", "--", "x", "--" }, {
                policy = noether.policy { ro = { scratch() }, env = { "PATH" } }, env = { "PATH=" .. scratch() } })
            assert.equal(("called as %s with x --\n"):format(program), result.out, result.err)
            assert.equal(127, noether.run({ "--", "--" }).code)
        end)
    end)

    describe("variables (4.4):", function()
        local function isolated(env, flags)
            local result = noether.script("readlink /proc/self/ns/mnt", { env = env }, flags)
            return result.code == 0 and result.out ~= sandbox.sh("readlink /proc/self/ns/mnt").out, result
        end

        it("NOETHER_ISOLATION is a backend; an option beats it", function()
            assert.is_false((isolated { "NOETHER_ISOLATION=none" }))
            assert.is_true((isolated({ "NOETHER_ISOLATION=none" }, { "--isolate=auto" })))
            assert.is_true((isolated({ "NOETHER_ISOLATION=docker" }, { "--isolate=bwrap" })))
            refused({ "--", "true" }, { env = { "NOETHER_ISOLATION=docker" } }, '"docker" is no backend')
        end)

        it("NOETHER_ISOLATION empty is an unknown backend, not UTF-8 it is auto", function()
            refused({ "--", "true" }, { env = { "NOETHER_ISOLATION=" } }, '"" is no backend')
            assert.is_true((isolated { "NOETHER_ISOLATION=none\xff" }))
        end)

        it("DEMILUNE_BACKEND is another program's", function()
            assert.is_true((isolated { "DEMILUNE_BACKEND=none" }))
        end)

        it("NOETHER_REQUIRE_ISOLATION is yes, but for empty, 0 and what is not UTF-8", function()
            for _, value in ipairs { "1", "yes", "false", "00", " " } do
                refused({ "--isolate=none", "--", "true" }, { env = { "NOETHER_REQUIRE_ISOLATION=" .. value } },
                    "isolation is required")
            end
            for _, value in ipairs { "", "0", "1\xff" } do
                says("", "true", { env = { "NOETHER_REQUIRE_ISOLATION=" .. value } }, BARE)
            end
        end)

        it("NOETHER_REQUIRE_ISOLATION cannot undo the option", function()
            refused({ "--isolate=none", "--require-isolation", "--", "true" },
                { env = { "NOETHER_REQUIRE_ISOLATION=0" } }, "isolation is required")
        end)
    end)

    describe("the policy's text (4.5):", function()
        local LIMIT = 1048576

        local function padded(length)
            local policy = noether.policy()
            return policy .. (" "):rep(length - #policy)
        end

        it("is standard input to its end, so that the command finds nothing there", function()
            says("end\n", "cat; echo end")
        end)

        it("1,048,576 bytes pass and one more does not, blank or not", function()
            says("ran\n", "echo ran", { policy = padded(LIMIT) })
            refused({ "--", "true" }, { policy = padded(LIMIT + 1) }, "more than 1048576 bytes")
            says("ran\n", "echo ran", { policy = (" "):rep(LIMIT) }, BARE)
            refused({ "--isolate=none", "--", "true" }, { policy = (" "):rep(LIMIT + 1) }, "more than 1048576 bytes")
        end)

        it("no more than one byte beyond is waited for", function()
            local line = ("yes | timeout 30 %s -- true"):format(sandbox.quote(noether.command))
            assert.equal(2, sandbox.sh(line).code)
        end)

        it("a cut inside a character is told as text that is not UTF-8", function()
            refused({ "--", "true" }, { policy = (" "):rep(LIMIT) .. "\u{e9}" }, "is not UTF-8")
            refused({ "--", "true" }, { policy = '"\xff"' }, "byte 2 is not UTF-8")
        end)

        it("--policy-file has no limit and leaves standard input to the command", function()
            sandbox.write(scratch("p"), padded(3 * LIMIT))
            says("input of the command", "cat", { policy = "input of the command" }, { "--policy-file", scratch("p") })
        end)

        it("--policy-file may be /dev/stdin, or a FIFO", function()
            says("ran\n", "echo ran", nil, { "--policy-file=/dev/stdin" })
            sandbox.write(scratch("p"), noether.policy())
            says("input", "cat", { policy = "input", prefix = ("mkfifo %s; cat %s >%s & "):format(scratch("fifo"),
                scratch("p"), scratch("fifo")) }, { "--policy-file", scratch("fifo") })
        end)

        it("a directory is refused, as a file and as standard input", function()
            refused({ "--policy-file", scratch(), "--", "true" }, nil, "Is a directory")
            refused({ "--", "true" }, { suffix = "<" .. scratch() }, "Is a directory")
        end)

        it("a file that may not be read is refused", function()
            if not sandbox.is_root then
                sandbox.write(scratch("p"), noether.policy(), "000")
                refused({ "--policy-file", scratch("p"), "--", "true" }, nil, "Permission denied")
            end
            refused({ "--policy-file", scratch("\27[2J"), "--", "true" }, nil, '\\x1b[2J": No such file')
        end)

        it("closed, or open for writing only, standard input is blank", function()
            for _, suffix in ipairs { "<&-", "0>" .. scratch("f") } do
                says("ran\n", "echo ran", { suffix = suffix }, BARE)
                local result = noether.run({ "--", "/nix/store/x" }, { suffix = suffix,
                    prefix = noether.world("--dir /nix/store") })
                assert.equal(127, result.code, result.err) -- the default policy: /nix/store is there, and empty
            end
        end)

        it("closed standard streams are /dev/null for the command, not what was opened last", function()
            assert(lfs.mkdir(scratch("d")))
            sandbox.write(scratch("p"), noether.policy { rw = { scratch("d") } })
            for _, flags in ipairs { {}, BARE } do
                local words = table.move(flags, 1, #flags, 3, { "--policy-file", scratch("p") })
                noether.script(("exec 3>&1; cd /proc/self/fd; readlink 0 3 >%s"):format(scratch("d/out")),
                    { suffix = "<&- >&-" }, words)
                assert.equal(("/dev/null\n"):rep(2), sandbox.read(scratch("d/out")))
                os.remove(scratch("d/out"))
            end
        end)
    end)

    describe("the default policy (4.6):", function()
        it("is refused where there is no /nix/store", function()
            for _, text in ipairs { "", " \n\t", "\u{a0}\u{3000}" } do
                refused({ "--", "true" }, { policy = text, prefix = noether.world("--tmpfs /nix") },
                    '"/nix/store" does not exist')
            end
        end)

        it("runs what is in /nix/store, with its environment, and nothing else is there", function()
            local source = sandbox.write(scratch("show.c"), [[
                #include <stdio.h>
                #include <unistd.h>
                extern char **environ;
                int main(void)
                {
                    for (char **at = environ; *at; at++)
                        puts(*at);
                    printf("%d %d %d\n", access("/usr", F_OK), access("/nix/store", W_OK), access("/work", W_OK));
                    return 9;
                }]])
            assert(lfs.mkdir(scratch("store")))
            local built = sandbox.sh(("gcc -static -o %s/show %s"):format(scratch("store"), source))
            assert.equal(0, built.code, built.err)
            local result = noether.run({ "--", "/nix/store/show" }, { policy = "", env = { "-i", "PATH=/usr/bin", "LANG=C",
                "RUST_LOG=debug", "SECRET=x", "HOME=/root", "USER=root", "PWD=/root" },
                prefix = noether.world(("--ro-bind %s /nix/store"):format(scratch("store"))) })
            local lines = {}
            for line in result.out:gmatch("[^\n]+") do
                lines[#lines + 1] = line
            end
            table.sort(lines)
            assert.same({ "-1 -1 0", "HOME=/work", "LANG=C", "PATH=/usr/bin", "PWD=/work", "RUST_LOG=debug",
                "USER=nobody" }, lines)
            assert.equal(9, result.code, result.err)
        end)
    end)

    it("PWD is /work, whoever allows it (4.7)", function()
        for _, policy in ipairs { noether.policy(), noether.policy { env = { "PWD", "OLDPWD" } } } do
            local more = { policy = policy, env = { "PWD=/somewhere", "OLDPWD=/before" } }
            local result = noether.run({ "--", "env" }, more)
            assert.matches("PWD=/work\n", result.out)
            local ours, ancestors = {}, {}
            for list, text in pairs { [ours] = result.out, [ancestors] = noether.reference(scratch("r"), policy,
                { "/usr/bin/env" }, more).out } do
                for line in text:gmatch("[^\n]+") do
                    list[#list + 1] = line
                end
                table.sort(list)
            end
            assert.same(ancestors, ours)
        end
    end)

    describe("bwrap (4.8):", function()
        local function stand_in(path, mode)
            return sandbox.write(path, ("#!/bin/sh\necho used >%s\nexit 1\n"):format(scratch("used")), mode)
        end

        it("is looked for in the trusted places before PATH", function()
            stand_in(scratch("bwrap"), "755")
            says("ran\n", "echo ran", { env = { "PATH=" .. scratch() .. ":/usr/bin:/bin" } })
            assert.is_false(sandbox.exists(scratch("used")))
        end)

        it("is looked for in PATH then, with a warning, and relative and empty entries count", function()
            stand_in(scratch("bwrap"), "755")
            for _, path in ipairs { scratch(), ".", "" } do
                local result = noether.script("true", { prefix = ("cd %s; %s"):format(scratch(), world_without_bwrap()),
                    env = { "PATH=/no/such:" .. path .. ":/usr/bin:/bin" } }, { "--isolate", "bwrap" })
                assert.equal(1, result.code)
                assert.equal("used\n", sandbox.read(scratch("used")))
                assert.matches("^noether%-sandbox: warning: bwrap was found through PATH", result.err)
                os.remove(scratch("used"))
            end
        end)

        it("missing, the command runs under the native backend", function()
            local result = noether.script("readlink /proc/self/ns/pid", { prefix = world_without_bwrap() },
                { "--isolate", "auto", "--require-isolation" })
            assert.same({ 0, "" }, { result.code, result.err })
            assert.are_not.equal(sandbox.sh("readlink /proc/self/ns/pid").out, result.out)
        end)

        it("missing, and the other too, the command runs bare, with a warning that names the option against it", function()
            local result = noether.script("echo ran", { prefix = world_without_backends() }, { "--isolate", "auto" })
            assert.same({ 0, "ran\n" }, { result.code, result.out })
            assert.matches("^noether%-sandbox: warning: bwrap is not installed here .*%-%-require%-isolation", result.err)
        end)

        it("missing, it is refused when it was asked for by name", function()
            refused({ "--isolate=bwrap", "--", "true" }, { prefix = world_without_bwrap() }, "bwrap is not installed")
        end)

        it("asked for none by name, there is no warning", function()
            says("ran\n", "echo ran", nil, BARE)
        end)
    end)

    describe("descriptors (4.10):", function()
        local show = "for fd in /proc/self/fd/*; do echo ${fd##*/}; done | sort -n | tr '\\n' ' '"

        it("above 2 do not reach the command, isolated or bare", function()
            local function count(flags)
                return noether.script(show, { suffix = "7</etc/passwd 9</etc" }, flags).out
            end
            local clean = noether.script(show).out
            assert.equal(clean, count {})
            assert.equal(noether.script(show, nil, BARE).out, count(BARE))
            for _, flags in ipairs { {}, BARE } do
                local result = noether.script("cat <&7", { suffix = "7</etc/passwd" }, flags)
                assert.are_not.equal(0, result.code)
                assert.equal("", result.out)
            end
            -- the ancestor's way, for comparison
            assert.matches("root:", noether.reference(scratch("r"), noether.policy(), { "/bin/sh", "-c", "cat <&7" },
                { suffix = "7</etc/passwd" }).out)
        end)
    end)

    it("files that the command makes belong to the caller (4.12)", function()
        local policy = noether.policy { rw = { { scratch(), "/out" } } }
        says("65534\n", "id -u; : >/out/f", { policy = policy })
        assert.equal(sandbox.sh("id -u; id -g").out, sandbox.sh("stat -c '%u\n%g' " .. scratch("f")).out)
    end)

    describe("the name", function()
        it("demilune sandbox speaks the same, and has a help", function()
            local function run(words, policy)
                return sandbox.demilune(words, { input = policy or noether.policy() })
            end
            assert.same({ code = 9, out = "x\n", err = "" }, run { "sandbox", "--", "/bin/sh", "-c", "echo x; exit 9" })
            local refusal = run({ "sandbox", "--", "true" }, "{")
            assert.equal(2, refusal.code)
            assert.matches("^demilune: standard input: ", refusal.err)
            assert.equal(2, run({ "sandbox", "--version", "--", "true" }).code)
            assert.equal(2, run({ "sandbox" }).code)
            local help = run { "sandbox", "--help" }
            assert.equal(0, help.code)
            assert.matches("exit codes:", help.out)
            assert.matches("demilune sandbox", run({ "--help" }).out)
        end)

        it("counts wherever the command lies, and is a link beside it", function()
            assert.equal("demilune", lfs.symlinkattributes(noether.command, "target"))
            local link = scratch("noether-sandbox")
            assert(os.execute(("ln -s %s %s"):format(sandbox.quote(sandbox.command), link)))
            assert.equal("x\n", noether.script("echo x", { command = link }).out)
            assert.equal(2, sandbox.demilune({ "run", "true" }, { command = link }).code)
        end)

        it("is installed and taken away with the rest", function()
            local line = ("make -s %%s DESTDIR=%s PREFIX=/usr >/dev/null"):format(scratch("root"))
            local made = sandbox.sh(line:format("install"))
            assert.equal(0, made.code, made.err)
            local installed = scratch("root/usr/bin/noether-sandbox")
            assert.equal("demilune", lfs.symlinkattributes(installed, "target"))
            local result = noether.script("echo x", { command = installed, prefix = "cd /;" })
            assert.same({ "x\n", "" }, { result.out, result.err })
            assert.equal(0, sandbox.sh(line:format("uninstall")).code)
            assert.equal("", sandbox.sh("find " .. scratch("root") .. " ! -type d").out)
        end)
    end)
end)
