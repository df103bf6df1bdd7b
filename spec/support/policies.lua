-- For specs about policies that launch nothing: what is wrong with one, and what its plan looks like.
local core = require "demilune.core"
local demilune = require "demilune"
local message = require "demilune.message"

local policies = {}

--- The plan of a policy table, which has to be fine.
function policies.plan(fields, command)
    local policy = assert(demilune.policy(fields))
    return assert(policy:plan(command))
end

--- What a plan consists of.
function policies.describe(fields, command)
    return core.describe(policies.plan(fields, command).core)
end

--- Every problem of a policy table; empty when it is fine.
function policies.problems(fields, command)
    local policy, _, _, problems = demilune.policy(fields)
    if not policy then
        return problems
    end
    return (policy:problems(command))
end

--- Every warning of a policy table, which has to be fine.
function policies.warnings(fields)
    return policies.plan(fields).warnings
end

local function shown(problems)
    return #problems > 0 and message.problems(problems) or "no problem at all"
end

--- The problem with this code and field among `problems`; raises when there is none.
function policies.find(problems, code, field)
    for _, problem in ipairs(problems) do
        if problem.code == code and (not field or problem.field == field) then
            return problem
        end
    end
    error(("no problem %s at %s among:\n%s"):format(code, field or "any field", shown(problems)), 2)
end

--- Raises unless the policy is refused with this code at this field, in a line that has every other argument in it.
function policies.refused(fields, code, field, ...)
    local problem = policies.find(policies.problems(fields), code, field)
    local line = message.problem(problem)
    for _, part in ipairs { ... } do
        assert(line:find(part, 1, true), ("%s is not in: %s"):format(part, line))
    end
    return problem
end

--- Raises when the policy is refused.
function policies.accepted(fields, command)
    local problems = policies.problems(fields, command)
    assert(#problems == 0, shown(problems))
end

--- "kind path" of each mount of a description, without what every plan has.
function policies.mounts(description, with_engine)
    local list = {}
    for _, mount in ipairs(description.mounts) do
        if with_engine or mount.field ~= "engine" then
            list[#list + 1] = mount.kind .. " " .. mount.at
        end
    end
    return list
end

--- The mount at a path of a description, or nil.
function policies.mount_at(description, path)
    for _, mount in ipairs(description.mounts) do
        if mount.at == path and mount.kind ~= "seal" then
            return mount
        end
    end
end

--- The environment of a description as a map.
function policies.environment(description)
    local map = {}
    for _, text in ipairs(description.env) do
        local name, value = text:match("^([^=]*)=(.*)$")
        map[name] = value
    end
    return map
end

return policies
