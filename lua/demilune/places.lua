--- Where in which policy file a problem was written, also when the policy has several layers.
local merge = require "demilune.merge"

local places = {}

local MOST_LINES = 100 -- problems for which a line is looked up; a reader mends the first ones first

-- The layer in which the item `index` of the list `name` stands, and its index there: lists were appended.
local function layer_of_item(layers, name, index)
    for _, layer in ipairs(layers) do
        local list = layer.fields[name]
        local count = type(list) == "table" and #list or 0
        if index <= count then
            return layer, index
        end
        index = index - count
    end
end

-- The innermost layer that has the field, and the key in it where maps were merged.
local function layer_of_field(layers, name, key)
    for i = #layers, 1, -1 do
        local value = layers[i].fields[name]
        if value ~= nil and (not key or not merge.is_map(name) or type(value) ~= "table" or value[key] ~= nil) then
            return layers[i]
        end
    end
end

local function find(layers, field)
    local name, rest = field:match("^([%w_]+)(.*)$")
    if not name then
        return nil
    end
    local index, after = rest:match("^%[(%d+)%](.*)$")
    if index and merge.is_list(name) then
        local layer, at = layer_of_item(layers, name, math.tointeger(index))
        return layer, layer and ("%s[%d]%s"):format(name, at, after)
    end
    return layer_of_field(layers, name, rest:match("^%.([^%.%[]+)") or rest:match('^%["(.-)"%]')), field
end

--- The line on which a layer says a field, or nil.
---@param layer demilune.Layer
---@param field string
---@return integer|nil
function places.line(layer, field)
    local locate = require(layer.kind == "json" and "demilune.locate_json" or "demilune.locate")
    return layer.source and locate.line(layer.source, field) or nil
end

-- A problem of what an option says names the option, and speaks as a command line does.
local function speak_of_options(layers, problem)
    local flags = require "demilune.cli.flags"
    problem.option = flags.option(problem.field)
    problem.message = flags.message(problem.message):gsub("[%a_]+%[%d+%]", function(other)
        local layer = find(layers, other)
        return layer and layer.kind == "flags" and flags.option(other) or nil
    end)
end

--- Adds its file to each problem, and the line where that can be found; or the option that says it. What no layer says
--- (a hook does) belongs to the file when there is but one; the command is no part of a policy.
---@param layers demilune.Layer[]
---@param problems demilune.Problem[]
---@return demilune.Problem[] problems
function places.add(layers, problems)
    for i, problem in ipairs(problems) do
        local layer, field = find(layers, problem.field)
        local is_policy = not problem.field:find("^command%f[%W]")
        layer = layer or is_policy and #layers == 1 and layers[1] or {}
        problem.file = layer.file
        problem.line = i <= MOST_LINES and field and places.line(layer, field) or nil
        if layer.kind == "flags" then
            speak_of_options(layers, problem)
        end
    end
    return problems
end

return places
