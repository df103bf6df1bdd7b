-- Shell words in front of a command that take something of the host away from it: system calls, mounts.
local cjson = require("cjson").new()
local sandbox = require "support.sandbox"
local syscalls = require "support.syscalls"

local lacking = {}

-- Python that sets a filter of rules, each with what to do with a call (`answer`), by seccomp(2) with `flags`.
local FILTER = [[
import ctypes, json, os, struct, sys
LOAD, EQUAL, SET, RETURN = 0x20, 0x15, 0x45, 0x06
def set_filter(rules, seccomp, flags):
    code = []
    def put(op, k, yes=0, no=0):
        code.append(struct.pack("=HBBI", op, yes, no, k))
    for rule in rules:
        looked_into = "argument" in rule
        put(LOAD, 0)
        put(EQUAL, rule["number"], 0, 3 if looked_into else 1)
        if looked_into:
            put(LOAD, 16 + 8 * rule["argument"])
            put(SET if "bits" in rule else EQUAL, rule.get("bits", rule.get("value")), 0, 1)
        put(RETURN, rule["answer"])
    put(RETURN, 0x7fff0000)
    libc = ctypes.CDLL(None, use_errno=True)
    text = ctypes.create_string_buffer(b"".join(code))
    program = struct.pack("@HP", len(code), ctypes.addressof(text))
    if os.geteuid() != 0:
        libc.prctl(38, 1, 0, 0, 0)
    done = libc.syscall(seccomp, 1, flags, ctypes.create_string_buffer(program))
    if done < 0:
        sys.exit("no filter: errno %d" % ctypes.get_errno())
    return done
rules, seccomp = json.loads(sys.argv[1]), int(sys.argv[2])
]]

-- Becomes the command of sys.argv[3] with the filter.
local BECOME = FILTER .. [[
set_filter(rules, seccomp, 0)
os.execvp(sys.argv[3], sys.argv[3:])
]]

-- Answers the calls of the filter that ask for it with sys.argv[3], as long as the command of sys.argv[4] runs.
local ANSWER = FILTER .. [[
import fcntl, select, socket
NEW_LISTENER, RECEIVE, SEND = 8, 0xc0502100, 0xc0182101
ours, theirs = socket.socketpair()
child = os.fork()
if child == 0:
    listener = set_filter(rules, seccomp, NEW_LISTENER)
    socket.send_fds(theirs, [b"x"], [listener])
    os.close(listener)
    os.execvp(sys.argv[4], sys.argv[4:])
theirs.close()
listener, ended = (socket.recv_fds(ours, 1, 1)[1] or [-1])[0], os.pidfd_open(child)
poll = select.poll()
for fd in {listener, ended} - {-1}:
    poll.register(fd, select.POLLIN)
while ended not in dict(poll.poll()):
    question = bytearray(80)
    try:
        fcntl.ioctl(listener, RECEIVE, question)
        fcntl.ioctl(listener, SEND, question[:8] + struct.pack("=qiI", int(sys.argv[3]), 0, 0))
    except FileNotFoundError: # who asked is gone
        pass
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(code if code >= 0 else 128 - code)
]]

local numbers = syscalls.numbers(syscalls.machine)

local function filtered(program, rule, answer)
    return ("/usr/bin/python3 -c %s %s %d %s"):format(sandbox.quote(program), sandbox.quote(cjson.encode { rule }),
        numbers.seccomp, answer or "")
end

--- Without a system call: each gives `errno`, with `argument` (from 0) only where that has any of `bits`, or is `value`.
--- Those that this machine's headers are too old for go by number.
---@param call { [1]: string|integer, errno: integer, argument: integer?, bits: integer?, value: integer? }
function lacking.call(call)
    return filtered(BECOME, { number = numbers[call[1]] or assert(math.tointeger(call[1])), answer = 0x50000 | call.errno,
        argument = call.argument, bits = call.bits, value = call.value })
end

--- With the Landlock of an older kernel, as far as one can ask for its ABI.
---@param abi integer
function lacking.landlock(abi)
    return filtered(ANSWER, { number = numbers.landlock_create_ruleset, answer = 0x7fc00000, argument = 2, value = 1 }, abi)
end

--- In mounts of its own, which a shell line changes; an ordinary user becomes root of a user namespace for it.
function lacking.mounts(line)
    return ("unshare %s --mount --pid --fork sh -c %s sh"):format(sandbox.is_root and "" or "--user --map-root-user",
        sandbox.quote(line .. ' && exec "$@"'))
end

--- The same with the processes of outside, for what launches: /proc is still theirs.
function lacking.mounts_alone(line)
    return ("unshare %s --mount sh -c %s sh"):format(sandbox.is_root and "" or "--user --map-root-user",
        sandbox.quote(line .. ' && exec "$@"'))
end

return lacking
