--- A page of text in aligned columns, in colour where that is wanted. What it is given can be printed as it is.
local page = {}
page.__index = page

---@class demilune.Row
---@field depth integer how far it is indented
---@field name string the first column
---@field [integer] string the columns after it
---@field paint? string how the column after the name looks
---@field faint? boolean a remark about the row above
---@field look? string how all of it looks
---@field prose? boolean its one column is a sentence: it goes on in the next line instead of being cut
---@field whole? boolean it is never cut

local colours = {
    heading = "\27[1m", faint = "\27[2m", ["read-write"] = "\27[33m", private = "\27[36m", masked = "\27[35m",
    pinned = "\27[35m", device = "\27[33m", added = "\27[32m", removed = "\27[31m",
}

local INDENT, GAP = 2, 2
local WIDEST = { 34, 44 } -- what the name and another column may take; what is longer moves what follows

local LEAST = 12 -- what is left of a column in a narrow terminal

---@param colour boolean
---@param columns? integer how wide a terminal is: what is longer is cut there
---@return table
function page.new(colour, columns)
    return setmetatable({ colour = colour, columns = columns, lines = {} }, page)
end

local function width(text)
    return utf8.len(text) or #text
end

local function padded(text, columns)
    return text .. (" "):rep(columns - width(text))
end

local function cut(text, columns)
    if not columns or width(text) <= columns then
        return text
    end
    local kept = math.max(columns - 3, 0)
    return text:sub(1, utf8.len(text) and utf8.offset(text, kept + 1) - 1 or kept) .. "..."
end

--- Words in lines of at most so many columns.
---@param list string[]
---@param columns integer
---@return string[]
function page.folded(list, columns)
    local lines, line = {}, nil
    for _, word in ipairs(list) do
        if line and width(line) + 1 + width(word) > columns then
            lines[#lines + 1], line = line, word
        else
            line = line and line .. " " .. word or word
        end
    end
    lines[#lines + 1] = line
    return lines
end

local function words_of(sentence)
    local list = {}
    for word in sentence:gmatch("%S+") do
        list[#list + 1] = word
    end
    return list
end

function page:paint(text, how)
    local start = self.colour and colours[how]
    return start and text ~= "" and start .. text .. "\27[0m" or text
end

function page:line(text)
    self.lines[#self.lines + 1] = text
end

--- A line that begins a part.
function page:heading(text)
    self:line(self:paint(text, "heading"))
end

-- The last column that has something in it.
local function last_column(row)
    local last = #row
    while last > 0 and row[last] == "" do
        last = last - 1
    end
    return last
end

-- How wide each column is: as its widest text with something after it, within bounds.
local function widths_of(rows, names)
    local widths = { [0] = 0 }
    for i, row in ipairs(rows) do
        for column = 0, last_column(row) - 1 do
            local length = width(column == 0 and names[i] or row[column])
            if length <= (column == 0 and WIDEST[1] or WIDEST[2]) then
                widths[column] = math.max(widths[column] or 0, length)
            end
        end
    end
    return widths
end

-- The most that each column may take, so that they fit beside each other: the widest gives way first.
local function bounds_of(rows, names, columns)
    local bounds, total = {}, 0
    for i, row in ipairs(rows) do
        for column = 0, row.prose and 0 or last_column(row) do
            local length = width(column == 0 and names[i] or row[column])
            local counts = column > 0 or length <= WIDEST[1]
            bounds[column] = math.max(bounds[column] or 0, counts and math.min(length, columns) or 0)
        end
    end
    for column = 0, #bounds do
        total = total + bounds[column] + (column > 0 and GAP or 0)
    end
    while total > columns do
        local widest = 0
        for column = 1, #bounds do
            widest = bounds[column] > bounds[widest] and column or widest
        end
        if bounds[widest] <= LEAST then
            break
        end
        bounds[widest], total = bounds[widest] - 1, total - 1
    end
    return bounds
end

-- The row as it is shown in a terminal: cut, or as several rows.
local function fitted(row, name, bounds, columns)
    if row.whole then
        return { row }, { name }
    elseif row.prose then
        local rows, names = {}, {}
        for i, line in ipairs(page.folded(words_of(row[1]), math.max(columns - bounds[0] - GAP, LEAST))) do
            rows[i], names[i] = setmetatable({ line }, { __index = row }), i == 1 and name or ""
        end
        return rows, names
    end
    local last = last_column(row)
    local short = setmetatable({}, { __index = row })
    for column = 1, last do
        short[column] = cut(row[column], bounds[column])
    end
    local beside = last > 0 and width(name) <= WIDEST[1]
    return { short }, { cut(name, beside and bounds[0] or columns) }
end

local function fit(rows, names, columns)
    local bounds = bounds_of(rows, names, columns)
    local all_rows, all_names = {}, {}
    for i, row in ipairs(rows) do
        local some, their_names = fitted(row, names[i], bounds, columns)
        table.move(some, 1, #some, #all_rows + 1, all_rows)
        table.move(their_names, 1, #their_names, #all_names + 1, all_names)
    end
    return all_rows, all_names
end

local gap = (" "):rep(GAP)

function page:add_row(row, name, widths)
    local last = last_column(row)
    local look = row.faint and "faint" or row.look
    if last > 0 and width(name) > widths[0] then -- a long name has a line of its own
        self:line(self:paint(name, look))
        name = ""
    end
    local parts = { self:paint(last > 0 and padded(name, widths[0]) or name, look) }
    for column = 1, last do
        if (widths[column] or 0) > 0 or row[column] ~= "" then
            local text = column < last and padded(row[column], widths[column] or 0) or row[column]
            local own = column == 1 and row.paint or column > 1 and column == #row and "faint"
            parts[#parts + 1] = self:paint(text, look or own)
        end
    end
    self:line(table.concat(parts, gap))
end

--- Rows whose columns are aligned with each other. A column with nothing in it is left out.
---@param rows demilune.Row[]
function page:rows(rows)
    local names = {}
    for i, row in ipairs(rows) do
        names[i] = (" "):rep(row.depth * INDENT) .. row.name
    end
    if self.columns then
        rows, names = fit(rows, names, self.columns)
    end
    local widths = widths_of(rows, names)
    for i, row in ipairs(rows) do
        self:add_row(row, names[i], widths)
    end
end

--- The page as text.
---@return string
function page:text()
    return table.concat(self.lines, "\n") .. "\n"
end

return page
