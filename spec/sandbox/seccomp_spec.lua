-- The default filter at work: every call that it refuses is made for real, inside, with the filter and without it.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local probes = require "support.probe"
local sandbox = require "support.sandbox"
local syscalls = require "support.syscalls"

local HIGH = 1 << 32
local numbers = syscalls.numbers(syscalls.machine)
local on_x86 = syscalls.machine == "x86_64"

-- Calls by row: name, arguments. They are such that without a filter the kernel answers something else than it does with
-- it (a bad argument, or success), but for those in `privileged`, which it refuses to everybody without capabilities.
local rows = {
    { "S1: looking into other processes", "debug",
        { "ptrace", { 0, 0, 0, 0 } }, { "process_vm_readv", { "pid", 0, 0, 0, 0, 0 } },
        { "process_vm_writev", { "pid", 0, 0, 0, 0, 0 } }, { "process_madvise", { -1, 0, 0, 0, 0 } },
        { "pidfd_getfd", { -1, 0, 0 } }, { "kcmp", { "pid", "pid", 0, 0, 0 } } },
    { "S2: io_uring", "io_uring",
        { "io_uring_setup", { 0, 0 } }, { "io_uring_enter", { -1, 0, 0, 0, 0 } },
        { "io_uring_register", { -1, 99, 0, 0 } } },
    { "S3: the kernel's keyrings", "keyring",
        { "add_key", { 1, 0, 0, 0, -3 } }, { "request_key", { 1, 0, 0, 0 } }, { "keyctl", { 99, 0, 0 } },
        { "keyctl", { 1, 0, 0 } } },
    { "S4: bpf, userfaultfd and fanotify", nil,
        { "bpf", { 0, 1, 1 << 20 } }, { "userfaultfd", { 1 } }, { "fanotify_init", { 0x200, 0 } } },
    { "S5: file handles", nil,
        { "name_to_handle_at", { -1, 1, 1, 1, 0x40000000 } }, { "open_by_handle_at", { -1, 1, 0 } },
        { "lookup_dcookie", { 0, 0, 0 } } },
    { "S6: new namespaces", "nested",
        { "unshare", { 0x10000000 } }, { "unshare", { 0x10000000 | HIGH } }, { "setns", { -1, 0 } },
        { "clone", { 0x10000000 | 17, 0, 0, 0, 0 } }, { "clone", { 0x10000000 | 17 | HIGH, 0, 0, 0, 0 } } },
    { "S7: clone3, whose flags no filter can see", "nested", { "clone3", { 0, 0 } } },
    { "S8: mounts, by the old calls and by the new", "nested",
        { "mount", { 1, 1, 1, 0, 0 } }, { "umount2", { 1, 0x1000 } }, { "pivot_root", { 1, 1 } }, { "chroot", { 1 } },
        { "open_tree", { -1, 1, 2 } }, { "move_mount", { -1, 1, -1, 1, 0 } }, { "fsopen", { 1, 0 } },
        { "fsconfig", { -1, 99, 0, 0, 0 } }, { "fsmount", { -1, 0, 0 } }, { "fspick", { -1, 1, 0 } },
        { "mount_setattr", { -1, 1, 0x7fffffff, 0, 0 } }, { "open_tree_attr", { -1, 1, 0, 0, 1 } } },
    { "S9: what only administrators do", nil,
        { "acct", { 0 } }, { "swapon", { 1, 0 } }, { "swapoff", { 1 } }, { "reboot", { 0, 0, 0, 0 } },
        { "kexec_load", { 0, 0, 0, 0 } }, { "init_module", { 0, 0, 0 } }, { "finit_module", { -1, 0, 0 } },
        { "delete_module", { 1, 0 } }, { "quotactl", { 0x7fffff00, 0, 0, 0 } }, { "quotactl_fd", { -1, 0, 0, 0 } },
        { "vhangup", {} }, { "syslog", { 99, 0, 0 } }, { "nfsservctl", { 0, 0, 0 } },
        { "iopl", { 9 } }, { "ioperm", { 0x100000, 1, 1 } }, { "vmsplice", { -1, 0, 0, 0 } } },
    { "S10: another personality", "debug", { "personality", { 0x40000 } }, { "personality", { 0x40000 | HIGH } } },
    { "S11: performance counters and NUMA placement", "perf",
        { "perf_event_open", { 1, 0, -1, -1, 0xffff } }, { "get_mempolicy", { 0, 0, 0, 0, 0xffff } },
        { "set_mempolicy", { 999, 0, 0 } }, { "mbind", { 1, 0, 999, 0, 0, 0 } },
        { "move_pages", { 0, 0, 0, 0, 0, 0xffff } }, { "migrate_pages", { -1, 0, 0, 0 } },
        { "set_mempolicy_home_node", { 1, 0, 0, 99 } } },
    { "S12: socket families that nobody asked for", nil,
        { "socket", { 40, 1, 0 } }, { "socket", { 40 | HIGH, 1, 0 } }, { "socket", { 38, 5, 0 } }, { "socket", { 17, 3, 0 } },
        { "socket", { 16, 3, 16 } }, { "socket", { 16 | HIGH, 3, 16 } }, { "socket", { 9, 5, 0 } } },
    { "S13: pairs of sockets of another family", nil,
        { "socketpair", { 30, 1, 0, 0 } }, { "socketpair", { 30 | HIGH, 1, 0, 0 } } },
    { "S14: typing into the terminal", nil,
        { "ioctl", { -1, 0x5412, 0 } }, { "ioctl", { -1, 0x5412 | HIGH, 0 } }, { "ioctl", { -1, 0x541c, 0 } },
        { "ioctl", { -1, 0x541c | HIGH, 0 } } },
    { "S15: set-id modes", "set_id",
        { "chmod", { "/tmp", 1535 + 512 } }, { "fchmod", { -1, 2048 } }, { "fchmodat", { -100, "/tmp", 1024 } },
        { "fchmodat2", { -100, "/tmp", 2048 | HIGH, 0 } }, { "creat", { "/tmp/a", 2541 } },
        { "open", { "/tmp/b", 65, 2541 } }, { "open", { "/tmp", 1 << 22 | 65536 | 1, 2541 } },
        { "openat", { -100, "/tmp/c", 65, 2541 } }, { "openat", { -100, "/tmp/c", 65 | HIGH, 2541 | HIGH } },
        { "mknod", { "/tmp/f", 32768 | 2541, 0 } }, { "mknodat", { -100, "/tmp/g", 32768 | 2541, 0 } },
        { "openat2", { -100, 1, 0, 0 } } },
}
local absent = { clone3 = true, openat2 = true, io_uring_setup = true, io_uring_enter = true, io_uring_register = true }
local privileged = {
    acct = true, swapon = true, swapoff = true, reboot = true, kexec_load = true, init_module = true, finit_module = true,
    delete_module = true, vhangup = true, pivot_root = true, move_mount = true, fsopen = true, fsmount = true,
    fspick = true, umount2 = true, syslog = true, open_by_handle_at = true, -- that to Linux 6.10
}
local no_bpf = io.open("/proc/sys/kernel/unprivileged_bpf_disabled")
privileged.bpf = no_bpf ~= nil and no_bpf:read("n") ~= 0 -- as Debian has it

local function here(row)
    local cases = {}
    for i = 3, #row do
        if numbers[row[i][1]] then
            cases[#cases + 1] = row[i]
        end
    end
    return cases
end

local function make(options, cases, way)
    local calls = {}
    for i, case in ipairs(cases) do
        local number = numbers[case[1]]
        calls[i] = { way == "x32" and number | 0x40000000 or number, case[2] }
    end
    return syscalls.make(options, calls)
end

describe("the default filter", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    for _, row in ipairs(rows) do
        it(("%s, refused with the filter and not without"):format(row[1]), function()
            local cases = here(row)
            local with, without = make({}, cases), make({ "--seccomp", "off" }, cases)
            local can_tell = false
            for i, case in ipairs(cases) do
                local name = case[1]
                local expected = absent[name] and "ENOSYS" or "EPERM"
                assert.equal(expected, with[i], name)
                if not privileged[name] and (name ~= "socket" or case[2][1] ~= 17) then
                    assert.not_equal(expected, without[i], name)
                end
                can_tell = can_tell or without[i] ~= expected
            end
            assert.is_true(can_tell)
        end)

        if on_x86 then
            it(("%s, not by the numbers of x32 either"):format(row[1]), function()
                local cases = here(row)
                for i, answer in ipairs(make({}, cases, "x32")) do
                    assert.equal("ENOSYS", answer, cases[i][1])
                end
            end)
        end

        if row[2] then
            it(("%s, let through by its option"):format(row[1]), function()
                local cases = here(row)
                local option, without = make({ "--seccomp", row[2] }, cases), make({ "--seccomp", "off" }, cases)
                assert.same(without, option)
            end)
        end
    end

    it("S16: a number that it does not know is no call", function()
        assert.same({ "ENOSYS", "ENOSYS" }, syscalls.make({}, { { 500, {} }, { 5000, {} } }))
    end)

    it("S16: the 32-bit table is closed, which is open without the filter", function()
        if not on_x86 then -- it has no such gate
            return
        end
        -- getpid; ptrace, mount, socketcall, unshare by their numbers there
        local calls = {}
        for i, number in ipairs { 20, 26, 21, 102, 310 } do
            calls[i] = { number, { 0 }, way = "int80" }
        end
        assert.same({ "ENOSYS", "ENOSYS", "ENOSYS", "ENOSYS", "ENOSYS" }, syscalls.make({}, calls))
        assert.equal("0", syscalls.make({ "--seccomp", "off" }, calls)[1])
    end)

    it("S12: the families that programs use work", function()
        local calls = { { numbers.socket, { 1, 1, 0 } }, { numbers.socket, { 2, 2, 0 } }, { numbers.socket, { 10, 1, 0 } },
            { numbers.socket, { 2 | HIGH, 1, 0 } } }
        assert.same({ "0", "0", "0", "0" }, syscalls.make({}, calls))
    end)

    it("S12: route sockets are let through by the option netlink, other netlink is not", function()
        local calls = { { numbers.socket, { 16, 3, 0 } }, { numbers.socket, { 16, 3, 16 } } }
        assert.same({ "EPERM", "EPERM" }, syscalls.make({}, calls))
        assert.same({ "0", "EPERM" }, syscalls.make({ "--seccomp", "netlink" }, calls))
    end)

    it("nested = true takes what a sandbox inside needs out of the filter", function()
        assert.equal("made", probes.python({ "--nested" }, [[
import ctypes, os
print("made" if ctypes.CDLL(None).unshare(0x10000000) == 0 else "refused", end="")]]).out)
    end)

    it("F15: a command leaves no set-id file in a writable bind, and does without the filter", function()
        local function leave(options, name)
            os.execute("mkdir -p " .. scratch(name) .. " && chmod 777 " .. scratch(name))
            local words = { "--rw", scratch(name) .. ":/out" }
            table.move(options, 1, #options, 3, words)
            sandbox.script(words, [[
cd /out && cp /bin/true a && chmod 4755 a; cp /bin/true b && chmod g+s b; install -m 6755 /bin/true c; mkdir -m 6777 d
python3 -c 'import os; os.close(os.open("e", os.O_CREAT | os.O_WRONLY, 0o4755)); os.mknod("f", 0o104755)']])
            return sandbox.sh(("find %s -perm /6000 -printf '%%f '"):format(scratch(name))).out
        end
        assert.equal("", leave({}, "with"))
        assert.matches("a", leave({ "--seccomp", "off" }, "without"))
    end)

    it("F15: nobody makes a device node in a writable bind", function()
        local result = sandbox.script({ "--rw", scratch() .. ":/out" }, "mknod /out/null c 1 3; ls /out")
        assert.equal("", result.out)
        assert.matches("Operation not permitted", result.err)
    end)

    it("is named in explain with what it lets through, and in the result", function()
        local text = sandbox.demilune({ "explain", "--seccomp", "debug,perf" }).out
        assert.matches("seccomp    the default filter, which lets through: debug perf", text)
        assert.matches("seccomp    off", sandbox.demilune({ "explain", "--seccomp", "off" }).out)
        local status = probes.status(scratch("status"), { "--", "true" })
        assert.is_true((" " .. table.concat(status.applied, " ") .. " "):find(" seccomp ", 1, true) ~= nil)
        assert.same({}, status.skipped)
    end)

    it("changes the digest with its options", function()
        local seen = {}
        for _, seccomp in ipairs { "default", "off", { allow = { "debug" } }, { allow = { "perf" } } } do
            local digest = assert(assert(demilune.policy { seccomp = seccomp }):plan()):digest()
            assert.is_nil(seen[digest])
            seen[digest] = true
        end
    end)

    it("of which the kernel takes no copy is a failure that says so, and nothing runs", function()
        -- What a container without seccomp would answer: every filter from here on is an invalid argument.
        local code = [[
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
def put(code, k, jt=0, jf=0): return struct.pack("<HBBI", code, jt, jf, k)
prctl, seccomp = (157, 317) if os.uname().machine == "x86_64" else (167, 277)
program = put(0x20, 0) + put(0x15, seccomp, 4, 0) + put(0x15, prctl, 0, 2) + put(0x20, 16) + put(0x15, 22, 1, 0) \
    + put(0x06, 0x7fff0000) + put(0x06, 0x00050016)
buffer = ctypes.create_string_buffer(program)
fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)))
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, fprog) == 0
os.execv(sys.argv[1], sys.argv[1:])
]]
        local marker = scratch("ran")
        local words = { sandbox.command, "run", "--rw", scratch() .. ":/out", "--", "touch", "/out/ran" }
        local result = probes.host(code, words)
        assert.equal(125, result.code, result.err)
        assert.matches("seccomp", result.err:lower())
        assert.is_false(sandbox.exists(marker))
        table.insert(words, 3, "--seccomp=off")
        assert.equal(0, probes.host(code, words).code)
        assert.is_true(sandbox.exists(marker))
    end)

    describe("is not noticed by", function()
        local function works(name, script, pattern, options)
            it(name, function()
                local result = sandbox.script(options or {}, script)
                assert.equal(0, result.code, result.err)
                assert.matches(pattern, result.out)
                assert.equal("", result.err)
            end)
        end

        works("python, with threads, processes, sockets and a file", [[python3 -c '
import asyncio, concurrent.futures, multiprocessing, os, shutil, socket, subprocess, tempfile, threading
thread = threading.Thread(target=print, args=("thread",)); thread.start(); thread.join()
print(subprocess.run(["echo", "process"], capture_output=True, text=True).stdout)
with multiprocessing.Pool(2) as pool: print(sum(pool.map(abs, range(5))))
server = socket.create_server(("127.0.0.1", 0)); client = socket.create_connection(server.getsockname())
print(socket.getaddrinfo("localhost", 80)[0][4][0])
with tempfile.TemporaryDirectory() as path: shutil.copytree("/usr/share/perl5", path + "/copy", dirs_exist_ok=True)
asyncio.run(asyncio.sleep(0)); print("fine")']], "fine")
        works("perl", [[perl -MPOSIX -MSocket -MFile::Copy -e '
            socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0) or die; my $pid = fork // die; exit 0 unless $pid;
            waitpid $pid, 0; copy("/etc/passwd", "/tmp/copy") or die; chmod 0600, "/tmp/copy" or die; print "fine"']], "fine")
        works("node, with threads, processes and a server", [[node -e '
            const { Worker } = require("worker_threads"), http = require("http"), { execSync } = require("child_process");
            new Worker("require(`worker_threads`).parentPort.postMessage(1)", { eval: true }).on("message", () => {
                const server = http.createServer((q, r) => r.end("fine")).listen(0, "127.0.0.1", () =>
                    http.get({ port: server.address().port, host: "127.0.0.1" }, r => r.on("data", d => {
                        console.log(execSync("echo process") + d); server.close(); })));
            });']], "fine")
        works("gcc, make and what they build", [[
            printf '#include <stdio.h>\n#include <pthread.h>\nvoid *f(void *p){return p;}int main(void)' >a.c
            printf '{pthread_t t;pthread_create(&t,0,f,0);pthread_join(t,0);puts("fine");}\n' >>a.c
            printf 'a: a.c\n\tgcc -O1 -pthread -o $@ $<\n' >Makefile; make -s -j2 && ./a]], "fine")
        works("git", [[
            git init -q . && git config user.email a@b && git config user.name c && echo x >f && git add f &&
            git commit -qm one && git clone -q . /tmp/clone && git -C /tmp/clone log --format=%s && git gc -q && echo fine]],
            "one\nfine")
        it("copies of trees that have a set-group-id directory", function()
            assert(os.execute(("mkdir -p %s/sub && chmod 2755 %s/sub && touch %s/sub/f"):format(scratch(), scratch(), scratch())))
            local result = sandbox.script({ "--ro", scratch() .. ":/in" },
                "cp -r /in/sub copy && ls copy && python3 -c 'import os; os.mkdir(\"m\", 0o6755)' && ls -d m")
            assert.equal("f\nm\n", result.out, result.err)
        end)

        it("git in the repository of a group, with set_id", function()
            local script = "git init -q --shared=group r && cd r && echo a >a && git add a && echo fine"
            assert.not_equal(0, sandbox.script({}, script).code)
            assert.equal("fine\n", sandbox.script({ "--seccomp=set_id" }, script).out)
        end)

        works("tar, cp and sed in place", [[
            mkdir a && echo b >a/b && tar cf c.tar a && mkdir d && tar xpf c.tar -C d && cp -a d e && sed -i s/b/fine/ e/a/b &&
            cat e/a/b && chmod 1777 d && mktemp -d >/dev/null && mkfifo p]], "fine")
    end)
end)

describe("a policy that names the filter", function()
    leaks.watch(before_each, after_each)

    it("is refused an option that there is not, with the nearest name", function()
        local result = sandbox.demilune { "run", "--seccomp", "debgu", "--", "true" }
        assert.equal(125, result.code)
        assert.matches('%-%-seccomp: "debgu" is no option; did you mean "debug"?', result.err)
    end)

    it("runs with options from Lua", function()
        local policy = assert(demilune.policy { seccomp = { allow = { "debug", "keyring" } } })
        assert.same({ "debug", "keyring" }, core.describe(assert(policy:plan()).core).seccomp_allow)
        assert.is_true(assert(policy:run { "true" }).ok)
    end)
end)
