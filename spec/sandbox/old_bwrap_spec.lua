-- Launching with a bwrap that lacks options: found out by trying, once, and said so. The stand-in is the real bwrap
-- behind a script that refuses what an older one would not know.
local core = require "demilune.core"
local demilune = require "demilune"
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

describe("an older bwrap #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- A bwrap without `options`, which counts how often it is started with arguments.
    local function older(name, options)
        local pattern = table.concat(options, "|")
        return sandbox.write(scratch(name), ([=[
#!/bin/bash
if [ "$1" = --help ]; then
    echo asked >>%q
    %s --help | grep -vE -e '(%s) '
    exit 0
fi
cat <&3 >%q # they can be read once
exec 3<%q
unknown=$(tr '\0' '\n' </proc/self/fd/3 | grep -xE -e '%s' | head -n 1)
if [ -n "$unknown" ]; then
    echo "bwrap: Unknown option $unknown" >&2
    exit 1
fi
exec %s "$@"
]=]):format(scratch(name .. ".asked"), core.find_bwrap(), pattern, scratch(name .. ".args"), scratch(name .. ".args"),
            pattern, core.find_bwrap()), "755")
    end

    -- Files of the script's own need are in the sandbox's base; it runs outside.
    local function run(bwrap, plan)
        local process = assert(core.start(plan, { bwrap = bwrap, stdin = -1, capture_stdout = true }))
        return sandbox.finish(process, { capture_stdout = true })
    end

    local function plan_for(fields, command)
        return assert(assert(demilune.policy(fields)):plan(command)).core
    end

    -- A policy that needs every option: one bind stands in another, which goes by descriptor.
    local function needing_all(fields)
        sandbox.sh("mkdir -p " .. scratch "inner")
        fields.ro_binds = { scratch "inner" }
        fields.rw_binds = { scratch() }
        return fields
    end

    it("is used without the options that it lacks, and the result names what was left out", function()
        local bwrap = older("old", { "--disable-userns", "--ro-bind-fd", "--bind-fd" })
        local result = run(bwrap, plan_for(needing_all {}, { "echo", "works" }))
        assert.equal("exit", result.kind, result.message)
        assert.equal("works\n", result.stdout)
        assert.same({ "bind_fd", "disable_userns" }, (function()
            table.sort(result.skipped)
            return result.skipped
        end)())
    end)

    it("is told of by explain before anything runs", function()
        local backend = require "demilune.explain.backend"
        for _, options in ipairs { {}, { "--size" }, { "--disable-userns", "--ro-bind-fd", "--bind-fd" }, { "--add-seccomp-fd" } } do
            local bwrap = older("told", #options > 0 and options or { "--no-such" })
            local plan = plan_for(needing_all {}, { "true" })
            local wanted, skipped = core.controls(plan, bwrap)
            local result = run(bwrap, plan)
            assert.same(result.skipped, skipped)
            assert.equal(#result.applied + #skipped, #wanted)
            assert.equal(#options > 0, #skipped > 0)
            local rows = backend.rows({ kind = "bwrap", wanted = wanted, skipped = skipped }, { skipped[1] })
            assert.equal(2 + #skipped, #rows)
            assert.truthy(#skipped == 0 or rows[3][1]:find("^" .. skipped[1] .. ": .*; it is required, so nothing will run"))
        end
        assert.same({ nil, '"/none" cannot be executed: No such file or directory' }, { core.controls(plan_for({}, { "true" }), "/none") })
    end)

    it("without --add-seccomp-fd leaves the filter out, but not where the policy counts on it", function()
        local bwrap = older("open", { "--add-seccomp-fd" })
        local result = run(bwrap, plan_for({}, { "true" }))
        assert.equal("exit", result.kind, result.message)
        assert.same({ "seccomp" }, result.skipped)
        for what, fields in pairs { tty = { tty = true }, seccomp = { seccomp = { allow = { "debug" } } } } do
            local process, problem, code = core.start(plan_for(fields, { "true" }), { bwrap = bwrap, stdin = -1 })
            if process then -- refused once it has been asked
                local ended = sandbox.finish(process, {})
                problem, code = ended.message, ended.code
            end
            assert.matches("no %-%-add%-seccomp%-fd; leave out " .. what, problem)
            assert.equal("string", type(code))
        end
    end)

    it("that lacks what a policy requires launches nothing, for each control", function()
        local lacking = { bind_fd = { "--ro-bind-fd", "--bind-fd" }, disable_userns = { "--disable-userns" },
            tmpfs_size = { "--size" }, seccomp = { "--add-seccomp-fd" } }
        for control, options in pairs(lacking) do
            local bwrap = older(control, options)
            local plain = run(bwrap, plan_for(needing_all {}, { "true" }))
            assert.equal("exit", plain.kind, plain.message)
            assert.same({ control }, plain.skipped)
            local plan = plan_for(needing_all { requires = { control } }, { "touch", scratch "ran" })
            local process, problem = core.start(plan, { bwrap = bwrap, stdin = -1 })
            problem = process and sandbox.finish(process, {}).message or problem
            assert.matches("requires: " .. control .. " is not to be had with this bwrap", problem, 1, true)
            assert.is_false(sandbox.exists(scratch "ran"))
            assert.equal("exit", run(core.find_bwrap(), plan).kind)
            assert.is_true(os.remove(scratch "ran"))
        end
    end)

    it("that takes no descriptors needs none for what stands alone", function()
        local bwrap = older("alone", { "--ro-bind-fd", "--bind-fd" })
        local result = run(bwrap, plan_for({ requires = { "bind_fd" }, rw_binds = { scratch() } }, { "touch", scratch "ran" }))
        assert.same({ "exit", {} }, { result.kind, result.skipped }, result.message)
        assert.is_true(sandbox.exists(scratch "ran"))
        assert.is_false(sandbox.exists(scratch "alone.asked"))
    end)

    it("takes devices by their paths where it takes no descriptors", function()
        local bwrap = older("paths", { "--ro-bind-fd", "--bind-fd" })
        local fields = needing_all { devices = { { "/dev/zero", "/dev/spare" } }, acknowledge = { "device" } }
        local result = run(bwrap, plan_for(fields, { "head", "-c", "2", "/dev/spare" }))
        assert.same({ "\0\0", { "bind_fd" } }, { result.stdout, result.skipped }, result.message)
    end)

    it("makes the command warn of what was left out", function()
        sandbox.sh(("cp %s %s"):format(core.find_bwrap(), scratch("real")))
        local script = sandbox.read(older("warned", { "--disable-userns" }))
        sandbox.write(scratch("bwrap"), script:gsub(core.find_bwrap():gsub("%p", "%%%0"), scratch("real")), "755")
        local result = sandbox.sh(("unshare -Urm sh -c 'mount --bind %s %s; exec %s run --backend bwrap -- true'"):format(
            scratch("bwrap"), core.find_bwrap(), sandbox.command))
        assert.equal(0, result.code, result.err)
        assert.matches("warning: this bwrap cannot do all: left out: disable_userns", result.err)
    end)

    it("is asked what it can do only once", function()
        local bwrap = older("once", { "--disable-userns" })
        local plan = plan_for({}, { "true" })
        for _ = 1, 3 do
            assert.equal("exit", run(bwrap, plan).kind)
        end
        assert.equal("asked\n", sandbox.read(scratch("once.asked")))
    end)

    it("is not asked at all when it can do everything", function()
        local bwrap = older("new", { "--no-such-option" })
        assert.equal("exit", run(bwrap, plan_for({}, { "true" })).kind)
        assert.is_nil(sandbox.read(scratch("new.asked")))
    end)

    it("that lacks what cannot be done without is a failure, with its own words", function()
        local result = run(older("poor", { "--cap-drop" }), plan_for({}, { "true" }))
        assert.equal("setup_failed", result.kind)
        assert.equal("setup.failed", result.code)
        assert.matches("Unknown option %-%-cap%-drop", result.message)
    end)
end)
