--- What the subcommands share: messages, and a policy from files and options.
local core = require "demilune.core"
local demilune = require "demilune"
local of_flags = require("demilune.source").of_flags

local common = { EXIT_REFUSED = 125, EXIT_LIMIT = 124, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 }

--- The name in front of messages.
common.program = "demilune"

--- Prints a text, each line with our name in front.
---@param text string
function common.complain(text)
    for line in (text .. "\n"):gmatch("(.-)\n") do
        io.stderr:write(common.program, ": ", line, "\n")
    end
end

--- The words of a command line that names policies, and a command after "--" if there is one.
---@param words string[]
---@return string[] names
---@return string[]|nil command
function common.names_and_command(words)
    local names = {}
    for i, word in ipairs(words) do
        if word == "--" then
            return names, table.move(words, i + 1, #words, 1, {})
        end
        names[#names + 1] = word
    end
    return names, nil
end

--- The exit code for how an executed command ended.
---@param result demilune.Result
---@return integer
function common.exit_code(result)
    if result.kind == "exit" then
        return result.exit_code
    elseif result.kind == "signal" or result.kind == "cancelled" then
        return 128 + (result.signal or 9)
    end
    return common.EXIT_LIMIT
end

--- The backend that is asked for: by an option, or by a variable that is not empty.
---@param state { backend: string? }
---@return string|nil
function common.asked_backend(state)
    local named = os.getenv("DEMILUNE_BACKEND")
    return state.backend or named ~= "" and named or nil
end

--- Prints what is wrong with the usage and gives the exit code.
---@param command string
---@param text string
---@return integer
function common.usage(command, text)
    common.complain(("%s: %s; see demilune %s --help"):format(command, text, command))
    return common.EXIT_REFUSED
end

--- Prints warnings, unless they are not wanted.
---@param warnings demilune.Problem[]
---@param quiet? boolean
function common.warn(warnings, quiet)
    local message = require "demilune.message"
    for _, warning in ipairs(quiet and {} or warnings) do
        common.complain("warning: " .. message.problem(warning))
    end
end

--- Makes room for the cgroups of a plan that asks for one. Returns what to close at the end.
---@param plan demilune.Plan
function common.settle(plan)
    return core.wants_cgroup(plan.core) and core.settle_cgroup() or nil
end

-- What it means that a control was left out.
local left_out = {
    cgroup = "no cgroup can be made here: limits of memory, pids and cpu_time hold for each process, " ..
        "not for all together",
    landlock = "Landlock is too old in this kernel, or not there: the files have one wall, the mounts, and no other",
    landlock_scopes = "Landlock of this kernel is older than Linux 6.12: abstract sockets of the host are within reach",
}

--- Says what is left out that this host cannot do.
---@param skipped string[] controls
function common.report_skipped(skipped)
    local others = {}
    for _, name in ipairs(skipped) do
        if left_out[name] then
            common.complain("warning: " .. left_out[name])
        else
            others[#others + 1] = name
        end
    end
    if #others > 0 then
        common.complain("warning: this bwrap cannot do all: left out: " .. table.concat(others, ", "))
    end
end

--- What says by which backend is launched, as the option `launching`: a warning about it, unless those are not wanted,
--- and with `verbose` which it is and why. The same is said once, whatever launches after it.
---@param state { quiet: boolean?, verbose: boolean? }
---@param digest? string of the plan, where there is one
---@param complain? fun(text: string)
---@return fun(backend: demilune.Backend, warning: string|nil, why: string|nil)
function common.backend_teller(state, digest, complain)
    local told = {}
    local function tell(text)
        if not told[text] then
            told[text] = true
            (complain or common.complain)(text)
        end
    end
    return function(backend, warning, why)
        if warning and not state.quiet then
            tell("warning: " .. warning)
        end
        if state.verbose then
            local how = backend.bwrap_path or "the native backend, system calls of our own"
            tell(("launching by %s%s"):format(how, digest and ", digest " .. digest or ""))
            if why then
                tell("natively: " .. why)
            end
        end
    end
end

local limit_ends = { timeout = true, cpu_time = true, memory = true }

--- Says which limits it came to.
---@param result demilune.Result
function common.report_limits(result)
    if limit_ends[result.kind] then
        common.complain("ended by its limit: " .. result.kind)
    end
    for _, name in ipairs(result.limits_hit) do
        if name ~= result.kind and name ~= "output" then
            common.complain("warning: it came to its limit: " .. name)
        end
    end
end

local SITE = "/etc/demilune/site.lua"

-- The policy of this machine, false where there is none; or nil and why it cannot be relied on.
local function site_policy()
    local exists, why = core.operators_file(SITE)
    if exists == nil then
        return require("demilune.refusal").plain(
            ("the policy of this machine, %s, cannot be relied on: %s"):format(SITE, why), "policy.site")
    end
    if not exists then
        return false
    end
    return require("demilune.source").of_site(SITE)
end

--- A policy on top of that of this machine, where there is one.
---@param policy demilune.Policy
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function common.with_site(policy)
    local site, text, code, problems = site_policy()
    if site then
        return site:with(policy)
    elseif site == nil then
        return nil, text, code, problems
    end
    return policy
end

local function hook_policy(code, project)
    local source = "return { prepare = function(policy, context) " .. code .. "\nend }"
    local loaded, problem, why = require("demilune.load").source(source, "-e", core.cwd(), { project = project })
    if not loaded then
        return nil, problem, why
    end
    return demilune.policy(loaded.fields)
end

-- Where a path may lead: to itself as it is now, and where its last name stands in its directory.
local function places_of(path)
    local directory, name = path:match("^(.*)/([^/]+)$")
    local parent = core.realpath(directory == "" and "/" or directory or ".")
    return { core.realpath(path), parent and (parent == "/" and "" or parent) .. "/" .. (name or path) }
end

--- What the command can write to, it can replace: what we record there would be worth nothing. Returns what is wrong
--- with an option that names such a file, or nil.
---@param option string
---@param path string
---@param plan demilune.Plan
---@return string|nil
function common.at_risk(option, path, plan)
    local places = places_of(path)
    for _, mount in ipairs(core.describe(plan.core).mounts) do
        local source = mount.kind == "rw_bind" and (mount.source:gsub("/$", ""))
        for _, place in pairs(source and places or {}) do
            if place == source or place:sub(1, #source + 1) == source .. "/" then
                return ("%s %s: the command could write there, through %s"):format(option, core.quote(place),
                    core.quote(mount.at))
            end
        end
    end
    return nil
end

-- The policy of the files, options and hooks of a command line.
local function own_policy(state)
    local policy, problem, code, problems
    local project = state.fields.project and state.fields.project[1]
    for i, name in ipairs(state.policies) do
        local layer
        layer, problem, code, problems = demilune.load(name, { trusted = not state.untrusted[i], project = project })
        if layer then
            policy, problem, code, problems = policy and policy:with(layer) or layer, nil, nil, nil
        end
        if not layer or not policy then
            return nil, problem, code, problems
        end
    end
    if not policy or next(state.fields) then
        local flags
        flags, problem, code, problems = of_flags(state.fields)
        if not flags then
            return nil, problem, code, problems
        end
        policy, problem, code, problems = policy and policy:with(flags) or flags, nil, nil, nil
    end
    for _, hook in ipairs(policy and state.hooks or {}) do
        local layer
        layer, problem, code, problems = hook_policy(hook, project)
        if not layer then
            return nil, problem, code, problems
        end
        policy = policy:with(layer)
    end
    return policy, problem, code, problems
end

--- The ceilings of the files that a command line names.
---@param paths string[]
---@return demilune.Ceiling[]|nil ceilings
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function common.ceilings(paths)
    local list = {}
    for i, path in ipairs(paths) do
        local text, code, problems
        list[i], text, code, problems = require("demilune.ceiling").load(path)
        if not list[i] then
            return nil, text, code, problems
        end
    end
    return list
end

--- The policy of a command line: that of this machine, its files in order, then its options, then its hooks, all of
--- them under the ceilings that it names.
---@param state table from options.parse
---@return demilune.Policy|nil policy
---@return string|nil message
---@return string|nil code
---@return demilune.Problem[]|nil problems
function common.policy(state)
    local ceilings, text, code, problems = common.ceilings(state.ceilings)
    local policy
    if ceilings then
        policy, text, code, problems = own_policy(state)
    end
    if policy then
        policy, text, code, problems = common.with_site(policy)
    end
    if policy then
        policy.ceilings = ceilings
    end
    return policy, text, code, problems
end

return common
