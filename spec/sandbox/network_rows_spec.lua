-- The N rows of spec/README.md: what a command reaches of the host's network and of its sockets. Each probe also runs with
-- the network shared, or bare, where it has to succeed.
local demilune = require "demilune"
local lacking = require "support.lacking"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Makes a socket by argv[1], runs argv[3:] followed by the Python code of argv[2], in which %s stands for where the socket
-- is, and prints what that printed and what arrived.
local HOST = [[
import os, socket, subprocess, sys
kind, code, command = sys.argv[1], sys.argv[2], sys.argv[3:]
family = {"udp": socket.AF_INET, "udp6": socket.AF_INET6, "tcp": socket.AF_INET}.get(kind, socket.AF_UNIX)
type = socket.SOCK_DGRAM if kind in ("udp", "udp6", "abstract-dgram") else socket.SOCK_STREAM
place = {"udp": ("127.0.0.1", 0), "udp6": ("::1", 0), "tcp": ("127.0.0.1", 0)}.get(kind)
if not place:
    place = "\0spec-%d" % os.getpid() if kind.startswith("abstract") else kind
server = socket.socket(family, type)
server.bind(place)
if type == socket.SOCK_STREAM:
    server.listen()
place = server.getsockname()
code = code % repr(place[:2] if isinstance(place, tuple) else place)
result = subprocess.run(command + ["--", "/usr/bin/python3", "-c", code], capture_output=True, text=True)
print(result.stdout.strip() or result.stderr.strip() or "no output")
server.settimeout(0.3)
try:
    print("arrived", server.recv(100) if type == socket.SOCK_DGRAM else server.accept() and "connection")
except TimeoutError:
    print("nothing arrived")
]]

local SEND = [[
import errno, socket
try:
    s = socket.socket(socket.%s, socket.%s%s)
    s.settimeout(5)
    s.connect(%%s)
    s.send(b"hello")
    print("sent")
except OSError as error:
    print("refused")
]]

describe("the network:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- Sends from inside to a socket of the host; what the sender says and what arrives.
    local function send(kind, code, ...)
        return probe.host(HOST, { kind, code, sandbox.command, "run", "-q", ... })
    end

    it("N1: lo is up, there is no route, and no other interface", function()
        local code = [[
import fcntl, socket, struct
print([line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:] ])
print(len(open("/proc/net/route").readlines()) - 1)
print({line.split()[-1] for line in open("/proc/net/ipv6_route")} - {"lo"})
for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
    server = socket.socket(family)
    server.bind((address, 0))
    server.listen()
    socket.create_connection(server.getsockname()[:2], 5)
    print("connected to", address)
print(struct.unpack("16sH", fcntl.ioctl(server, 0x8913, struct.pack("16s16x", b"lo"))[:18])[1] & 1)
]]
        local inside = probe.python({}, code)
        assert.equal("['lo']\n0\nset()\nconnected to 127.0.0.1\nconnected to ::1\n1\n", inside.out, inside.err)
        local names = "sed -n '3,$s/:.*//p' /proc/net/dev"
        assert.equal(sandbox.sh(names).out, sandbox.script({ "--net" }, names).out) -- shared, they are the host's
    end)

    it("N1: nothing outside can be reached, by TCP, UDP or ICMP", function()
        local code = [[
import socket
for family, address in (socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"):
    for type, protocol in (socket.SOCK_STREAM, 0), (socket.SOCK_STREAM, 262), (socket.SOCK_DGRAM, 0), (socket.SOCK_DGRAM, 1), \
            (socket.SOCK_RAW, 1):
        try:
            s = socket.socket(family, type, protocol)
            s.settimeout(5)
            s.connect((address, 7))
            s.send(b"x")
            print("reached", family, type, protocol)
        except OSError as error:
            print("refused")
]]
        local inside = probe.python({}, code)
        assert.equal(("refused\n"):rep(10), inside.out, inside.err)
    end)

    it("N2: the sandbox's loopback is its own: what listens there is out of the host's reach", function()
        local code = [[
import socket, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
port = int(process.stdout.readline())
try:
    socket.create_connection(("127.0.0.1", port), 5)
    print("connected")
except OSError:
    print("refused")
process.kill()
]]
        local listen = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); " ..
            "print(s.getsockname()[1], flush=True); input()"
        local function try(...)
            return probe.host(code, { sandbox.command, "run", "-q", ..., "--", "/usr/bin/python3", "-c", listen }).out
        end
        assert.equal("refused\n", try("--base=host"))
        assert.equal("connected\n", try("--net"))
    end)

    for _, kind in ipairs { "abstract", "abstract-dgram" } do
        it(("N3: an abstract socket of the host is out of reach: %s"):format(kind), function()
            local code = SEND:format("AF_UNIX", kind == "abstract" and "SOCK_STREAM" or "SOCK_DGRAM", "")
            assert.equal("refused\nnothing arrived\n", send(kind, code).out)
            assert.matches("^sent\narrived", send(kind, code, "--net", "--backend=bwrap").out)
            local scoped = demilune.host().landlock >= 6 -- Linux 6.12
            assert.matches(scoped and "^refused\nnothing arrived\n$" or "^sent\narrived",
                send(kind, code, "--net", "--backend=native").out)
            local words = { kind, code, sandbox.command, "run", "-q", "--net", "--backend=native" }
            assert.matches("^sent\narrived", probe.host(HOST, words, { prefix = lacking.landlock(2) }).out)
        end)
    end

    it("N3: a socket in a directory is out of reach unless the directory is bound, and then where it is masked", function()
        local code = SEND:format("AF_UNIX", "SOCK_STREAM", "")
        local path = scratch("sock")
        local function try(...)
            os.remove(path)
            return send(path, code, ...).out
        end
        assert.equal("refused\nnothing arrived\n", try())
        assert.equal("refused\nnothing arrived\n", try("--net"))
        assert.equal("refused\nnothing arrived\n", try("--ro", scratch(), "--mask", path))
        assert.matches("^sent\narrived", try("--ro", scratch())) -- read-only is not unreachable: see README
    end)

    for _, kind in ipairs { "udp", "udp6" } do
        it(("N5: what is sent to the host by UDP does not arrive: %s"):format(kind), function()
            local code = SEND:format(kind == "udp" and "AF_INET" or "AF_INET6", "SOCK_DGRAM", "")
            assert.matches("\nnothing arrived\n$", send(kind, code).out)
            assert.equal("sent\narrived b'hello'\n", send(kind, code, "--net").out)
        end)
    end

    it("N5: a listener of the host is out of reach by multipath TCP", function()
        assert.equal("refused\nnothing arrived\n", send("tcp", SEND:format("AF_INET", "SOCK_STREAM", ", 262")).out)
        assert.matches("^sent\narrived", send("tcp", SEND:format("AF_INET", "SOCK_STREAM", ""), "--net").out)
    end)

    it("N5: netlink shows no interface of the host, and changes none", function()
        local code = [[
import os, socket, struct
def request(type, flags, body):
    reply = b""
    try:
        s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        s.send(struct.pack("=IHHII", 16 + len(body), type, flags, 1, 0) + body)
        s.settimeout(0.2)
        while True:
            reply += s.recv(1 << 16)
    except OSError:
        return reply
# RTM_GETLINK for all of them: the name is the attribute IFLA_IFNAME
names, reply = [], request(18, 0x301, struct.pack("=BxHiII", 0, 0, 0, 0, 0))
while len(reply) >= 16:
    length, type = struct.unpack("=IH", reply[:6])
    at = 32
    while type == 16 and at < length:
        size, attribute = struct.unpack("=HH", reply[at:at + 4])
        if attribute == 3:
            names.append(reply[at + 4:at + size - 1].decode())
        at += (size + 3) & ~3
    reply = reply[length:]
print(sorted(names))
# RTM_NEWLINK: lo down
reply = request(16, 5, struct.pack("=BxHiII", 0, 0, 1, 0, 1))
print("changed" if reply and struct.unpack("=i", reply[16:20])[0] == 0 else "refused")
]]
        local inside = probe.python({}, code)
        assert.matches("^%[[lo']*%]\nrefused\n$", inside.out, inside.err)
        local bare = probe.bare((code:gsub("# RTM_NEWLINK.*", "")))
        local names = probe.host("import os; print(sorted(os.listdir('/sys/class/net')))", {}).out
        assert.equal(names, bare.out, bare.err)
    end)
end)
