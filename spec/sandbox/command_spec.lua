-- The command line: every option has an effect, and messages are as promised.
local cjson = require("cjson").new()
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

describe("demilune", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- `run` with words, and a script as the command; returns what it says.
    local function out(options, script, more)
        local result = sandbox.script(options, script, more)
        return result.out .. result.err
    end

    local function refused(words, expected)
        local result = sandbox.demilune(words)
        assert.equal(125, result.code)
        assert.equal("", result.out)
        assert.equal(expected, result.err)
    end

    it("an option that would do nothing here is refused", function()
        refused({ "run", "--json", "--", "true" }, "demilune: run: --json is no option of run; see demilune run --help\n")
        refused({ "run", "--status", "-", "--", "true" }, "demilune: run: --status -: write a file, or the number of a "
            .. "descriptor: 1 is standard output; see demilune run --help\n")
        assert.is_false(sandbox.exists("-"))
    end)

    it("what the caller closed the command can neither read nor write, and is told so", function()
        assert(require("lfs").mkdir(scratch("d")))
        local script = "read x || echo no input >/d/in; echo y || echo no output >/d/out"
        for _, backend in ipairs { "auto", "none" } do
            local place = backend == "none" and scratch("d") or "/d"
            local result = sandbox.script({ "--rw", scratch("d") .. ":/d", "-q", "--backend", backend },
                script:gsub("/d/", place .. "/"), { suffix = "<&- >&-" })
            assert.matches("I/O error", result.err)
            assert.same({ "no input\n", "no output\n" }, { sandbox.read(scratch("d/in")), sandbox.read(scratch("d/out")) })
            os.remove(scratch("d/in"))
            os.remove(scratch("d/out"))
        end
    end)

    describe("itself:", function()
        it("--help and --version, everywhere", function()
            for _, words in ipairs { { "--help" }, { "help" }, { "-h" }, { "run", "--help" }, { "explain",
                "-h" },
                { "check", "--help" }, { "script", "--help" }, { "sandbox", "--help" } } do
                local result = sandbox.demilune(words)
                assert.equal(0, result.code)
                assert.equal("", result.err)
                assert.matches("usage:", result.out)
            end
            assert.matches("^demilune %d+%.%d+%.%d+\n$", sandbox.demilune({ "--version" }).out)
        end)

        it("the help of run has every option and the exit codes", function()
            local help = sandbox.demilune({ "run", "--help" }).out
            for _, name in ipairs { "--policy", "-p", "-e", "--base", "--effect", "--ro", "--rw", "--mask",
                "--tmpfs",
                "--project", "--work", "--chdir", "-C", "--net", "--env", "--secret", "--device",
                    "--timeout", "--memory",
                "--pids", "--cpu-time", "--limit", "--user", "--hostname", "--tty", "--nested", "--seccomp",
                "--acknowledge", "--require", "--backend", "--ceiling", "--status", "--dry-run", "-n",
                    "--show-values",
                "--quiet", "--verbose", "124", "125", "126, 127", "128+n" } do
                assert.is_truthy(help:find(name, 1, true), name)
            end
        end)

        it("what is misspelt is told, with what was probably meant", function()
            refused({ "runn" }, 'demilune: "runn" is no command; did you mean run?; see demilune --help\n')
            refused({ "run", "--projekt", "x" },
                'demilune: run: unknown option "--projekt"; did you mean --project?; see demilune run --help\n')
            refused({ "run" }, "demilune: run: no command was given; see demilune run --help\n")
            refused({ "run", "--ro" },
                "demilune: run: --ro needs a value: PATH[:AT]; see demilune run --help\n")
            refused({ "run", "--net=yes", "true" },
                "demilune: run: --net takes no value; see demilune run --help\n")
            refused({ "run", "--zzz\27[2J", "true" },
                'demilune: run: unknown option "--zzz\\x1b[2J"; see demilune run --help\n')
            refused({ "run", "--backend", "bwarp", "true" },
                'demilune: "bwarp" is no backend; write auto, bwrap, native or none (did you mean bwrap?)\n')
        end)

        it("a policy by a name that is none is refused, with the presets, which each help lists", function()
            local names = {}
            for name in sandbox.sh("ls lua/demilune/presets").out:gmatch("(%l[%w]*)%.lua") do
                names[#names + 1] = name
            end
            local result = sandbox.demilune { "run", "-p", "zzz", "--", "true" }
            assert.equal(125, result.code)
            assert(result.err:find("; the presets are " .. table.concat(names, ", ") .. "; looked for ", 1, true), result.err)
            for _, command in ipairs { "run", "explain", "batch", "test" } do
                local help = sandbox.demilune({ command, "--help" }).out
                assert(help:find("\npresets, policies that are there: " .. table.concat(names, " ") .. "\n", 1, true), help)
            end
        end)

        it("a policy that stands where a command is looked for is told, and how it is named", function()
            refused({ "-p", "build", "--", "make" }, 'demilune: "-p": the command stands before its options; ' ..
                "did you mean demilune run -p? see demilune --help\n")
            local hint = 'demilune: "build" is the name of a policy; did you mean demilune run -p build -- ...?\n'
            local result = sandbox.demilune { "run", "build", "--", "make" }
            assert.equal(127, result.code)
            assert(result.err:find(hint, 1, true), result.err)
            for _, words in ipairs { { "nosuch", "--", "make" }, { "build", "make" }, { "echo", "--", "make" } } do
                assert.is_nil(sandbox.demilune({ "run", table.unpack(words) }).err:find("did you mean", 1, true))
            end
        end)

        it("E3: options end at the first word that is none, or at --", function()
            assert.equal("--net\n", sandbox.demilune({ "run", "echo", "--net" }).out)
            assert.equal("-- x\n", sandbox.demilune({ "run", "--", "echo", "--", "x" }).out)
        end)

        it("values come as the next word, after =, or after a short name", function()
            for _, words in ipairs { { "--chdir", "/usr" }, { "--chdir=/usr" }, { "-C", "/usr" },
                { "-C/usr" } } do
                assert.equal("/usr\n", out(words, "pwd"))
            end
        end)
    end)

    describe("run:", function()
        it("--ro, --rw, --work, --project, and a place inside", function()
            assert(os.execute(("cd %s && mkdir ro rw work project 'odd:name' && echo x | tee ro/f 'odd:name/f' >project/f"):format(
                scratch())))
            assert.equal("x\n", out({ "--ro", scratch("ro") }, "cat " .. scratch("ro/f")))
            assert.equal("x\n", out({ "--ro", scratch("ro") .. ":/at" }, "cat /at/f"))
            assert.equal("x\n", out({ "--ro", scratch("odd:name") .. ":/at" }, "cat /at/f"))
            assert.equal("", out({ "--rw", scratch("rw") .. ":/at" }, "echo y >/at/f"))
            assert.equal("y\n", sandbox.read(scratch("rw/f")))
            assert.equal("/work\n", out({ "--work", scratch("work") }, "pwd; : >/work/f"))
            assert.is_true(sandbox.exists(scratch("work/f")))
            assert.equal(scratch("project") .. "\n", out({ "--project", scratch("project") }, "pwd; : >g"))
            assert.is_true(sandbox.exists(scratch("project/g")))
            assert.equal("kept\n", out({ "--project", scratch("project") .. ":ro" },
                "(: >h) 2>/dev/null || echo kept"))
        end)

        it("paths may be relative to the current directory", function()
            assert(os.execute(("mkdir %s && echo x >%s"):format(scratch("d"), scratch("d/f"))))
            local result = sandbox.sh(("cd %s && %s run --ro d/:/at --project . cat /at/f d/f"):format(scratch(),
                sandbox.quote(sandbox.command)))
            assert.equal("x\nx\n", result.out, result.err)
        end)

        it("--mask, --tmpfs, --secret", function()
            assert(os.execute(("mkdir %s && echo x >%s"):format(scratch("d"), scratch("d/key"))))
            assert.equal("", sandbox.script({ "--ro", scratch("d") .. ":/d", "--mask", "/d/key" },
                "cat /d/key").out)
            assert.equal("tmpfs\n", out({ "--tmpfs", "/t" }, "stat -fc %T /t"))
            assert.equal("x\n", out({ "--secret", scratch("d/key") .. ":/run/key" }, "cat /run/key"))
        end)

        it("--base, --effect, --acknowledge", function()
            assert.equal(127, sandbox.script({ "--base", "none" }, "true").code)
            sandbox.write(scratch("f"), "x\n")
            assert.equal("x\n", out({ "--effect", "FsRead=" .. scratch("f") }, "cat " .. scratch("f")))
            assert.equal(125, sandbox.script({ "--effect", "Nonsense" }, "true").code)
            assert.matches("env.dangerous", out({ "--env", "LD_PRELOAD=" }, "true"))
            assert.equal("fine\n", out({ "--env", "LD_AUDIT=", "--acknowledge", "loader_env" }, "echo fine"))
        end)

        it("--net, --hostname, --user, --env", function()
            local host = sandbox.sh("readlink /proc/self/ns/net").out
            assert.equal(host, sandbox.script({ "--net" }, "readlink /proc/self/ns/net").out)
            assert.are_not.equal(host, out({}, "readlink /proc/self/ns/net"))
            assert.equal("box\n", out({ "--hostname", "box" }, "uname -n"))
            assert.equal(sandbox.sh("id -u").out, out({ "--user", "caller" }, "id -u"))
            assert.equal("1 2\n", out({ "--env", "A=1", "--env", "B" }, "echo $A $B", { env = { "B=2",
                "A=3" } }))
        end)

        it("-p, layers, -e", function()
            sandbox.write(scratch("a.lua"), "return { env = { A = 'a', C = 'a' } }")
            sandbox.write(scratch("b.lua"), "return { env = { B = 'b', C = 'b' } }")
            assert.equal("a b b\n", out({ "-p", scratch("a.lua"), "-p", scratch("b.lua") }, "echo $A $B $C"))
            assert.equal("a hook\n", out({ "-p", scratch("a.lua"), "-e", "policy:set_env('C', 'hook')" },
                "echo $A $C"))
            assert.matches("^demilune: .*not today", out({ "-e", "return nil, 'not today'" }, "true"))
            assert.matches("^demilune: .*%-e", out({ "-e", "this is no Lua" }, "true"))
        end)

        it("--require refuses what is not there", function()
            assert.equal(125, sandbox.script({ "--require", "landlock", "--backend", "bwrap" }, "true").code)
            assert.equal(0, sandbox.script({ "--require", "landlock", "--backend", "auto" }, "true").code)
        end)

        it("--backend and DEMILUNE_BACKEND", function()
            local ns = "readlink /proc/self/ns/mnt"
            local host = sandbox.sh(ns).out
            local bare = sandbox.script({ "--backend", "none" }, ns)
            assert.equal(host, bare.out)
            assert.equal("demilune: warning: no isolation: the command can do whatever you can do\n",
                bare.err)
            assert.equal("", sandbox.script({ "--backend", "none", "--unsafe-no-isolation" }, ns).err)
            assert.equal(host, sandbox.script({}, ns, { env = { "DEMILUNE_BACKEND=none" } }).out)
            assert.are_not.equal(host, sandbox.script({ "--backend", "bwrap" }, ns,
                { env = { "DEMILUNE_BACKEND=none" } }).out)
            assert.equal(125, sandbox.script({}, ns, { env = { "DEMILUNE_BACKEND=nonsense" } }).code)
            local empty = sandbox.script({}, ns, { env = { "DEMILUNE_BACKEND=" } })
            assert.equal(0, empty.code, empty.err)
            assert.not_equal(host, empty.out)
            assert.equal(127, sandbox.demilune({ "run", "-q", "--backend", "none", "no-such-command" },
                { env = { "PATH=/usr/bin:/bin" } }).code)
        end)

        it("-q takes warnings away, -v says what is launched", function()
            local words = { "--ro", "/usr:/at", "--tmpfs", "/at" }
            assert.matches("^demilune: warning: .*%[entry.shadowed%]\n$", sandbox.script(words, "true").err)
            assert.equal("", sandbox.script({ "-q", table.unpack(words) }, "true").err)
            for backend, how in pairs { bwrap = "/.*bwrap", native = "the native backend, system calls of our own" } do
                assert.matches("^demilune: launching by " .. how .. ", digest %x+\n",
                    sandbox.script({ "-v", "--backend", backend }, "true").err)
            end
        end)

        it("--status to a file and to a descriptor, which is kept as it is", function()
            local record = probe.status(scratch("status"), { "--", "sh", "-c", "exit 3" })
            assert.same({ "exit", 3 }, { record.kind, record.exit_code })
            sandbox.write(scratch("log"), "first line\n")
            local line = ("%s run --status 9 -- sh -c 'exit 4' 9>>%s"):format(sandbox.quote(sandbox.command),
                scratch("log"))
            assert.equal(4, sandbox.sh(line).code)
            local first, second = sandbox.read(scratch("log")):match("^(first line\n)([^\n]+)\n$")
            assert.equal("first line\n", first)
            assert.equal(4, cjson.decode(second).exit_code)
            record = probe.status(scratch("status"), { "--ro", "/no/such/path", "--", "true" })
            assert.same({ "refused", "bind.missing", "bind.missing" }, { record.kind, record.code,
                record.problems[1].code })
        end)
    end)

    describe("--dry-run", function()
        it("prints the command line and runs nothing", function()
            local result = sandbox.demilune { "run", "-n", "--backend", "bwrap", "--rw", scratch() .. ":/w", "--", "touch",
                "/w/ran" }
            assert.equal(0, result.code)
            assert.matches("bwrap .*%-%-bind " .. scratch():gsub("%p", "%%%0") .. " /w .*touch /w/ran\n$",
                result.out)
            assert.is_false(sandbox.exists(scratch("ran")))
        end)

        it("hides what was passed through and secrets, unless told", function()
            sandbox.write(scratch("key"), "content-of-secret")
            local words = { "run", "-n", "--env", "PASSED", "--env", "API_TOKEN=value-of-token", "--env",
                "PLAIN=plain-value",
                "--secret", scratch("key") .. ":/run/key", "--", "true" }
            local more = { env = { "PASSED=value-of-passed" } }
            local hidden = sandbox.demilune(words, more).out
            assert.is_nil(hidden:find("value-of", 1, true))
            assert.is_nil(hidden:find("content-of", 1, true))
            assert.is_truthy(hidden:find("plain-value", 1, true))
            table.insert(words, 2, "--show-values")
            local shown = sandbox.demilune(words, more).out
            assert.is_truthy(shown:find("value-of-passed", 1, true))
            assert.is_nil(shown:find("content-of", 1, true))
        end)
    end)

    describe("explain", function()
        it("tells mounts, variables and limits, without running anything", function()
            local result = sandbox.demilune { "explain", "--rw", scratch() .. ":/w", "--timeout", "30s",
                "--", "touch", "/w/ran" }
            assert.equal(0, result.code, result.err)
            assert.matches("command  touch /w/ran\n", result.out)
            assert.matches("\n  w/ +read%-write +" .. scratch():gsub("%p", "%%%0") .. " +command line\n", result.out)
            assert.matches("timeout +30 s +command line\n", result.out)
            assert.matches("digest  %x+\n$", result.out)
            assert.is_false(sandbox.exists(scratch("ran")))
        end)

        it("--json has the same, to be read by programs", function()
            local words = { "explain", "--json", "--env", "PASSED", "--", "echo", "a\nb", "\xff" }
            local data = cjson.decode(sandbox.demilune(words, { env = { "PASSED=hidden" } }).out)
            assert.same({ "echo", "a\nb", { base64 = "/w==" } }, data.argv)
            assert.equal(65534, data.uid)
            assert.is_true(#data.mounts > 5)
            for _, variable in ipairs(data.env) do
                assert.is_true(variable.name ~= "PASSED" or variable.value == nil)
            end
        end)

        it("gives the same twice", function()
            local words = { "explain", "--ro", "/usr/share:/a", "--env", "A=1", "--env", "B=2", "--", "true" }
            assert.equal(sandbox.demilune(words).out, sandbox.demilune(words).out)
        end)
    end)

    describe("check", function()
        it("tells about each of several policies", function()
            sandbox.write(scratch("good.lua"), "return { prepare = function() error 'oh no' end }")
            sandbox.write(scratch("bad.lua"), "return { hostname = '-' }")
            local good = sandbox.demilune { "check", scratch("good.lua") }
            assert.equal(0, good.code)
            assert.equal(scratch("good.lua") .. ": fine (hooks were not run: no command)\n", good.out)
            local both = sandbox.demilune { "check", scratch("good.lua"), scratch("bad.lua"),
                scratch("none.lua") }
            assert.equal(125, both.code)
            assert.matches("good.lua: fine", both.out)
            assert.matches("bad.lua:1: hostname: .*%[hostname.invalid%]\n.*none.lua", both.err)
            assert.matches("oh no", sandbox.demilune({ "check", scratch("good.lua"), "--", "true" }).err)
            assert.equal(125, sandbox.demilune({ "check" }).code)
        end)
    end)

    describe("script", function()
        local function script(text, ...)
            sandbox.write(scratch("s.lua"), text)
            return sandbox.demilune { "script", scratch("s.lua"), ... }
        end

        it("runs a program with the module and its arguments", function()
            local result = script([[print(arg[0], arg[1], ...)
                print(demilune.policy {}:run({ "echo", "inside" }, { capture = true }).stdout) return 7]],
                    "one", "two")
            assert.equal(scratch("s.lua") .. "\tone\tone\ttwo\ninside\n\n", result.out, result.err)
            assert.equal(7, result.code)
        end)

        it("an error is 1 and told, a file that cannot be read is 125", function()
            local result = script("error 'oh no'")
            assert.equal(1, result.code)
            assert.matches("^demilune: .*s.lua:1: oh no", result.err)
            assert.equal(125, script("this is no Lua").code)
            assert.equal(125, sandbox.demilune({ "script", scratch("none.lua") }).code)
            assert.equal(3, script("os.exit(3)").code)
        end)

        it("has all of Lua, warnings too", function()
            local result = script([[warn "off" warn "@on" warn("it ", "is ", "@told") warn "@off" warn "off"]])
            assert.same({ 0, "Lua warning: it is @told\n" }, { result.code, result.err })
            assert.matches("^module 'demilune.none' not found:\n\tno field package.preload", script(
                "print(select(2, pcall(require, 'demilune.none')))").out)
        end)
    end)

    it("runs from a directory that is gone", function()
        local from = ("mkdir %s; cd %s; rmdir %s;"):format(scratch("gone"), scratch("gone"), scratch("gone"))
        assert.equal("in\n", sandbox.demilune({ "run", "--", "echo", "in" }, { prefix = from }).out)
        local result = sandbox.demilune({ "run", "-e", "policy:set_env('A', cwd)", "true" }, { prefix = from })
        assert.equal(125, result.code)
        assert.matches("`cwd` is not defined", result.err, 1, true)
    end)

    it("passes on the first of variables of one name, and nothing that is no variable", function()
        local odd = [=[
import ctypes, sys
words = [word.encode() for word in sys.argv[1:]] + [None]
variables = [b"no variable", b"A=first", b"A=second", b"PATH=/usr/bin:/bin", None]
libc = ctypes.CDLL(None)
libc.execve(words[0], (ctypes.c_char_p * len(words))(*words), (ctypes.c_char_p * len(variables))(*variables))
]=]
        local result = probe.host(odd, { sandbox.command, "run", "--env", "A", "-e", "policy:set_env('B', context.env.A)", "--", "env" })
        assert.matches("^A=first\nB=first\n", result.out, result.err)
        assert.is_nil(result.out:find("no variable", 1, true))
    end)

    it("an answer that cannot be written is none", function()
        sandbox.write(scratch("fine.lua"), 'return { base = "none", expect = { denied = { write = { "/etc/x" } } } }\n')
        sandbox.write(scratch("print.lua"), "print 'it'\n")
        for _, words in ipairs {
            { "--version" }, { "--help" }, { "run", "--help" }, { "run", "-n", "--", "true" }, { "explain" }, { "doctor" },
            { "explain", "--json" }, { "check", "--json", scratch("fine.lua") }, { "test", scratch("fine.lua") },
            { "script", scratch("print.lua") },
        } do
            local name = table.concat(words, " ")
            local full = sandbox.demilune(words, { suffix = ">/dev/full" })
            assert.equal(125, full.code, name)
            assert.matches("standard output cannot be written", full.err, name)
            assert.equal(125, sandbox.demilune(words, { suffix = ">&-" }).code, name)
        end
        assert.equal(3, sandbox.demilune({ "run", "--", "sh", "-c", "exit 3" }, { suffix = ">/dev/full" }).code)
        assert.equal(0, sandbox.demilune({ "run", "--", "true" }, { suffix = ">&-" }).code)
    end)

    it("check --json prints problems as data", function()
        sandbox.write(scratch("fine.lua"), "return {}\n")
        sandbox.write(scratch("bad.lua"), "return {\n  network = 1,\n}\n")
        local result = sandbox.demilune { "check", "--json", scratch("fine.lua"), scratch("bad.lua") }
        assert.equal(125, result.code)
        assert.equal("", result.err)
        local list = require("cjson").new().decode(result.out)
        assert.same({ true, {} }, { list[1].ok, list[1].problems })
        local problem = list[2].problems[1]
        assert.same({ false, "network", "type", 2 }, { list[2].ok, problem.field, problem.code, problem.line })
    end)
end)
