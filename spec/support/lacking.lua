-- Shell words in front of a command that take something of the host away from it: system calls, mounts.
local cjson = require("cjson").new()
local sandbox = require "support.sandbox"
local syscalls = require "support.syscalls"

local lacking = {}

-- Installs a filter that answers the calls of sys.argv[1] with an error, and becomes the command behind it.
local FILTER = [[
import ctypes, json, os, struct, sys
LOAD, EQUAL, SET, RETURN = 0x20, 0x15, 0x45, 0x06
code = []
def put(op, k, yes=0, no=0):
    code.append(struct.pack("=HBBI", op, yes, no, k))
for rule in json.loads(sys.argv[1]):
    looked_into = "argument" in rule
    put(LOAD, 0)
    put(EQUAL, rule["number"], 0, 3 if looked_into else 1)
    if looked_into:
        put(LOAD, 16 + 8 * rule["argument"])
        put(SET if "bits" in rule else EQUAL, rule.get("bits", rule.get("value")), 0, 1)
    put(RETURN, 0x50000 | rule["errno"])
put(RETURN, 0x7fff0000)
libc = ctypes.CDLL(None, use_errno=True)
text = ctypes.create_string_buffer(b"".join(code))
program = struct.pack("@HP", len(code), ctypes.addressof(text))
if os.geteuid() != 0:
    libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0) != 0:
    sys.exit("no filter: errno %d" % ctypes.get_errno())
os.execvp(sys.argv[2], sys.argv[2:])
]]

--- Without a system call: each gives `errno`, with `argument` (from 0) only where that has any of `bits`, or is `value`.
---@param call { [1]: string, errno: integer, argument: integer?, bits: integer?, value: integer? }
function lacking.call(call)
    local rule = { number = syscalls.numbers(syscalls.machine)[call[1]], errno = call.errno,
        argument = call.argument, bits = call.bits, value = call.value }
    return ("/usr/bin/python3 -c %s %s"):format(sandbox.quote(FILTER), sandbox.quote(cjson.encode { rule }))
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
