-- The default filter, as numbers: every call of both machines is put through it here, and compared with the kernel's own
-- lists of names and with what the documentation says of each name.
local core = require "demilune.core"
local syscalls = require "support.syscalls"

local LAST = 469
local AUDIT = { x86_64 = 0xc000003e, aarch64 = 0xc00000b7, i386 = 0x40000003, arm = 0x40000028 }
local ALLOW, EPERM, ENOSYS = 0x7fff0000, 0x00050001, 0x00050026

local function decode(filter)
    local code = {}
    for at = 1, #filter, 8 do
        local op, jt, jf, k = string.unpack("<I2BBI4", filter, at)
        code[#code + 1] = { op = op, jt = jt, jf = jf, k = k }
    end
    return code
end

-- What the filter answers to a call, and how many instructions that took.
local function run(code, audit, number, arguments)
    local data = string.pack("<I4I4I8", number & 0xffffffff, audit, 0)
    for i = 1, 6 do
        data = data .. string.pack("<i8", arguments and arguments[i] or 0)
    end
    local at, a, steps = 1, 0, 0
    while true do
        local one = code[at]
        steps = steps + 1
        at = at + 1
        if one.op == 0x20 then -- load a word
            a = string.unpack("<I4", data, one.k + 1)
        elseif one.op == 0x15 then
            at = at + (a == one.k and one.jt or one.jf)
        elseif one.op == 0x35 then
            at = at + (a >= one.k and one.jt or one.jf)
        elseif one.op == 0x45 then
            at = at + (a & one.k ~= 0 and one.jt or one.jf)
        elseif one.op == 0x06 then
            return one.k, steps
        else
            error(("an instruction that is not expected: %#x"):format(one.op))
        end
    end
end

local function set(text)
    local names = {}
    for name in text:gmatch("%S+") do
        names[name] = true
    end
    return names
end

local by_option = {
    debug = set "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp",
    nested = set [[setns mount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick
        mount_setattr]],
    perf = set "perf_event_open get_mempolicy set_mempolicy set_mempolicy_home_node mbind move_pages migrate_pages",
    keyring = set "add_key request_key keyctl",
}
local refused = set [[bpf userfaultfd fanotify_init name_to_handle_at open_by_handle_at lookup_dcookie syslog acct quotactl
    quotactl_fd swapon swapoff reboot kexec_load kexec_file_load create_module init_module delete_module get_kernel_syms
    query_module finit_module nfsservctl iopl ioperm vhangup uselib vmsplice]]
for _, names in pairs(by_option) do
    for name in pairs(names) do
        refused[name] = true
    end
end
local absent = set "clone3 openat2 io_uring_setup io_uring_enter io_uring_register"

-- Each call whose arguments decide, with arguments that are refused and some that are not.
local UNIX, INET, INET6, NETLINK, PACKET, VSOCK, ALG = 1, 2, 10, 16, 17, 40, 38
local HIGH = 1 << 32
local CREATE, TMPFILE, SETUID, SETGID, STICKY = 64, 1 << 22, 2048, 1024, 512
local NEW = { 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000 }
local deciding = {
    socket = {
        refused = { { NETLINK, 3, 0 }, { PACKET, 3, 0 }, { VSOCK, 1 }, { ALG, 5 }, { VSOCK | HIGH, 1 }, { 0 }, { -1 } },
        allowed = { { UNIX, 1 }, { INET, 2 }, { INET6, 1 }, { INET | HIGH, 1 }, { INET, 1, 262 } },
    },
    socketpair = { refused = { { INET, 1 }, { 30, 1 }, { 30 | HIGH, 1 } }, allowed = { { UNIX, 1 }, { UNIX | HIGH, 2 } } },
    clone = { refused = {}, allowed = { { 17 }, { 0x3d0f00 }, { 0x80 | 0x100 }, { 17 | HIGH } } },
    unshare = { refused = { { 0x80 }, { 0x80 | HIGH } }, allowed = { { 0x200 }, { 0x400 }, { 0 } } },
    ioctl = {
        refused = { { 0, 0x5412 }, { 0, 0x541c }, { 0, 0x5412 | HIGH }, { 0, 0x541c | -1 << 32 } },
        allowed = { { 0, 0x5401 }, { 0, 0x5413 }, { 0x5412, 0 } },
    },
    personality = { refused = { { 0x40000 }, { 8 }, { 0x40000 | HIGH } }, allowed = { { 0 }, { 0xffffffff }, { -1 }, { HIGH } } },
    prlimit64 = { refused = { { 1, 0 }, { 1 | HIGH, 0 } }, allowed = { { 0, 1 }, { 2, 0 }, { HIGH, 1 } } },
    open = {
        refused = { { 0, CREATE, SETUID }, { 0, TMPFILE, SETGID | 493 }, { 0, CREATE | HIGH, SETUID | HIGH } },
        allowed = { { 0, CREATE, 511 }, { 0, 0, SETUID }, { 0, 2, -1 }, { 0, CREATE, STICKY }, { SETUID, CREATE, 0, SETUID } },
    },
    mq_open = { refused = { { 0, CREATE, SETGID } }, allowed = { { 0, CREATE, 384 }, { 0, 0, SETGID } } },
    openat = {
        refused = { { 0, 0, CREATE, SETUID }, { -100, 0, TMPFILE, SETGID }, { -100, 0, CREATE, SETUID | HIGH } },
        allowed = { { -100, 0, CREATE, 511 }, { -100, 0, 0, SETUID }, { CREATE, CREATE, 0, SETUID } },
    },
}
for _, flag in ipairs(NEW) do
    table.insert(deciding.clone.refused, { flag | 17 })
    table.insert(deciding.clone.refused, { flag | 17 | HIGH })
    table.insert(deciding.unshare.refused, { flag })
end
for _, name in ipairs { "chmod", "fchmod", "creat", "mknod" } do
    deciding[name] = {
        refused = { { 0, SETUID }, { 0, SETGID | 511 }, { 0, SETUID | HIGH } },
        allowed = { { 0, 511 }, { 0, STICKY | 511 }, { SETUID, 0, SETUID } },
    }
end
for _, name in ipairs { "fchmodat", "fchmodat2", "mknodat" } do
    deciding[name] = {
        refused = { { -100, 0, SETUID }, { -100, 0, SETGID | 511 }, { 0, 0, SETUID | HIGH } },
        allowed = { { -100, 0, 511 }, { SETUID, SETUID, 0, SETUID } },
    }
end

for _, machine in ipairs { "x86_64", "aarch64" } do
    describe("the default filter of " .. machine, function()
        local numbers = syscalls.numbers(machine)
        local names = {}
        for name, number in pairs(numbers) do
            names[number] = name
        end
        local code = decode(core.seccomp_filter(machine, {}))

        local function answer(name, arguments)
            return (run(code, AUDIT[machine], numbers[name], arguments))
        end

        it("refuses what it should, by the kernel's names, and nothing else", function()
            for number = 0, LAST do
                local name = names[number] or ("number %d"):format(number)
                local expected = absent[name] and ENOSYS or refused[name] and EPERM or ALLOW
                if not deciding[name] then
                    assert.equal(expected, (run(code, AUDIT[machine], number)), name)
                end
            end
        end)

        it("knows every name that it should refuse, where this machine has it", function()
            local missing = {}
            for _, list in ipairs { refused, absent, deciding } do
                for name in pairs(list) do
                    if not numbers[name] then
                        missing[#missing + 1] = name
                    end
                end
            end
            table.sort(missing)
            assert.same(machine == "x86_64" and {} or { "chmod", "creat", "create_module", "get_kernel_syms", "ioperm",
                "iopl", "mknod", "open", "query_module", "uselib" }, missing)
        end)

        it("looks at arguments where they decide, at as many bits as the kernel takes", function()
            for name, cases in pairs(deciding) do
                for _, arguments in ipairs(numbers[name] and cases.refused or {}) do
                    assert.equal(EPERM, answer(name, arguments), name .. " " .. table.concat(arguments, " "))
                end
                for _, arguments in ipairs(numbers[name] and cases.allowed or {}) do
                    assert.equal(ALLOW, answer(name, arguments), name .. " " .. table.concat(arguments, " "))
                end
            end
        end)

        it("has nothing behind the last number that it knows, and nothing of x32", function()
            for _, number in ipairs { LAST + 1, 510, 512, 1000, 0x40000000, 0x40000000 + 39, 0x7fffffff, 0x80000000, -1 } do
                assert.equal(ENOSYS, (run(code, AUDIT[machine], number)), number)
            end
        end)

        it("bears witness of itself by an error that no kernel gives", function()
            assert.equal(0x00050000 | 3511, (run(code, AUDIT[machine], 511)))
        end)

        it("has nothing of another machine's table", function()
            for name, audit in pairs(AUDIT) do
                for _, number in ipairs(name ~= machine and { 0, 1, 20, 39, 56, 101, 172, 400, 0x40000001 } or {}) do
                    assert.equal(ENOSYS, (run(code, audit, number)), name .. " " .. number)
                end
            end
        end)

        for option, list in pairs(by_option) do
            it("lets through what the option says: " .. option, function()
                local relaxed = decode(core.seccomp_filter(machine, { option }))
                for name in pairs(refused) do
                    if numbers[name] then
                        assert.equal(list[name] and ALLOW or EPERM, (run(relaxed, AUDIT[machine], numbers[name])), name)
                    end
                end
            end)
        end

        -- option, call, arguments, what comes of it with the option
        local more = {
            { "io_uring", "io_uring_setup", {}, ALLOW }, { "io_uring", "io_uring_enter", {}, ALLOW },
            { "io_uring", "io_uring_register", {}, ALLOW }, { "nested", "mq_open", { 0, CREATE, SETUID }, EPERM },
            { "debug", "personality", { 0x40000 }, ALLOW }, { "nested", "clone3", {}, ALLOW },
            { "nested", "clone", { 0x10000000 }, ALLOW }, { "nested", "unshare", { 0x10000000 }, ALLOW },
            { "netlink", "socket", { NETLINK, 3, 0 }, ALLOW }, { "nested", "socket", { NETLINK, 3, 0 }, ALLOW },
            { "netlink", "socket", { NETLINK | HIGH, 3, HIGH }, ALLOW }, { "netlink", "socket", { NETLINK, 3, 16 }, EPERM },
            { "netlink", "socket", { VSOCK, 1, 0 }, EPERM }, { "netlink", "socket", { INET6, 1, 6 }, ALLOW },
            { "set_id", "fchmod", { 0, SETUID }, ALLOW }, { "set_id", "openat", { 0, 0, CREATE, SETUID }, ALLOW },
            { "set_id", "openat2", {}, ALLOW }, { "set_id", "socket", { VSOCK, 1, 0 }, EPERM },
            { "nested", "chmod", { 0, SETUID }, EPERM }, { "io_uring", "openat2", {}, ENOSYS },
        }
        it("lets through what an option says of single calls", function()
            for _, case in ipairs(more) do
                local option, name, arguments, expected = table.unpack(case)
                if numbers[name] then
                    local relaxed = decode(core.seccomp_filter(machine, { option }))
                    assert.equal(expected, (run(relaxed, AUDIT[machine], numbers[name], arguments)), option .. " " .. name)
                end
            end
        end)

        it("with every set of options jumps forwards, ends, and stays short", function()
            local options = { "debug", "nested", "perf", "io_uring", "keyring", "netlink", "set_id" }
            for bits = 0, (1 << #options) - 1 do
                local chosen = {}
                for i, option in ipairs(options) do
                    if bits & 1 << (i - 1) ~= 0 then
                        chosen[#chosen + 1] = option
                    end
                end
                local one = decode(core.seccomp_filter(machine, chosen))
                assert.is_true(#one > 20 and #one < 512)
                assert.equal(0x06, one[#one].op)
                for at, instruction in ipairs(one) do
                    if instruction.op & 7 == 5 then -- a jump
                        assert.is_true(at + 1 + math.max(instruction.jt, instruction.jf) <= #one)
                    end
                end
            end
        end)

        it("is a tree: no number takes more than 16 tests, and most take far fewer", function()
            local total = 0
            for number = 0, LAST do
                local _, steps = run(code, AUDIT[machine], number)
                assert.is_true(steps <= 22, names[number])
                total = total + steps
            end
            assert.is_true(total / (LAST + 1) < 11)
        end)
    end)
end

describe("core.seccomp_filter", function()
    it("takes names that it knows and no others", function()
        assert.has_error(function() core.seccomp_filter("sparc", {}) end)
        assert.has_error(function() core.seccomp_filter("x86_64", { "debgu" }) end)
        assert.has_error(function() core.seccomp_filter("x86_64", { true }) end)
    end)
end)
