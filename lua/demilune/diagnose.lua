--- Why a backend does not work here, and what would make it: from what the kernel said and what the host shows.
local core = require "demilune.core"
local host = require "demilune.host"

local diagnose = {}

local ENOSYS, EPERM, EACCES, EINVAL, ENOSPC, EROFS, EUSERS = 38, 1, 13, 22, 28, 30, 87

local function first_line(path)
    return ((core.read_file(path, 64 * 1024) or ""):match("^[^\n]*"))
end

-- Mounts of the host, as this process sees them: path -> options, and those of its file system.
local function mounts()
    local found = {}
    for line in (core.read_file("/proc/self/mountinfo", 16 * 1024 * 1024) or ""):gmatch("[^\n]+") do
        local path, options = line:match("^%S+ %S+ %S+ %S+ (%S+) (%S+)")
        if path then
            found[path] = options .. " " .. (line:match(" %- %S+ %S+ (%S+)") or "")
        end
    end
    return found
end

-- The limits of namespaces that allow none at all, here.
local function limits_at_zero()
    local names = {}
    for _, kind in ipairs { "user", "mnt", "pid", "ipc", "uts", "net", "cgroup" } do
        names[#names + 1] = first_line(("/proc/sys/user/max_%s_namespaces"):format(kind)) == "0"
            and ("user.max_%s_namespaces"):format(kind) or nil
    end
    return names
end

-- Whether the user namespace that we are in knows who we are.
local function is_mapped()
    local uid = core.facts().uid
    for first, count in (core.read_file("/proc/self/uid_map", 1024 * 1024) or ""):gmatch("(%d+) +%d+ +(%d+)") do
        if uid >= tonumber(first) and uid < tonumber(first) + tonumber(count) then
            return true
        end
    end
    return false
end

-- What is mounted over a part of /proc; an automount point that is empty hides nothing.
local function proc_covers(mounted)
    local covers = {}
    for path in pairs(mounted) do
        if path:find("^/proc/") and path ~= "/proc/sys/fs/binfmt_misc" then
            covers[#covers + 1] = path
        end
    end
    table.sort(covers)
    return covers
end

local function in_container()
    return core.file_type("/.dockerenv") ~= nil or core.file_type("/run/.containerenv") ~= nil
        or core.file_type("/run/systemd/container") ~= nil or os.getenv("container") ~= nil
end

local function is_filtered()
    return (core.read_file("/proc/self/status", 64 * 1024) or ""):find("\nSeccomp:\t2") ~= nil
end

local function facts()
    local mounted, at_zero = mounts(), limits_at_zero()
    return {
        covers = proc_covers(mounted),
        proc_is_read_only = (" " .. (mounted["/proc"] or "")):find("[ ,]ro%f[ ,\0]") ~= nil,
        in_chroot = next(mounted) ~= nil and not mounted["/"],
        at_zero = at_zero,
        namespaces_off = at_zero[1] == "user.max_user_namespaces",
        mapped = is_mapped(),
        debian_off = first_line("/proc/sys/kernel/unprivileged_userns_clone") == "0" and core.facts().uid ~= 0,
        apparmor = first_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1",
        filtered = is_filtered(),
        container = in_container(),
        kernel = core.facts().kernel or "",
        undumpable = not core.is_dumpable(),
    }
end

local function older_than(kernel, major, minor)
    local a, b = kernel:match("^(%d+)%.(%d+)")
    a, b = tonumber(a) or major, tonumber(b) or minor
    return a < major or a == major and b < minor
end

-- What bwrap says, as a step of ours and an errno.
local said_by_bwrap = {
    { "nsufficient privileges.*proc", "proc", EPERM }, { "an't mount proc", "proc", EPERM },
    { "ermission.*namespace", "namespaces", EPERM }, { "reating new namespace.*space", "namespaces", ENOSPC },
    { "amespace.*nvalid argument", "namespaces", EINVAL }, { "reating new namespace", "namespaces", EPERM },
    { "uid map.*ead%-only", "id_map", EROFS }, { "uid map", "id_map", EPERM },
    { "unshare.*space", "namespaces", ENOSPC }, { "unshare user ns", "namespaces", EPERM },
    { "oopback", "loopback", EPERM },
}

local function of_bwrap(failure)
    for _, known in ipairs(said_by_bwrap) do
        if failure.text:find(known[1]) then
            return { step = known[2], errno = known[3], text = failure.text }
        end
    end
    return failure
end

local function is_refusal(failure)
    return failure.errno == EPERM or failure.errno == EACCES
end

local container_remedy = "use the container's own isolation, or start it so that it may make namespaces " ..
    "(docker: --security-opt seccomp=unconfined --security-opt systempaths=unconfined)"

-- The first that fits is the reason. Each: whether it fits, the reason, the remedy.
local reasons = {
    {
        function(f, failure) return failure.step == "namespaces" and f.namespaces_off end,
        "user namespaces are off: user.max_user_namespaces is 0",
        "as root: sysctl -w user.max_user_namespaces=15000 (and a file in /etc/sysctl.d to keep it)",
    },
    {
        function(f, failure) return failure.step == "namespaces" and f.debian_off end,
        "user namespaces are kept from ordinary users: kernel.unprivileged_userns_clone is 0",
        "as root: sysctl -w kernel.unprivileged_userns_clone=1",
    },
    {
        function(f, failure) return failure.step == "namespaces" and failure.errno == ENOSPC and #f.at_zero > 0 end,
        function(f) return ("no namespaces of a kind are allowed: %s is 0"):format(table.concat(f.at_zero, ", ")) end,
        function(f) return ("as root: sysctl -w %s=15000"):format(f.at_zero[1]) end,
    },
    {
        function(_, failure)
            return failure.step == "namespaces" and (failure.errno == ENOSPC or failure.errno == EUSERS)
        end,
        "the limit of namespaces is used up, here or in a namespace around this one, or they are nested too deep",
        "end some sandboxes, or as root raise user.max_user_namespaces and its like; or start it further out",
    },
    {
        function(_, failure) return failure.step == "namespaces" and failure.errno == EINVAL end,
        "this kernel was built without user namespaces", "use a kernel with CONFIG_USER_NS=y",
    },
    {
        function(f, failure) return failure.step == "namespaces" and is_refusal(failure) and not f.mapped end,
        "the user namespace that we are in has no place for our own user id",
        "start it as a user who is mapped there (unshare -Ur maps the caller)",
    },
    {
        function(f, failure) return failure.step == "namespaces" and is_refusal(failure) and f.in_chroot end,
        "we are in a chroot, where the kernel gives no user namespaces", "enter the directory by pivot_root instead",
    },
    {
        function(f, failure) return failure.step == "id_map" and is_refusal(failure) and f.undumpable end,
        "this program is not dumpable, so that its /proc/self is root's and no ids can be mapped there: it is " ..
            "set-id, has file capabilities, cannot be read by its user, or has called prctl(PR_SET_DUMPABLE, 0)",
        "use bwrap, or a program without that; or have it call prctl(PR_SET_DUMPABLE, 1) before it launches",
    },
    {
        function(f, failure) return f.apparmor and is_refusal(failure) and failure.step ~= "proc" end,
        "AppArmor keeps user namespaces from programs without a profile (Ubuntu 23.10 and later)",
        "use bwrap, which has one; or give this program a profile with the rule userns; or as root: " ..
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    },
    {
        function(f, failure)
            return failure.step == "namespaces" and is_refusal(failure) and (f.filtered or f.container)
        end,
        function(f)
            return f.filtered and "a filter of system calls refuses namespaces, as inside a container"
                or "namespaces are refused, as they are inside a container, or in a chroot"
        end,
        container_remedy,
    },
    {
        function(f, failure) return failure.step == "id_map" and f.proc_is_read_only end,
        "/proc is mounted read-only here, as inside a container", container_remedy,
    },
    {
        function(f, failure) return failure.step == "proc" and (#f.covers > 0 or f.proc_is_read_only) end,
        function(f)
            return ("a part of /proc is covered here, as inside a container, and the kernel gives no new one then: %s")
                :format(#f.covers > 0 and table.concat(f.covers, " ", 1, math.min(#f.covers, 4)) or "it is read-only")
        end,
        container_remedy,
    },
    {
        function(f, failure) return failure.errno == ENOSYS and older_than(f.kernel, 5, 13) end,
        function(f) return ("this kernel is too old: %s, and Linux 5.13 is needed"):format(f.kernel) end,
        "use bwrap, or a newer kernel",
    },
    {
        function(_, failure) return failure.errno == ENOSYS end,
        function(f)
            return ("a system call is missing that Linux has since 5.13, and this is %s: a filter hides it, as " ..
                "inside a container"):format(f.kernel)
        end,
        "use bwrap, or a container whose filter is newer",
    },
}

---@class demilune.Diagnosis
---@field reason string
---@field remedy? string
---@field message? string what the backend said

--- What is behind the failure of a try.
---@param backend "bwrap"|"native"
---@param failure demilune.Tryout
---@return demilune.Diagnosis
function diagnose.failure(backend, failure)
    local found = facts()
    local seen = backend == "bwrap" and of_bwrap(failure) or failure
    for _, case in ipairs(reasons) do
        local fits, reason, remedy = table.unpack(case)
        if fits(found, seen) then
            reason = type(reason) == "function" and reason(found) or reason
            remedy = type(remedy) == "function" and remedy(found) or remedy
            return { reason = reason, remedy = remedy, message = failure.text }
        end
    end
    return { reason = failure.text, message = failure.text }
end

-- What is short, in the words of bwrap.
local function is_short(text)
    for _, word in ipairs { "temporarily unavailable", "annot allocate memory", "oo many open files" } do
        if text:find(word) then
            return true
        end
    end
    return false
end

--- Whether the failure of a launch may pass by itself: something is short now, or native cannot tell. It does not say
--- whether the backend works here.
---@param backend "bwrap"|"native"
---@param failure { step: string|nil, errno: integer|nil, text: string }
---@return boolean
function diagnose.may_pass(backend, failure)
    if backend == "bwrap" then
        return is_short(failure.text)
    end
    local used_up = failure.step == "namespaces" and failure.errno == ENOSPC
    return not failure.step or host.is_shortage(failure.errno) or used_up and not facts().namespaces_off
end

--- What is behind the failure of a try, in a line: the reason, what the backend said, and the remedy.
---@param backend "bwrap"|"native"
---@param failure demilune.Tryout
---@return string
function diagnose.line(backend, failure)
    local found = diagnose.failure(backend, failure)
    local said = found.message ~= found.reason and (" (%s)"):format(found.message) or ""
    return found.reason .. said .. (found.remedy and "; " .. found.remedy or "")
end

--- What keeps bwrap from being found.
---@param barred? string a bwrap that is there and that we may not execute
---@return demilune.Diagnosis
function diagnose.no_bwrap(barred)
    if barred then
        return { reason = "it is there, but cannot be executed", remedy = "as root: chmod 755 " .. core.escape(barred) }
    end
    return { reason = "bwrap is not installed here", remedy = "Debian: apt-get install bubblewrap" }
end

return diagnose
