-- Directories and links of the host that change places while the native backend launches: what is mounted is what was
-- planned, where it was planned, and nothing is made or changed outside of the sandbox.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

local LAUNCHES = tonumber(os.getenv("SWAPS")) or 2000

-- Exchanges pairs of names as fast as it goes, until there is a file.
local SWAPPER = [=[
import ctypes, os, sys
libc = ctypes.CDLL(None)
stop, names = sys.argv[1], [name.encode() for name in sys.argv[2:]]
print("ready", flush=True)
while not os.path.exists(stop):
    for _ in range(300):
        for one, other in zip(names[::2], names[1::2]):
            libc.renameat2(-100, one, -100, other, 2)
]=]

describe("places that are swapped while native launches #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function plant()
        assert(os.execute(("cd %s && mkdir -p tree/a/b tree/d victim/b victim/d evil good && " ..
            "for d in good evil victim victim/b victim/d tree/a/b tree/d; do echo $d >$d/f; done; " ..
            "ln -s %s/victim tree/link; ln -s %s/evil link; ln -s /proc/self/root tree/way"):format(scratch(), scratch(), scratch())))
    end

    local function host()
        return sandbox.sh(("cd %s && find victim evil good | sort; cat victim/f victim/b/f evil/f good/f"):format(scratch())).out
    end

    local function swapper(...)
        local words = { "exec /usr/bin/python3 -c", sandbox.quote(SWAPPER), scratch("stop") }
        for _, name in ipairs { ... } do
            words[#words + 1] = scratch(name)
        end
        local pipe = assert(io.popen(table.concat(words, " ")))
        assert.equal("ready", pipe:read())
        return pipe
    end

    -- What the file in the source of a bind says; the plan has it with every link resolved.
    local function planned(plan, at)
        for _, mount in ipairs(core.describe(plan.core).mounts) do
            if mount.at == at then
                return mount.source:match("[^/]*$") .. "\n"
            end
        end
    end

    it(("sources and destinations, %d launches"):format(LAUNCHES), function()
        plant()
        local before = host()
        local pipe <close> = swapper("tree/a", "tree/link", "good", "link", "tree/d", "tree/way")
        local policy = assert(demilune.policy {
            rw_binds = { { scratch("tree"), "/t" } },
            ro_binds = { { scratch("good"), "/t/a/b" }, { scratch("good"), "/src" } },
            tmpfs = { { sandbox = "/t/d", size = "4K" } },
        })
        local seen = { refused = 0, changed = 0, right = 0, moved = 0 }
        local wrong = {}
        for _ = 1, LAUNCHES do
            local plan = policy:plan({ "sh", "-c", "cat /t/a/b/f /src/f; : >/t/d/made" }, { backend = "native" })
            local result, _, code
            if plan then
                result, _, code = plan:run { capture = true, stdin = "null", backend = "native" }
            end
            if not plan then
                seen.refused = seen.refused + 1
            elseif not result then
                seen.changed = seen.changed + 1
                wrong[#wrong + 1] = code ~= "source.changed" and code ~= "setup.failed" and code or nil
            else -- the directory above the first may have gone away under it
                local first, second = planned(plan, "/t/a/b"), planned(plan, "/src")
                local whole = result.stdout == first .. second
                seen.right, seen.moved = seen.right + (whole and 1 or 0), seen.moved + (whole and 0 or 1)
                wrong[#wrong + 1] = not whole and result.stdout ~= second and first .. second .. ":\n" .. result.stdout or nil
            end
        end
        sandbox.write(scratch("stop"), "")
        pipe:read("a")
        assert.same({}, wrong)
        assert.equal(before, host())
        assert.equal("", sandbox.sh(("find %s -name made"):format(scratch())).out)
        assert(seen.right > 0 and seen.refused + seen.changed > 0, ("%d right, %d refused, %d changed"):format(seen.right,
            seen.refused, seen.changed))
    end)
end)
