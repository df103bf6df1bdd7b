-- The ancestor's escape tests, for real, with Debian's python3. For each protection the same probe also runs where the
-- protection is missing, so that a probe that could not tell would be caught.
local leaks = require "support.leaks"
local probes = require "support.probe"
local sandbox = require "support.sandbox"

local python, bare = probes.python, probes.bare

describe("escape:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    it("N1: the network is off", function()
        local probe = [[
import socket
names = [line.split(":")[0].strip() for line in list(open("/proc/net/dev"))[2:] ]
print("only lo" if names == ["lo"] else "interfaces " + " ".join(names))
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
try:
    s.connect(("192.0.2.1", 80))
except OSError as error:
    print(error.strerror)
]]
        local inside = python({}, probe)
        assert.equal(0, inside.code, inside.err)
        assert.equal("only lo\nNetwork is unreachable\n", inside.out)
    end)

    it("N2: a listener of the host is out of reach, and in reach with the network shared", function()
        local server = [[
import socket, subprocess, sys
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
probe = "import socket; socket.create_connection(('127.0.0.1', %d), 2); print('connected')" % listener.getsockname()[1]
print(subprocess.run(sys.argv[1:] + ["--", "/usr/bin/python3", "-c", probe], capture_output=True, text=True).stdout or "refused")
]]
        local function try(option)
            return sandbox.sh(("/usr/bin/python3 -c %s %s run -q %s"):format(sandbox.quote(server),
                sandbox.quote(sandbox.command), option)).out
        end
        assert.equal("refused\n", try(""))
        assert.equal("connected\n\n", try("--net"))
    end)

    it("with the network on localhost resolves", function()
        local inside = python({ "--net" }, "import socket; print(socket.gethostbyname('localhost'))")
        assert.equal("127.0.0.1\n", inside.out, inside.err)
    end)

    it("/etc/shadow is not there", function()
        local probe = "import os; print(os.path.exists('/etc/shadow'))"
        assert.equal("False\n", python({}, probe).out)
        assert.equal("True\n", bare(probe).out)
    end)

    it("keys in a home are not there", function()
        local home = scratch("home")
        assert(os.execute("mkdir -p " .. home .. "/.ssh"))
        sandbox.write(home .. "/.ssh/id_ed25519", "secret key\n")
        local probe = ("print(open(%q).read())"):format(home .. "/.ssh/id_ed25519")
        local inside = python({}, probe, { env = { "HOME=" .. home } })
        assert.equal(1, inside.code)
        assert.matches("FileNotFoundError", inside.err)
        assert.matches("secret key", bare(probe).out)
    end)

    it("the command is nobody, 65534", function()
        local inside = python({}, "import os; print(os.getuid(), os.getgid(), os.geteuid(), os.getegid())")
        assert.equal("65534 65534 65534 65534\n", inside.out)
    end)

    it("there is no way back to root", function()
        local inside = python({}, [[
import os
for call in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([0])):
    try:
        call()
        print("became root")
    except PermissionError:
        print("refused")
    except OSError as error: # the id has no mapping
        print("refused" if error.errno == 22 else error)
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(*(status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")))
]])
        assert.equal(("refused\n"):rep(4) .. ("0"):rep(16) .. (" " .. ("0"):rep(16)):rep(4) .. " 1\n",
            inside.out, inside.err)
    end)

    it("HOME and USER are the sandbox's", function()
        local inside = python({}, "import os; print(os.environ['HOME'], os.environ['USER'])",
            { env = { "HOME=/somewhere", "USER=somebody" } })
        assert.equal("/work nobody\n", inside.out)
    end)

    it("/work is private, empty and writable", function()
        local inside = python({}, [[
import os
print(os.getcwd(), os.listdir("/work"))
open("/work/file", "w").write("x")
print(os.listdir("/work"))
]])
        assert.equal("/work []\n['file']\n", inside.out, inside.err)
        assert.equal("/work []\n['file']\n", python({}, [[
import os
print(os.getcwd(), os.listdir("/work"))
open("/work/file", "w").write("x")
print(os.listdir("/work"))
]]).out)
    end)
end)
