-- What holds for any policy on its way from a source to what is launched: see policy.c. The first byte says how it comes:
-- as values that the rest stands for, or as the text of a policy file. State is kept: policies of earlier steps are what
-- later ones are put on top of.
local attacks = require "support.attacks"
local core = require "demilune.core"
local demilune = require "demilune"
local random = require "fuzz.random_policy"
local tools = require "_fuzz"

io.stderr = assert(io.open("/dev/null", "w")) -- luacheck: ignore (where policies print)

-- --- what must hold of what is said -------------------------------------------------------------------------------------

local function check_text(text, what)
    assert(type(text) == "string", what .. " is no text")
    assert(not text:find("[\0-\31\127]"), ("%s holds control characters: %q"):format(what, text))
    assert(utf8.len(text), ("%s is not UTF-8: %q"):format(what, text))
    assert(not text:find("\u{202e}", 1, true), what .. " turns the direction of text")
    assert(not text:find("traceback", 1, true), what .. " has a traceback: " .. text)
end

local function check_problems(problems)
    for _, problem in ipairs(problems) do
        assert(type(problem.field) == "string", "a problem has a field")
        assert(type(problem.code) == "string" and problem.code:find "^[%l_]+%.?[%l%d_]*$", "a problem has a code")
        assert(type(problem.message) == "string" and problem.message ~= "", "a problem has a message")
        check_text(problem.message, "the message of a problem")
        if problem.value then
            check_text(problem.value, "the value of a problem")
        end
        check_text(require("demilune.message").problem(problem), "a problem")
    end
end

-- What was refused: its problems as one text, for comparing.
local function check_refusal(text, code, problems)
    assert(type(text) == "string" and text ~= "" and type(code) == "string" and #problems > 0, "a refusal says why")
    for line in text:gmatch "[^\n]+" do
        check_text(line, "a refusal")
    end
    check_problems(problems)
    local said = {}
    for i, problem in ipairs(problems) do
        said[i] = table.concat({ problem.field, problem.code, problem.value or "", problem.message }, " ")
    end
    return table.concat(said, "\n")
end

-- --- what must hold of a plan -------------------------------------------------------------------------------------------

local function is_within(path, above)
    return above == "/" and path ~= "/" or path:sub(1, #above + 1) == above .. "/"
end

local function check_canonical(path)
    assert(path:sub(1, 1) == "/" and not path:find("//", 1, true), "a path of a plan is absolute and canonical: " .. path)
    for part in path:gmatch "[^/]+" do
        assert(part ~= ".." and part ~= ".", "a path of a plan has dots: " .. path)
    end
end

local function check_mounts(mounts)
    local paths = {}
    for _, mount in ipairs(mounts) do
        check_canonical(mount.at)
        if mount.kind == "ro_bind" or mount.kind == "rw_bind" then
            check_canonical(mount.source)
        end
        if mount.kind ~= "seal" then -- these come last, when all is in place
            for _, earlier in ipairs(paths) do
                assert(not is_within(earlier, mount.at), ("%s stands before %s, which hides it"):format(earlier, mount.at))
            end
            paths[#paths + 1] = mount.at
        end
    end
end

-- What has to be there for a mount that is made in a file system of ours: everything on the way from that one.
local function check_places(mounts, described)
    local there = {}
    for i, mount in ipairs(mounts) do
        local seal = described[i].kind == "seal"
        assert(("/" .. mount.at):gsub("^/%.$", "/") == described[i].at, "a mount stands where the plan has it")
        for _, directory in ipairs(mount.directories) do
            assert(is_within(mount.at, directory), directory .. " is not on the way to " .. mount.at)
            there[directory] = true
        end
        for _, text in pairs { mount.size or "0", mount.mode or "0" } do
            assert(text:find "^%d+$", "sizes and modes are numbers: " .. text)
        end
        local above = mount.at
        while mount.make and not seal and above:find("/", 1, true) do
            above = above:match "^(.*)/"
            assert(there[above], ("nothing makes %s for %s"):format(above, mount.at))
        end
        there[mount.at] = true
    end
end

-- A value as text, with sorted keys.
local function written(value)
    if type(value) ~= "table" then
        return ("%q"):format(value)
    end
    local parts = {}
    for key, item in pairs(value) do
        parts[#parts + 1] = ("[%q]=%s"):format(key, written(item))
    end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
end

-- Whether a plan requires what bwrap never has, so that it is only shown what bwrap would be given.
local function requires_native(plan)
    for _, problem in ipairs(core.backend_problems(plan.core, "bwrap")) do
        if problem.code == "requires.unavailable" then
            return true
        end
    end
    return false
end

-- Ways to hand a plan to who launches it: each returns its bytes.
local renderings = {
    shown = function(plan)
        return table.concat(core.arguments(plan.core), "\0")
    end,
    bwrap = function(plan)
        local counts = {}
        for _, features in ipairs { 0, 5, 15 } do
            counts[#counts + 1] = table.concat({ tools.render(plan.core, features) }, " ")
        end
        local shown = requires_native(plan) and -1 or #core.arguments(plan.core)
        assert(tools.render(plan.core, 15) == shown, "what is shown has as many arguments as what is launched")
        return table.concat(counts, "\n")
    end,
    native = function(plan)
        local mounts, filter = tools.prepare(plan.core)
        check_places(mounts, core.describe(plan.core).mounts)
        return written(mounts) .. filter
    end,
}

-- What a plan launches, as bytes; `explained` with where each part of it comes from, which differs with the way.
local function check_plan(plan, explained)
    local description = core.describe(plan.core)
    check_mounts(description.mounts)
    check_problems(plan.warnings)
    assert(plan:digest():find "^%x+$" and #plan:digest() == 64, "a digest is 64 hexadecimal digits")
    local parts = { plan:digest(), explained and written(description) .. plan:explain() or "" }
    for name, render in pairs(renderings) do
        parts[#parts + 1] = name .. render(plan)
    end
    table.sort(parts)
    return table.concat(parts, "\n")
end

-- The plan of a policy as bytes, or what was refused; and the plan.
local function outcome(policy, command, options)
    local plan, text, code, problems = policy:plan(command, options)
    return plan and check_plan(plan, false) or check_refusal(text, code, problems), plan
end

-- The same of a policy, looked at twice.
local function outcome_twice(policy, command)
    local said, plan = outcome(policy, command)
    assert(said == outcome(policy, command), "a policy has the same plan twice")
    if plan then
        check_problems(plan:lint())
        assert(check_plan(plan, true) == check_plan(policy:plan(command), true), "a policy is explained the same twice")
        local other = plan:with_command { "other", "words" }
        assert(other:digest() ~= plan:digest(), "another command makes another plan")
        assert(check_plan(other, false) ~= said and check_plan(plan, false) == said, "and leaves this one")
    end
    return said, plan
end

-- --- ways ---------------------------------------------------------------------------------------------------------------

local function of_table(fields)
    local policy, text, code, problems = demilune.policy(fields)
    return policy, policy and "" or check_refusal(text, code, problems)
end

local function of_file(text)
    local file = assert(io.open(random.policy_file, "wb"))
    file:write(text)
    file:close()
    local policy, message, code, problems = demilune.load(random.policy_file)
    return policy, policy and "" or check_refusal(message, code, problems)
end

-- The reference's command line is made of its five fields.
local function check_reference(policy, command)
    local words, text, code, problems = demilune.build_bwrap_command(policy, command, "/usr/bin/bwrap")
    if not words then
        return check_refusal(text, code, problems)
    end
    assert(words[1] == "/usr/bin/bwrap" and words[#words] == command[#command], "the command line has its ends")
    return table.concat(words, "\0")
end

-- What is written as JSON is read as the same.
local function check_encoding(policy, command, said, plan)
    local text, message, code, problems = policy:encode()
    if not text then
        check_refusal(message, code, problems)
        return
    end
    local decoded = assert(demilune.decode(text))
    assert(decoded:encode() == text, "JSON that was read is written the same")
    local other, other_plan = outcome(decoded, command)
    assert((plan == nil) == (other_plan == nil) and (not plan or said == other), "and has the same plan")
end

-- The values `value`, by every way, in two orders.
local function check_values(value, seed, command)
    local policy, said = of_table(random.build(value, 0))
    local other, other_said = of_table(random.build(value, seed))
    assert((policy == nil) == (other == nil) and said == other_said, "the order of keys does not show in a refusal: "
        .. said .. " / " .. other_said)
    local from_file, file_said = of_file("return " .. random.as_lua(value, seed))
    local json = demilune.decode(random.as_json(value, seed))
    if not policy then
        assert(not from_file, "a file is refused where its table is: " .. said .. " / " .. file_said)
        return nil
    end
    local plan
    said, plan = outcome_twice(policy, command)
    local also_said, other_plan = outcome(other, command)
    assert(said == also_said, "the order of keys does not show")
    assert(not plan or check_plan(plan, true) == check_plan(other_plan, true), "nor in what is explained")
    assert(check_reference(policy, command) == check_reference(other, command), "nor in the reference's command line")
    check_encoding(policy, command, said, plan)
    for _, way in ipairs { from_file or false, json or false } do
        local way_said, way_plan = "", nil
        if way then
            way_said, way_plan = outcome(way, command)
        end
        -- A file has itself to protect, so its policy can have more problems.
        assert(not (plan and way_plan) or way_said == said, "a file and JSON say the same as the table")
    end
    return policy
end

-- Under a ceiling, which is read in two orders too; and no policy is wider than itself.
local function check_bounds(policy, value, seed, command)
    local ceiling, text, code, problems = demilune.ceiling(random.build(value, 0))
    local other, other_text = demilune.ceiling(random.build(value, seed))
    assert((ceiling == nil) == (other == nil) and text == other_text, "the order of keys does not show in a ceiling")
    if ceiling then
        local said = outcome(policy, command, { ceiling = ceiling })
        assert(said == outcome(policy, command, { ceiling = other }), "nor in what comes of it")
    else
        check_refusal(text, code, problems)
    end
    local narrower, why = policy:narrower(policy)
    assert(narrower ~= false, "a policy is as narrow as itself: " .. tostring(why))
end

local function check_order(policy, kept)
    local narrower, why = policy:narrower(kept)
    if narrower == false then
        check_text(why, "a counter-example")
    end
end

local commands = { { "true" }, { "sh", "-c", "" }, { "" }, { "a\nb", "\27" }, { "/usr/bin/env", ("x"):rep(300) } }

-- A hook with hostile code; one that could take its time would take ours.
local codes = {}
for _, cases in pairs(attacks.names) do
    for _, case in ipairs(cases) do
        if not case[1]:find("while true", 1, true) then
            codes[#codes + 1] = case[1]
        end
    end
end
table.sort(codes)

local function hostile_file(from, value)
    local hook = from:pick { "prepare", "launched", "finished" }
    return ("local fields = %s\nfields.%s = function(policy, context) local process = policy do %s end end\nreturn fields"):format(
        random.as_lua(value, 0), hook, from:pick(codes))
end

return function(bytes)
    local from = random.source(bytes)
    if from:byte() % 4 == 3 then
        local policy = of_file(bytes:sub(2))
        if policy then
            policy:plan { "true" }
        end
        return
    end
    local kept
    for _ = 1, 1 + from:number(3) do
        local value, seed, command = random.policy(from), from:byte(), from:pick(commands)
        local policy = check_values(value, seed, command)
        if policy and from:rarely(2) then
            check_bounds(policy, random.ceiling(from), seed, command)
        end
        if policy and kept then
            check_order(policy, kept)
            local layered, text, code, problems = kept:with(policy)
            if layered then
                outcome(layered, command)
            else
                check_refusal(text, code, problems)
            end
        end
        if policy and from:rarely(3) then
            local plan, text, code, problems = policy:plan(command, { narrow = random.build(random.policy(from), 0) })
            local _ = plan and check_plan(plan, true) or check_refusal(text, code, problems)
        end
        if from:rarely(4) then
            local hooked = of_file(hostile_file(from, value))
            if hooked then
                local plan, text, code, problems = hooked:plan(command)
                local _ = plan and check_plan(plan, true) or check_refusal(text, code, problems)
            end
        end
        kept = policy or kept
    end
end
