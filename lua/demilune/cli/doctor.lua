--- demilune doctor: which backends work here, and why others do not.
local common = require "demilune.cli.common"
local core = require "demilune.core"
local diagnose = require "demilune.diagnose"
local host = require "demilune.host"
local message = require "demilune.message"
local tryout = require "demilune.tryout"

local function help()
    io.stdout:write([[
usage: demilune doctor [--json]

Tries each backend with a sandbox of its own, and says which of them work here and which one auto is. Of one that does
not: what it said, the reason as far as it can be told, and what would help. Also what is wrong with the ceiling and the
policy of this machine, in /etc/demilune, without which nothing runs.

exit codes: 0 commands can be run, 125 none can
]])
    return 0
end

local function examine_bwrap()
    local path, trusted = host.find_bwrap()
    local entry = { name = "bwrap", works = false, path = path, trusted = trusted }
    if not path then
        entry.path = core.barred_bwrap()
        entry.diagnosis = diagnose.no_bwrap(entry.path)
        return entry
    end
    entry.version = host.lookup("bwrap_version")
    local failure = tryout.run(path)
    entry.works = not failure
    entry.diagnosis = failure and diagnose.failure("bwrap", failure) or nil
    return entry
end

local function examine_native()
    local failure = tryout.run()
    return {
        name = "native", works = not failure,
        diagnosis = failure and diagnose.failure("native", failure) or nil,
    }
end

-- The ceiling of this machine as { file =, backends = }; nil without one, or nil and what is wrong with it.
local function examine_ceiling()
    local ceilings, text = require("demilune.ceiling").all()
    local found = ceilings and ceilings[1]
    if not found then
        return nil, text
    end
    local allowed = {}
    for _, name in ipairs { "bwrap", "native", "none" } do
        allowed[#allowed + 1] = found.backends[name] and name or nil
    end
    return { file = found.file, backends = allowed }
end

-- What is wrong with the policy of this machine.
local function examine_site()
    local policy, text = common.with_site(assert(require("demilune.source").new { base = "none" }))
    return not policy and text or nil
end

local function allows(ceiling, name)
    for _, allowed in ipairs(ceiling and ceiling.backends or { name }) do
        if allowed == name then
            return true
        end
    end
    return false
end

local function examine()
    local facts, problems = host.facts(), {}
    local backends = { examine_bwrap(), examine_native() }
    local ceiling, of_ceiling = examine_ceiling()
    problems[1] = of_ceiling
    problems[#problems + 1] = examine_site()
    local usable = {}
    for _, entry in ipairs(#problems == 0 and backends or {}) do
        usable[#usable + 1] = entry.works and allows(ceiling, entry.name) and entry.name or nil
    end
    return {
        kernel = facts.kernel, machine = facts.machine, distribution = facts.distribution, uid = facts.uid,
        landlock = facts.landlock, auto = usable[1], backends = backends, ceiling = ceiling, problems = problems,
        native_preferred = #usable == 2,
    }
end

local function print_backend(entry)
    local what = entry.path and (" (%s%s)"):format(entry.path, entry.version and ", " .. entry.version or "") or ""
    local lines = { ("%s%s: %s"):format(entry.name, what, entry.works and "works" or "does not work here") }
    local diagnosis = entry.diagnosis
    if diagnosis then
        lines[#lines + 1] = "  reason: " .. diagnosis.reason
        lines[#lines + 1] = diagnosis.remedy and "  remedy: " .. diagnosis.remedy
        local more = diagnosis.message ~= diagnosis.reason and diagnosis.message
        lines[#lines + 1] = more and "  it said: " .. more or nil
    end
    io.stdout:write(table.concat(lines, "\n"), "\n")
end

local function print_text(report)
    io.stdout:write(("%s, Linux %s (%s), uid %d\n"):format(report.distribution, report.kernel, report.machine,
        report.uid))
    for _, entry in ipairs(report.backends) do
        print_backend(entry)
    end
    io.stdout:write(report.landlock == 0 and "Landlock: not there or switched off; native does without it\n"
        or ("Landlock: ABI %d%s\n"):format(report.landlock, report.landlock < 2 and ", too old for native" or ""))
    if report.ceiling then
        io.stdout:write(("ceiling: %s, allows %s\n"):format(message.plain(report.ceiling.file),
            #report.ceiling.backends > 0 and table.concat(report.ceiling.backends, ", ") or "no backend"))
    end
    for _, problem in ipairs(report.problems) do
        io.stdout:write("problem: ", problem, "\n",
            "  remedy: as root, mend what is named there, or take that file away; nothing runs until then\n")
    end
    io.stdout:write(("auto: %s\n"):format(report.auto or "nothing; no command can be run"))
    if report.native_preferred then
        io.stdout:write("  but native for policies with entries in writable trees, where bwrap before 0.12 ",
            "follows links\n")
    end
end

---@param words string[]
---@return integer exit code
return function(words)
    if words[1] == "--help" or words[1] == "-h" then
        return help()
    end
    local as_data = words[1] == "--json"
    if words[as_data and 2 or 1] then
        return common.usage("doctor", "unknown argument " .. core.quote(words[as_data and 2 or 1]))
    end
    local report = examine()
    if as_data then
        io.stdout:write(require("demilune.json").shown(report), "\n")
    else
        print_text(report)
    end
    return report.auto and 0 or common.EXIT_REFUSED
end
