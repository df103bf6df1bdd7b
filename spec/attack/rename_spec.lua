-- A protection below a writable tree, and a command that renames its way around it.
local demilune = require "demilune"
local leaks = require "support.leaks"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Renames every directory on the way in turn, puts a copy in its place and writes there.
local ATTACK = [[
cd /w
for directory in "$@"; do
    mv $directory $directory.old 2>/dev/null && cp -r $directory.old $directory 2>/dev/null
    (echo evil >$PROTECTED) 2>/dev/null && echo dodged
done
rm -rf d1 2>/dev/null
mkdir -p $(dirname $PROTECTED) 2>/dev/null
(echo evil >$PROTECTED) 2>/dev/null && echo dodged
exit 0
]]

describe("renaming a parent of what is protected,", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- A tree with a protected file `depth` directories down: its path below the tree and the directories on the way.
    local function tree(depth)
        local path, directories = "", {}
        for i = 1, depth do
            path = path .. (i > 1 and "/" or "") .. "d" .. i
            directories[i] = path
        end
        assert(os.execute(("rm -rf %s && mkdir -p %s/%s"):format(scratch("w"), scratch("w"), path)))
        sandbox.write(scratch("w/" .. path .. "/hook"), "good\n")
        return path .. "/hook", directories
    end

    local function attack(directories)
        return table.move(directories, 1, #directories, 5, { "sh", "-c", ATTACK, "sh" })
    end

    for depth = 1, 4 do
        it(("dodges a read-only bind of plain bwrap, %d deep"):format(depth), function()
            local path, directories = tree(depth)
            local words = { "--bind", scratch("w"), "/w", "--ro-bind", scratch("w/" .. path), "/w/" .. path,
                "--setenv",
                "PROTECTED", path }
            local result = sandbox.sh(probe.reference(words, attack(directories)))
            assert.matches("dodged", result.out)
            assert.equal("evil\n", sandbox.read(scratch("w/" .. path)))
        end)

        for _, field in ipairs { "ro_binds", "masks", "secrets" } do
            it(("does not dodge %s, %d deep"):format(field, depth), function()
                local path, directories = tree(depth)
                local entry = field == "ro_binds" and { { scratch("w/" .. path), "/w/" .. path } } or
                    field == "masks" and
                    { "/w/" .. path } or { ["/w/" .. path] = "secret" }
                local policy = assert(demilune.policy { rw_binds = { { scratch("w"), "/w" } },
                    [field] = entry,
                    env = { PROTECTED = path } })
                local result = assert(policy:run(attack(directories), { capture = true, stdin = "null" }))
                assert.equal("", result.stdout, result.stderr)
                assert.equal("good\n", sandbox.read(scratch("w/" .. path)))
            end)
        end
    end

    it("does not uncover what another writable tree stands on", function()
        local path, directories = tree(3)
        assert(require("lfs").mkdir(scratch("other")))
        sandbox.write(scratch("other/hook"), "other\n")
        local binds = { { scratch("w"), "/w" }, { scratch("other/hook"), "/w/" .. path } }
        local result = assert(assert(demilune.policy { rw_binds = binds, env = { PROTECTED = path } }):run(
            attack(directories), { capture = true, stdin = "null" }))
        assert.equal("dodged\ndodged\ndodged\ndodged\n", result.stdout) -- into the other
        assert.equal("good\n", sandbox.read(scratch("w/" .. path)))
        assert.equal("evil\n", sandbox.read(scratch("other/hook")))
        -- what shows the same under its own name covers nothing, and pins nothing
        binds[2] = { scratch("w/d1/d2"), "/w/d1/d2" }
        result = assert(assert(demilune.policy { rw_binds = binds }):run({ "sh", "-c", "mv /w/d1 /w/x && ls /w" },
            { capture = true }))
        assert.equal("x\n", result.stdout, result.stderr)
    end)

    it("does not dodge the hooks of a project either", function()
        assert(os.execute(("mkdir -p %s/.git/hooks"):format(scratch("p"))))
        local project = scratch("p")
        local policy = assert(demilune.policy { project = project, ro_binds = { project .. "/.git/hooks" } })
        assert(policy:run({ "sh", "-c", "mv .git x; cp -r x .git; echo evil >.git/hooks/pre-commit; exit 0" },
            { capture = true }))
        assert.is_false(sandbox.exists(project .. "/.git/hooks/pre-commit"))
        assert.is_false(sandbox.exists(project .. "/x"))
        -- without the protecting entry it works
        assert(demilune.policy { project = project }):run({ "sh", "-c",
            "mv .git x; cp -r x .git; : >.git/hooks/pre-commit" },
            { capture = true })
        assert.is_true(sandbox.exists(project .. "/.git/hooks/pre-commit"))
    end)

    it("the tree beside the protection can still be worked in", function()
        local path = tree(2)
        local policy = assert(demilune.policy { rw_binds = { { scratch("w"), "/w" } },
            ro_binds = { { scratch("w/" .. path), "/w/" .. path } } })
        local result = assert(policy:run({ "sh", "-c",
            "cd /w/d1 && mkdir new && mv new newer && echo x >d2/f && ls" },
            { capture = true, stdin = "null" }))
        assert.equal("d2\nnewer\n", result.stdout)
        assert.equal("x\n", sandbox.read(scratch("w/d1/d2/f")))
    end)
end)
