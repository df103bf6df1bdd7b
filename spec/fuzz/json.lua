-- What holds for any text that is given as JSON: see json.c.
local cjson = require("cjson").new()
local core = require "demilune.core"
local json = require "demilune.json"
local message = require "demilune.message"
local policy_json = require "demilune.policy_json"
local wire = require "demilune.wire"

local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return math.type(a) == math.type(b) and a == b or (a ~= a and b ~= b)
    end
    for key, value in pairs(a) do
        if not same(value, b[key]) then
            return false
        end
    end
    for key in pairs(b) do
        if a[key] == nil then
            return false
        end
    end
    return true
end

-- A refusal is one line of text, with a place in the input.
local function check_refusal(text, why, line)
    assert(type(why) == "string" and why ~= "", "a refusal says why")
    assert(not why:find("[\0-\31\127]") and utf8.len(why), "it is one line of UTF-8: " .. why)
    local row, column = why:match(" at line (%d+) column (%d+)$")
    assert(row, "it says where: " .. why)
    assert(line == nil or tostring(line) == row, "both say the same line")
    local _, breaks = text:gsub("\n", "")
    assert(tonumber(row) >= 1 and tonumber(row) <= breaks + 1, "the line is one of the text: " .. why)
    assert(tonumber(column) <= #text + 1, "and the column: " .. why)
end

-- A second reader, which takes more than ours but means the same by it.
local function check_against_cjson(text, fields)
    local ok, other = pcall(cjson.decode, text)
    if not ok or other[1] ~= nil then -- a struct written as an array has no names
        return
    end
    for _, list in ipairs { "ro_binds", "rw_binds" } do
        for i, bind in ipairs(fields[list]) do
            local theirs = other[list][i]
            assert(theirs[1] == nil and bind.host == theirs.host or bind.host == theirs[1], "hosts are the same")
        end
    end
    assert(fields.network == other.network, "network is the same")
    assert(same(fields.env_allowlist, other.env_allowlist), "the allowlist is the same")
end

local function check_policy(text)
    local fields, unknown, line = wire.policy(text)
    if not fields then
        check_refusal(text, unknown, line)
        return
    end
    local written = wire.encode(fields)
    local again, none = wire.policy(written)
    assert(again and #none == 0, "what was written is read, and nothing in it is unknown")
    assert(same(fields, again), "and says the same")
    assert(wire.encode(again) == written, "and is written the same")
    assert(pcall(cjson.decode, written), "by another reader too")
    if not wire.is_blank(text) then
        check_against_cjson(text, fields)
    end
end

-- The digits of an integer taken as unsigned.
local function unsigned(value)
    if value >= 0 then
        return tostring(value)
    end
    local tenth = (value >> 1) // 5
    return ("%d%d"):format(tenth, value - tenth * 10)
end

local function check_effects(text)
    local set, why = wire.effects(text)
    if not set then
        check_refusal(text, why)
        return
    end
    local parts = {}
    for i, effect in ipairs(set) do
        if effect.cents then
            parts[i] = ('{"effect":"Cost","cents":%s}'):format(unsigned(effect.cents))
        else
            parts[i] = json.encode(effect)
        end
    end
    local again = assert(wire.effects('{"effects":[' .. table.concat(parts, ",") .. "]}"))
    assert(same(set, again), "a set that was written is the same set")
end

local no_hooks = { prepare = {}, launched = {}, finished = {} }

local function check_problems(text, problems)
    assert(#problems > 0, "a refusal has reasons")
    for _, problem in ipairs(problems) do
        local line = message.problem(problem)
        assert(not line:find("[\0-\31\127]") and utf8.len(line), "a problem is one line of UTF-8: " .. line)
        local _, breaks = text:gsub("\n", "")
        assert(not problem.line or problem.line <= breaks + 1, "its line is one of the text")
    end
end

-- Without what is said by leaving it out, too.
local function telling(value)
    if type(value) ~= "table" then
        return value or nil
    end
    local copy = {}
    for key, part in pairs(value) do
        copy[key] = telling(part)
    end
    return next(copy) ~= nil and copy or nil
end

-- demilune's own fields beside the ancestor's five.
local function check_own_policy(text)
    local read, problems = policy_json.decode(text, "refuse")
    if not read then
        check_problems(text, problems)
        assert(wire.policy(text) == nil or problems[1].code == "field.unknown" or policy_json.decode(text, "ignore") == nil,
            "the ancestor's policies are read, but for what is unknown")
        return
    end
    local written = assert(policy_json.encode(read.fields, no_hooks), "what was read can be written")
    local again = assert(policy_json.decode(written, "refuse"), "and read again")
    assert(policy_json.encode(again.fields, no_hooks) == written, "and is written the same")
    local _, wrong = core.freeze(read.fields, {})
    if #wrong == 0 then -- a project with unknown fields loses them
        assert(same(telling(read.fields), telling(again.fields)), "and says the same")
    end
end

return function(text)
    check_policy(text)
    check_own_policy(text)
    check_effects(text)
end
