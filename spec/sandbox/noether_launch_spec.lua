-- demilune sandbox: the sandbox that a policy of the ancestor becomes, where it is the ancestor's and where it is not.
local leaks = require "support.leaks"
local lfs = require "lfs"
local noether = require "support.noether"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

local BARE = { "--isolate", "none" }

describe("noether-sandbox launches", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function refused(fields, expected, more)
        more = more or {}
        more.policy = noether.policy(fields)
        local result = noether.script("echo ran", more)
        assert.same({ 2, "" }, { result.code, result.out }, result.err)
        assert.is_truthy(result.err:find(expected, 1, true), result.err)
    end

    -- A script under a policy. Returns what it says, and what we say.
    local function run(fields, script, more)
        more = more or {}
        more.policy = noether.policy(fields)
        local result = noether.script(script, more)
        return result.out, result.err, result.code
    end

    local function sorted(text)
        local lines = {}
        for line in text:gmatch("[^\n]+") do
            lines[#lines + 1] = line
        end
        table.sort(lines)
        return lines
    end

    describe("what the ancestor launches:", function()
        it("the same files, ids, processes and directory", function()
            local look = "ls -A / /work /tmp /usr /dev; id; pwd; echo $$; ls /etc 2>&1; (: >/usr/x) 2>&1; : >/work/x; : >/tmp/x"
            local reference = noether.reference(scratch("r"), noether.policy(), { "/bin/sh", "-c", look })
            assert.equal(reference.out, (run({}, look)))
            assert.matches("uid=65534", reference.out)
        end)

        it("the same environment, in which bare the caller's own is left as it is", function()
            local names = { "PATH", "B", "A", "B", "HOME", "USER", "EMPTY", "UNSET", "BAD", "A-B", "a.b", "", "1", "*" }
            local env = { "-i", "PATH=/usr/bin:/bin", "A=a", "B=b c\n", "HOME=/root", "USER=root", "EMPTY=", "BAD=\xff",
                "A-B=x", "a.b=y", "1=z", "OTHER=o" }
            local reference = noether.reference(scratch("r"), noether.policy { env = names }, { "/usr/bin/env" },
                { env = env })
            local ours = noether.run({ "--", "/usr/bin/env" }, { policy = noether.policy { env = names }, env = env })
            assert.equal("", ours.err)
            assert.same(sorted(reference.out), sorted(ours.out))
            assert.equal(10, #sorted(ours.out), ours.out)
            local bare = noether.run({ "--isolate=none", "--", "/usr/bin/env" }, { policy = noether.policy { env = names },
                env = env })
            table.remove(env, 1)
            assert.same(sorted(table.concat(env, "\n")), sorted(bare.out))
        end)

        it("without a PATH nobody makes one", function()
            for _, names in ipairs { {}, { "PATH" } } do
                local result = noether.run({ "--", "env" }, { policy = noether.policy { env = names }, env = { "-u", "PATH" } })
                assert.same({ "HOME=/work", "PWD=/work", "USER=nobody" }, sorted(result.out), result.err)
            end
            assert.same({ "HOME=/work", "PWD=/work", "USER=nobody" }, sorted(noether.run({ "--", "env" }).out))
        end)

        it("/work and /tmp private, or a directory of the host at /work", function()
            run({}, ": >/work/private; : >/tmp/private" .. scratch():match("[^/]*$"))
            assert.is_false(sandbox.exists("/tmp/private" .. scratch():match("[^/]*$")))
            assert.equal("/work\n", (run({ work = scratch() }, "pwd; : >here")))
            assert.is_true(sandbox.exists(scratch("here")))
        end)

        it("no network, or the host's with the four places that names and certificates need", function()
            local look = "readlink /proc/self/ns/net; cd /etc && find . | sort; cat hosts resolv.conf nsswitch.conf"
            local there = noether.world(("--tmpfs /etc --ro-bind %s /etc/hosts --ro-bind %s /etc/resolv.conf "
                .. "--dir /etc/ssl/certs --ro-bind %s /etc/ssl/certs/a.pem"):format(sandbox.write(scratch("h"), "hosts\n"),
                sandbox.write(scratch("c"), "resolv\n"), sandbox.write(scratch("p"), "pem\n")))
            local ours = run({ network = true }, look, { prefix = there })
            local reference = noether.reference(scratch("r"), noether.policy { network = true }, { "/bin/sh", "-c", look },
                { prefix = there })
            assert.equal(reference.out, ours)
            assert.matches("/hosts\n./resolv.conf\n./ssl\n./ssl/certs\n./ssl/certs/a.pem\nhosts\nresolv\n$", ours)
            local host = sandbox.sh("readlink /proc/self/ns/net").out
            assert.equal(host, (run({ network = true }, "readlink /proc/self/ns/net")))
            local inside = run({}, "readlink /proc/self/ns/net; ls /etc")
            assert.is_nil(inside:find(host, 1, true))
            assert.equal(1, #sorted(inside))
        end)

        it("the policy's own files instead of those of the network", function()
            assert(os.execute(("mkdir -p %s/ssl/certs && echo mine | tee %s/hosts %s/nsswitch.conf >%s/own"):format(scratch(),
                scratch(), scratch(), scratch())))
            local look = "cd /etc; ls; cat hosts"
            for _, at in ipairs { "/etc", "/etc/", "//etc" } do
                local fields = { network = true, ro = { { scratch(), at } } }
                assert.equal("hosts\nnsswitch.conf\nown\nssl\nmine\n", (run(fields, look)))
                assert.equal("hosts\nnsswitch.conf\nown\nssl\nmine\n", noether.reference(scratch() .. ".lua",
                    noether.policy(fields), { "/bin/sh", "-c", look }).out)
            end
            os.remove(scratch() .. ".lua")
            assert.equal("mine\n", (run({ network = true, ro = { { scratch("own"), "/etc/hosts" } } }, "cat /etc/hosts")))
            assert.equal("mine\n", (run({ network = true, rw = { { scratch("own"), "/etc/hosts" } } }, "cat /etc/hosts")))
        end)

        it("the array form too, and with keys that it does not know", function()
            local policy = ('[[["/usr","/usr"],["/bin","/bin"],["/lib","/lib"],%s["%s","/s"]],[],null,false,["A"]]'):format(
                lfs.attributes("/lib64") and '["/lib64","/lib64"],' or "", scratch())
            sandbox.write(scratch("f"), "x\n")
            local result = noether.script("cat /s/f; echo $A", { policy = policy, env = { "A=a" } })
            assert.equal("x\na\n", result.out, result.err)
        end)
    end)

    describe("not as the ancestor does:", function()
        it("a writable directory in a read-only one can be written to, whatever the lists' order", function()
            assert(lfs.mkdir(scratch("child")))
            local fields = { ro = { scratch() }, rw = { scratch("child") } }
            local script = ("(: >%s) 2>/dev/null || echo kept; : >%s"):format(scratch("x"), scratch("child/x"))
            assert.same({ "kept\n", "", 0 }, { run(fields, script) })
            assert.is_true(sandbox.exists(scratch("child/x")))
            os.remove(scratch("child/x"))
            noether.reference(scratch("r"), noether.policy(fields), { "/bin/sh", "-c", script })
            assert.is_false(sandbox.exists(scratch("child/x")))
        end)

        it("a key that is none of the five is told, quoted, and what was probably meant", function()
            local out, err = run({ more = '"Network":true,"x\\u001b[2J":{"y":[1]},"rw_bind":[]' }, "echo ran")
            assert.equal("ran\n", out)
            assert.equal('noether-sandbox: warning: the key "Network" is ignored; did you mean network?\n'
                .. 'noether-sandbox: warning: the key "x\\x1b[2J" is ignored\n'
                .. 'noether-sandbox: warning: the key "rw_bind" is ignored; did you mean rw_binds?\n', err)
            local result = noether.script("true", { policy =
                '{"ro_binds":[{"host":"/usr","sandbox":"/usr","readonly":true}],"network":false,"env_allowlist":[]}' }, BARE)
            assert.equal('noether-sandbox: warning: the key "ro_binds[1].readonly" is ignored\n', result.err)
        end)

        it("the extensions of demilune are such keys", function()
            local out, err = run({ more = '"env":{"A":"1"},"masks":["/usr"],"acknowledge":["home"]' }, "echo $A; ls -d /usr/bin")
            assert.equal("\n/usr/bin\n", out)
            assert.equal(3, #sorted(err))
        end)

        it("many unknown keys are not told one by one", function()
            local keys = {}
            for i = 1, 1000 do
                keys[i] = ('"key%d":%d'):format(i, i)
            end
            local lines = sorted(select(2, run({ more = table.concat(keys, ",") }, "true")))
            assert.equal(21, #lines)
            assert.equal("noether-sandbox: warning: and 980 more keys are ignored", lines[1])
        end)

        it("what validation refuses ends with 2 before anything is launched", function()
            refused({ ro = { "/no/such/path" } }, '"/no/such/path" does not exist; create it, or leave it out')
            refused({ ro = { "relative" } }, '"relative" is not absolute')
            refused({ ro = { { "/usr", "relative" } } }, "ro_binds[" )
            refused({ ro = { "/a\0b" } }, '"/a\\x00b" has a NUL byte')
            refused({ rw = { "/tmp/../etc" } }, 'has a ".." component')
            refused({ work = "" }, "work_host")
            refused({ work = "relative" }, "work_host")
            refused({ work = "/etc/passwd" }, "is no directory")
            refused({ env = { "A=B" } }, "env_allowlist[1]", { env = { "A=B=c" } })
            refused({ env = { "A\0" } }, "has a NUL byte")
        end)

        it("~ is no home", function()
            refused({ ro = { "~/x" } }, '"~/x" is not absolute', { env = { "HOME=" .. scratch() } })
            refused({ work = "~" }, '"~" is not absolute', { env = { "HOME=" .. scratch() } })
        end)

        it("a * in a name passes nothing else through", function()
            for _, name in ipairs { "*", "SECRET*", "S*" } do
                assert.equal("\n", (run({ env = { name } }, "echo $SECRET1", { env = { "SECRET1=x" } })))
            end
        end)

        it("/proc, /dev and /sys are never the policy's", function()
            for _, path in ipairs { "/proc", "/proc/1", "/dev/full", "/sys/x", "/proc/../proc" } do
                refused({ ro = { { "/usr", path } } }, path)
            end
            for _, path in ipairs { "/proc", "/proc/self/ns", "/dev", "/dev/null" } do
                refused({ ro = { { path, "/there" } } }, "bind.never")
            end
            refused({ rw = { "/sys" } }, "bind.never")
        end)
    end)

    describe("dangers, which its format has no word for, with a warning:", function()
        local function warned(fields, danger, script, more)
            local out, err, code = run(fields, script or "echo ran", more)
            assert.same({ 0, "ran\n" }, { code, out }, err)
            local count = 0
            for line in err:gmatch("[^\n]+") do
                assert.matches("^noether%-sandbox: warning: ", line)
                count = count + (line:find("(" .. danger .. ")", 1, true) and 1 or 0)
            end
            assert.is_true(count > 0, err)
        end

        it("a home", function()
            local home = { env = { "HOME=" .. scratch() } }
            warned({ ro = { { scratch(), "/h" } } }, "home", nil, home)
            warned({ rw = { { scratch(), "/h" } } }, "home_rw", "touch /h/x; echo ran", home)
            assert.is_true(sandbox.exists(scratch("x")))
            warned({ work = scratch() }, "home_rw", nil, home)
        end)

        it("the root, a directory of PATH, what the host executes, what the loader reads", function()
            warned({ ro = { { "/", "/host" } } }, "root", "test -d /host/usr && echo ran")
            warned({ rw = { { scratch(), "/p" } } }, "path_rw", nil, { env = { "PATH=" .. scratch() .. ":/usr/bin:/bin" } })
            assert(os.execute("mkdir -p " .. scratch(".git/hooks")))
            warned({ work = scratch() }, "path_rw")
            warned({ env = { "LD_DEBUG" } }, "loader_env")
        end)

        it("an agent's socket", function()
            local listen = [[
import socket, subprocess, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
sys.exit(subprocess.run(sys.argv[3:], input=sys.argv[2].encode()).returncode)
]]
            local socket = scratch("agent")
            local result = probe.host(listen, { socket, noether.policy { ro = { { socket, "/agent" } } }, "env",
                "SSH_AUTH_SOCK=" .. socket, noether.command, "--", "/bin/sh", "-c", "test -S /agent && echo ran" })
            assert.same({ 0, "ran\n" }, { result.code, result.out }, result.err)
            assert.matches("warning: [^\n]*%(ssh_agent%)", result.err)
        end)

        it("its own policy in what it makes writable", function()
            local policy = sandbox.write(scratch("p.json"), noether.policy { work = scratch() })
            local result = noether.script("echo ran", nil, { "--policy-file", policy })
            assert.same({ 0, "ran\n" }, { result.code, result.out }, result.err)
            assert.matches("^noether%-sandbox: warning: work_host: .*its own policy", result.err)
            assert.equal("", noether.script("echo ran", { policy = noether.policy { work = scratch() } }).err)
        end)

        it("none of which demilune run accepts from a file", function()
            sandbox.write(scratch("p.lua"), ("return { rw_binds = { { %q, '/h' } } }"):format(scratch()))
            local result = sandbox.demilune({ "run", "-p", scratch("p.lua"), "true" }, { env = { "HOME=" .. scratch() } })
            assert.equal(125, result.code)
            assert.matches("acknowledge = { \"home_rw\" }", result.err)
        end)
    end)

    describe("signals (4.9):", function()
        -- Starts argv[3:] with argv[2] as the file of its policy, waits for its first line, sends the signals of argv[1]
        -- with a pause between, prints what it says and what wait(2) does.
        local SENDER = [[
import signal, subprocess, sys, time
ignored = [getattr(signal, "SIG" + name) for name in sys.argv[2].split(",") if name]
def prepare():
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
process = subprocess.Popen(sys.argv[3:], stdout=subprocess.PIPE, text=True, preexec_fn=prepare)
process.stdout.readline()
for name in sys.argv[1].split(","):
    process.send_signal(getattr(signal, "SIG" + name))
    time.sleep(0.3)
try:
    print(process.communicate(timeout=60)[0] + str(process.wait()))
finally:
    process.kill()
]]
        local WAIT = "echo ready; while :; do sleep 0.05; done"

        local function send(signals, script, flags, ignored)
            sandbox.write(scratch("p.json"), noether.policy())
            local words = { signals, ignored or "", noether.command, "--policy-file", scratch("p.json") }
            table.move(flags, 1, #flags, #words + 1, words)
            return probe.host(SENDER, table.move({ "--", "/bin/sh", "-c", script }, 1, 4, #words + 1, words))
        end

        for how, flags in pairs { isolated = {}, bare = BARE } do
            for _, name in ipairs { "INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH", "CONT" } do
                it(name .. " reaches the command, " .. how, function()
                    local result = send(name, ("trap 'echo got %s; exit 7' %s; %s"):format(name, name, WAIT), flags)
                    assert.equal("got " .. name .. "\n7\n", result.out, result.err)
                end)
            end

            it("a command without a trap ends, and its end is a code, " .. how, function()
                assert.equal("143\n", send("TERM", WAIT, flags).out)
                assert.equal("130\n", send("INT", WAIT, flags).out)
            end)

            it("what we were started ignoring is not handed on, " .. how, function()
                local script = "trap 'echo told; exit 5' USR1; " .. WAIT
                assert.equal("told\n5\n", send("HUP,INT,TERM,USR1", script, flags, "HUP,INT,TERM").out)
            end)
        end

        it("TSTP stops both, and CONT resumes both, bare", function()
            local code = [[
import signal, subprocess, sys, time
def states():
    return [open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()[0] for pid in (process.pid, child)]
def wait_for(state):
    for _ in range(200):
        if states() == [state, state]:
            break
        time.sleep(0.05)
    print(*states())
process = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
process.stdin.write(sys.argv[1].encode())
process.stdin.close()
process.stdout.readline()
child = int(open("/proc/%d/task/%d/children" % (process.pid, process.pid)).read())
for name, state in (("TSTP", "T"), ("CONT", "S")):
    process.send_signal(getattr(signal, "SIG" + name))
    wait_for(state)
process.terminate()
print(process.wait())
]]
            local result = probe.host(code, { noether.policy(), noether.command, "--isolate=none", "--", "sh", "-c",
                "echo ready; exec sleep 300" })
            assert.equal("T T\nS S\n143\n", result.out, result.err)
        end)

        it("Ctrl-C is heard once, isolated and bare", function()
            local code = [[
import os, pty, sys
pid, master = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
text = b""
while not text.endswith(b"end\r\n"):
    text += os.read(master, 4096)
    if text.endswith(b"ready\r\n"):
        os.write(master, b"\3")
print(text.count(b"heard"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
]]
            sandbox.write(scratch("p.json"), noether.policy())
            local script = "trap 'echo heard' INT; echo ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.05; done; echo end; exit 9"
            for _, isolate in ipairs { "bwrap", "none" } do
                local result = probe.host(code, { noether.command, "--policy-file", scratch("p.json"),
                    "--isolate=" .. isolate, "--", "/bin/sh", "-c", script })
                assert.equal("1 9\n", result.out, result.err)
            end
        end)

        it("the second INT ends what ignores it, isolated", function()
            assert.equal("137\n", send("INT,INT", "trap '' INT; " .. WAIT, {}).out)
        end)

        local MASK = [[
import signal, subprocess, sys
def prepare():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
subprocess.run(sys.argv[2:], input=sys.argv[1].encode(), preexec_fn=prepare, restore_signals=False)
]]
        -- Blocked and ignored signals of the command: the last seven digits, without those that libc keeps to itself.
        local function mask(flags)
            local words = table.move(flags, 1, #flags, 3, { noether.policy(), noether.command })
            table.move({ "--", "/usr/bin/grep", "-E", "SigBlk|SigIgn", "/proc/self/status" }, 1, 5, #words + 1, words)
            local result = probe.host(MASK, words)
            local blocked, ignored = result.out:match("SigBlk:\t%x+(%x%x%x%x%x%x%x)\nSigIgn:\t%x+(%x%x%x%x%x%x%x)\n")
            return blocked and { blocked, ignored } or result
        end

        it("bare, the command has the caller's mask and ignored signals, but a broken pipe ends it", function()
            -- bit n - 1 for signal n: TERM is 15, USR1 10; USR2 is 12, XFSZ (which python ignores) 25, PIPE 13
            assert.same({ "0004200", "1000800" }, mask(BARE))
        end)

        it("isolated, it has neither, so that what is handed on arrives", function()
            assert.same({ "0000000", "0000000" }, mask {})
        end)

        it("the end of the runner is the end of the command, isolated", function()
            local mark = "300." .. scratch():gsub("%D", "")
            local code = [[
import os, subprocess, sys, time
def alive():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open("/proc/%s/cmdline" % pid, errors="replace").read().startswith("/usr/bin/sleep\0" + sys.argv[2]):
                return True
        except OSError:
            pass
    return False
def wait_for(state):
    for _ in range(200):
        if alive() == state:
            return True
        time.sleep(0.05)
process = subprocess.Popen(sys.argv[3:], stdin=subprocess.PIPE)
process.stdin.write(sys.argv[1].encode())
process.stdin.close()
print(wait_for(True))
process.kill()
process.wait()
print(wait_for(False))
]]
            local result = probe.host(code, { noether.policy(), mark, noether.command, "--", "/usr/bin/sleep", mark })
            assert.equal("True\nTrue\n", result.out, result.err)
        end)
    end)
end)
