-- Random policies in real sandboxes: what a command reaches is what the fields mean, never more than the ceiling that
-- the policy passed, and of a narrower policy never more than of the wider one.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local reaching = require "support.reaching"
local sandbox = require "support.sandbox"

-- Tells of each place where a file may be whether it can read what is in it, and write to it; then variables and limits.
-- A search would miss what stands below a mask, which cannot be listed.
local LOOK = [[
for f in %s; do
    { read -r path < "$f"; } 2>/dev/null || continue
    if ( : >> "$f" ) 2>/dev/null; then echo "2 $path"; else echo "1 $path"; fi
done
env | sed -n 's/^\(.*\)=caller$/passed \1/p'
echo "files $(ulimit -n)"
]]

-- Every place where policies may put a file of the tree.
local function places(world)
    local list, root = {}, world.directories[1]
    for _, path in ipairs(world.files) do
        list[#list + 1] = path
        for _, at in ipairs { "/work", "/x", "/y", "/x/a", "/x/a/b", "/y/c" } do
            list[#list + 1] = at .. path:sub(#root + 1)
        end
    end
    return table.concat(list, " ")
end

local SAMPLE = 40

describe("in a sandbox", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)
    local world

    before_each(function()
        world = reaching.world(scratch "tree")
    end)

    -- A policy that launches, with the base that programs need.
    local function random_fields(change_of)
        while true do
            local fields = change_of and reaching.changed(world, change_of, "host") or reaching.policy(world, "host")
            fields.limits = { open_files = math.random(30, 60) }
            local policy = demilune.policy(fields)
            if policy and policy:plan() then
                return fields, policy
            end
        end
    end

    -- What a command finds: path -> 1 or 2, the set of variables passed, and the limit of open files.
    local function look(fields, ceiling)
        local words = { "run", "-q", "-p", sandbox.write(scratch "p.lua", "return " .. reaching.source(fields)) }
        if ceiling then
            words[#words + 1] = "--ceiling"
            words[#words + 1] = sandbox.write(scratch "c.lua", "return " .. reaching.source(ceiling))
        end
        table.move({ "--", "/bin/sh", "-c", LOOK:format(places(world)) }, 1, 4, #words + 1, words)
        local result = sandbox.demilune(words, { env = reaching.caller() })
        if result.code ~= 0 then
            return nil, result.err
        end
        local found, passed = {}, {}
        for level, path in result.out:gmatch("(%d) ([^\n]+)") do
            found[path] = math.max(found[path] or 0, math.tointeger(level))
        end
        for name in result.out:gmatch("passed ([^\n]+)") do
            passed[name] = true
        end
        return found, passed, math.tointeger(result.out:match("files (%d+)"))
    end

    local function levels_of_files(fields)
        local access, levels = reaching.access(world, fields), {}
        for _, path in ipairs(world.files) do
            levels[path] = access[path] > 0 and access[path] or nil
        end
        return levels
    end

    it("what a policy that passes its ceiling reaches is within the ceiling", function()
        local checked, refused = 0, 0
        while checked < SAMPLE do
            local fields = random_fields()
            local bound = reaching.ceiling(world)
            bound.limits = { open_files = math.random(30, 60) }
            local found, passed, files = look(fields, bound)
            local excess = reaching.excess(world, fields, bound, function() return true end)
            local about = ("SPEC_SEED=%d\n%s\n%s\n"):format(world.seed, reaching.source(fields), reaching.source(bound))
            if excess then
                assert(not found, excess .. " was let through: " .. about)
                refused = refused + 1
            else
                assert(found, about .. tostring(passed))
                assert.same(levels_of_files(fields), found, about)
                for path, level in pairs(found) do
                    assert(reaching.allows(bound, path, level), path .. " is beyond the ceiling: " .. about)
                end
                for _, name in ipairs(reaching.variables) do
                    local how = reaching.variable(fields, name)
                    assert.equal(how == "pass" or how == "base", passed[name] == true, name .. ": " .. about)
                end
                for name in pairs(passed) do
                    assert(not bound.env or name == "LANG" or reaching.matches(bound.env, name), name .. ": " .. about)
                end
                assert(files <= bound.limits.open_files, about)
                checked = checked + 1
            end
        end
        assert(refused > 0)
    end)

    it("a limit that a policy does not have is the ceiling's", function()
        local fields = random_fields()
        fields.limits = {}
        assert.equal(33, select(3, look(fields, { limits = { open_files = 33 } })))
        assert.not_equal(33, select(3, look(fields)))
    end)

    it("a narrower policy reaches no more", function()
        local checked = 0
        while checked < SAMPLE / 2 do
            local fields, policy = random_fields()
            local other, second = random_fields(fields)
            if policy:narrower(second) then
                local mine, passed = look(fields)
                local theirs, others = look(other)
                for path, level in pairs(mine) do
                    assert(level <= (theirs[path] or 0), core.quote(path) .. " SPEC_SEED=" .. world.seed)
                end
                for name in pairs(passed) do
                    assert(others[name], name .. " SPEC_SEED=" .. world.seed)
                end
                checked = checked + 1
            end
        end
    end)
end)
