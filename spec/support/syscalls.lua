-- For specs that make system calls by number: the kernel's names, and a probe that makes them for real.
local cjson = require("cjson").new()
local core = require "demilune.core"
local probe = require "support.probe"

local syscalls = {}

-- As they lie on a build host of either machine; calls younger than these headers have the same number on both.
local headers = {
    x86_64 = { "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h" },
    aarch64 = { "/usr/include/asm-generic/unistd.h" },
}
local younger = { fchmodat2 = 452, open_tree_attr = 467 }

--- The machine that we are on.
syscalls.machine = core.facts().machine

--- The numbers of a machine's system calls by name.
function syscalls.numbers(machine)
    local numbers = {}
    for name, number in pairs(younger) do
        numbers[name] = number
    end
    for _, path in ipairs(headers[machine]) do
        local file = io.open(path)
        for line in file and file:lines() or function() end do
            local name, number = line:match("^#define __NR_([%w_]+)%s+(%d+)")
            if not name then
                name, number = line:match("^#define __NR3264_([%w_]+)%s+(%d+)")
            end
            if name then
                numbers[name] = math.tointeger(number)
            end
        end
        if file then
            file:close()
            return numbers
        end
    end
    error("no header of the kernel for " .. machine)
end

-- Makes each call in a process of its own and prints what came of it: 0, or the name of the error.
local PROGRAM = [[
import ctypes, errno, json, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def by_name(number, words):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(word) for word in words])
    return -ctypes.get_errno() if result == -1 else result

# rax = edi through int 0x80, with ebx = esi; the result comes as 32 bits
INT80 = bytes.fromhex("53 89f8 89f3 31c9 31d2 31f6 31ff cd80 5b c3")

def by_int80(number, words):
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(INT80)
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(address)(number, words[0] if words else 0)

def attempt(case):
    words = []
    for word in case["arguments"]:
        if word == "pid":
            word = os.getpid()
        elif isinstance(word, str):
            keep.append(ctypes.create_string_buffer(word.encode()))
            word = ctypes.addressof(keep[-1])
        words.append(int(word))
    result = (by_int80 if case["way"] == "int80" else by_name)(case["number"], words)
    return "0" if result >= 0 else errno.errorcode.get(-result, str(result))

answers = []
keep = []
for case in json.load(sys.stdin):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        mine = os.getpid()
        answer = attempt(case)
        if os.getpid() == mine:
            os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    answers.append(os.read(reader, 100).decode() or "ended")
    os.close(reader)
    os.waitpid(child, 0)
print(json.dumps(answers))
]]

--- Makes calls inside a sandbox. `options` are those of `demilune run`; a case is { number, arguments, way = "int80" },
--- an argument a number, a string (a pointer to it) or "pid" (the caller's own). Returns a list of what came of them:
--- "0", or the name of an error.
function syscalls.make(options, cases)
    local list = {}
    for i, case in ipairs(cases) do
        local arguments = setmetatable({}, cjson.array_mt)
        for k, argument in ipairs(case[2]) do
            -- as text where a float of JSON would lose bits
            arguments[k] = math.type(argument) == "integer" and { number = ("%d"):format(argument) } or argument
        end
        list[i] = { number = case[1], arguments = arguments, way = case.way or "name" }
    end
    local text = cjson.encode(list):gsub('"arguments":{}', '"arguments":[]'):gsub('{"number":"(%-?%d+)"}', "%1")
    local result = probe.python(options, PROGRAM, { input = text })
    assert(result.code == 0, result.err)
    return cjson.decode(result.out)
end

return syscalls
