--- A plan for people: what is where inside, what can be done with it, and who said so.
local explain = {}

---@class demilune.ExplainOptions
---@field show_values? boolean values that are hidden otherwise
---@field colour? boolean for a terminal
---@field columns? integer the width of a terminal: what is longer is cut
---@field all? boolean each entry in a line of its own
---@field backend? table what a backend makes of the plan: see demilune.explain.backend

local function add_head(drawing, account)
    local words, rows = require "demilune.explain.words", {}
    local function add(name, text)
        rows[#rows + 1] = { depth = 0, name = name, text }
    end
    if account.name then
        add("policy", require("demilune.message").plain(account.name))
    end
    if account.description then
        add("about", require("demilune.message").plain(account.description))
    end
    if #account.argv > 0 then
        local list = {}
        for i, word in ipairs(account.argv) do
            list[i] = explain.shell_word(word)
        end
        add("command", table.concat(list, " "))
    end
    for i, layer in ipairs(account.layers) do
        add(i == 1 and "said by" or "   then", words.layer(layer))
    end
    for _, ceiling in ipairs(account.ceilings) do
        add("within", words.layer { kind = "ceiling", file = ceiling.file })
    end
    drawing:rows(rows)
end

local function add_part(drawing, title, rows)
    if #rows > 0 then
        drawing:line("")
        drawing:heading(title)
        drawing:rows(rows)
    end
end

--- The plan as text.
---@param plan demilune.Plan
---@param options demilune.ExplainOptions
---@return string
function explain.text(plan, options)
    local account = require("demilune.explain.account").of(plan)
    local names = require("demilune.explain.words").new()
    local tree = require "demilune.explain.tree"
    local settings = require "demilune.explain.settings"
    local drawing = require("demilune.explain.page").new(options.colour or false, options.columns)
    add_head(drawing, account)
    add_part(drawing, "files", tree.rows(account, names, options.all))
    add_part(drawing, "not there", require("demilune.explain.missing").rows(account, names, options.columns))
    add_part(drawing, "environment", require("demilune.explain.environment").rows(account, names, options.show_values))
    add_part(drawing, "limits", settings.limit_rows(account, names))
    add_part(drawing, "settings", settings.rows(account, names))
    add_part(drawing, "dangers acknowledged", settings.danger_rows(account, names))
    if options.backend then
        add_part(drawing, "backend", require("demilune.explain.backend").rows(options.backend, account.requires))
    end
    drawing:line("")
    drawing:rows { { depth = 0, name = "digest", account.digest, whole = true } }
    return drawing:text()
end

-- The variables as they may be shown.
local function shown_variables(env, show_values)
    for _, variable in ipairs(env) do
        variable.value = (show_values or not variable.hidden) and variable.value or nil
        variable.hidden = nil
    end
    return env
end

--- The plan as data for JSON, with the same values hidden.
---@param plan demilune.Plan
---@param options demilune.ExplainOptions
---@return table
function explain.data(plan, options)
    local account = require("demilune.explain.account").of(plan)
    shown_variables(account.env, options.show_values)
    account.backend = options.backend
    return account
end

--- The variables of a plan as { name, value }, without the values that are hidden.
---@param plan demilune.Plan
---@param show_values? boolean
---@return { name: string, value: string? }[]
function explain.variables(plan, show_values)
    return shown_variables(require("demilune.explain.account").of(plan).env, show_values)
end

--- An answer to "why" as text.
---@param answer demilune.Answer
---@param options demilune.ExplainOptions
---@return string
function explain.answer(answer, options)
    local drawing = require("demilune.explain.page").new(options.colour or false, options.columns)
    require("demilune.explain.why").draw(drawing, answer, require("demilune.explain.words").new())
    return drawing:text()
end

--- What differs between two plans as text; empty when nothing does.
---@param changes table of demilune.explain.diff
---@param options demilune.ExplainOptions
---@return string
function explain.changes(changes, options)
    local drawing = require("demilune.explain.page").new(options.colour or false, options.columns)
    require("demilune.explain.diff").draw(drawing, changes, require("demilune.explain.words").new(),
        options.show_values)
    return changes.equal and "" or drawing:text()
end

--- The same as data for JSON, without the values that are hidden.
---@param changes table
---@param options demilune.ExplainOptions
---@return table
function explain.shown_changes(changes, options)
    for _, change in ipairs(changes.environment) do
        shown_variables({ change.old }, options.show_values)
        shown_variables({ change.new }, options.show_values)
    end
    return changes
end

--- A word as a shell would need it; control characters as $'...'.
---@param word string
---@return string
function explain.shell_word(word)
    if word:find("^[%w%._/%-+=:@%%,]+$") then
        return word
    elseif word:find("[%c\128-\255]") then
        return "$'" .. word:gsub("[%c\128-\255'\\]", function(byte)
            return ("\\x%02x"):format(byte:byte())
        end) .. "'"
    end
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

return explain
