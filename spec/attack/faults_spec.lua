-- Every system call on the way of a native launch fails in turn: each is an error in words and nothing is executed, or it
-- did not matter and the sandbox is whole. Never is the command executed half confined.
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

local MOST = tonumber(os.getenv("FAULTS")) or 6 -- of the calls of one name, from the first and to the last

-- Calls whose failure changes nothing that could be told: signals that have their default anyway, a descriptor that ends with
-- the process, a host name that is not given, a host that is not woken and looks by itself. (Without the last programs of
-- libc abort, too.)
local HARMLESS = { futex = true, rt_sigaction = true, rt_sigprocmask = true, close = true, mmap = true, munmap = true, exit = true,
    exit_group = true, geteuid = true }

describe("a native launch #once #unsanitized", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- What the command makes sure of, before it says that it ran.
    local CONFINED = [[
fail() { echo "half confined: $1" >/out/bad; exit 9; }
grep -q '^CapBnd:.0000000000000000$' /proc/self/status && grep -q '^CapEff:.0000000000000000$' /proc/self/status || fail capabilities
grep -q '^NoNewPrivs:.1$' /proc/self/status && grep -q '^Seccomp:.2$' /proc/self/status || fail privileges
[ "$(id -u):$(id -g)" = 65534:65534 ] || fail ids
(: >/made) 2>/dev/null && fail root
(: >/usr/made) 2>/dev/null && fail usr
(: >/dev/made) 2>/dev/null && fail dev
(: </t/masked) 2>/dev/null && fail mask
[ -e /home ] || [ -e /root ] && fail host
[ "$(cat /run/secret)" = content ] || fail secret
[ "$(ls /proc | grep -c '^[0-9]')" -lt 8 ] || fail proc
(: >/proc/sys/kernel/hostname) 2>/dev/null && fail sysctl
: >/out/ran]]

    local function words(tracer)
        local list = { tracer, sandbox.quote(sandbox.command), "run -p", scratch("policy.lua"), "-- /bin/sh -c",
            sandbox.quote(CONFINED) }
        return table.concat(list, " ")
    end

    local function prepare()
        assert(os.execute(("mkdir -p %s/out %s/tree && echo hidden >%s/tree/masked"):format(scratch(), scratch(), scratch())))
        sandbox.write(scratch("policy.lua"), ([[return {
            rw_binds = { { %q, "/out" }, { %q, "/t" } }, ro_binds = { { "/usr/share", "/more/share" } }, hostname = "box",
            masks = { "/t/masked", "/usr/include" }, tmpfs = { "/new" }, secrets = { ["/run/secret"] = "content" },
            symlinks = { { target = "/t", sandbox = "/link" } },
        }]]):format(scratch("out"), scratch("tree")))
    end

    -- Names of the calls between the start of the child that becomes the stage and its execution, in their order.
    local function calls()
        local trace = scratch("trace")
        local result = sandbox.sh("DEMILUNE_BACKEND=native " .. words(("strace -f -o %s"):format(trace)))
        assert.equal(0, result.code, result.err)
        local text = sandbox.read(trace)
        local child = assert(text:match("(%d+) +execveat%("), "the stage was executed")
        local list = {}
        for line in text:gmatch("[^\n]+") do
            local pid, name = line:match("^(%d+) +([%w_]+)%(")
            if pid == child then
                if name == "execveat" then
                    list[#list + 1] = name
                    break
                end
                list[#list + 1] = name
            end
        end
        return list
    end

    local function sampled(index, count)
        return count <= MOST or index <= MOST // 2 or index > count - MOST // 2
    end

    it("survives or reports every call that fails", function()
        prepare()
        local list, total, seen = calls(), {}, {}
        for _, name in ipairs(list) do
            total[name] = (total[name] or 0) + 1
        end
        assert(#list > 150, "the whole way: " .. #list)
        local tried, refused, wrong = 0, 0, {}
        for _, name in ipairs(list) do
            seen[name] = (seen[name] or 0) + 1
            local place = name .. " " .. seen[name]
            if not HARMLESS[name] and sampled(seen[name], total[name]) then
                os.remove(scratch("out/ran"))
                local result = sandbox.sh("DEMILUNE_BACKEND=native " .. words(
                    ("timeout 60 strace -f -o /dev/null -e trace=%s -e inject=%s:error=EIO:when=%d"):format(name, name,
                        seen[name])))
                local ran = sandbox.exists(scratch("out/ran"))
                tried = tried + 1
                if sandbox.exists(scratch("out/bad")) then
                    wrong[#wrong + 1] = place .. ": " .. sandbox.read(scratch("out/bad"))
                    os.remove(scratch("out/bad"))
                elseif ran and result.code ~= 0 or not ran and result.code == 0 then
                    wrong[#wrong + 1] = ("%s: %d, ran: %s\n%s"):format(place, result.code, ran, result.err)
                elseif not ran then
                    refused = refused + (result.err:find("native backend: ", 1, true) and 1 or 0)
                    if result.code ~= 125 and not result.err:find("Input/output error", 1, true) then
                        wrong[#wrong + 1] = ("%s: %d\n%s"):format(place, result.code, result.err)
                    end
                end
            end
        end
        assert.same({}, wrong)
        assert(tried > 60 and refused > tried // 2, ("%d tried, %d refused"):format(tried, refused))
        assert.equal("hidden\n", sandbox.read(scratch("tree/masked")))
        assert.equal("", sandbox.sh(("ls %s; ls %s | grep -v '^masked$'"):format(scratch("out"), scratch("tree"))).out
            :gsub("ran\n", ""))
    end)
end)
