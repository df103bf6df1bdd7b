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

local colours = {
    heading = "\27[1m", faint = "\27[2m", ["read-write"] = "\27[33m", private = "\27[36m", masked = "\27[35m",
    pinned = "\27[35m", device = "\27[33m", added = "\27[32m", removed = "\27[31m",
}

local INDENT, GAP = 2, 2
local WIDEST = { 34, 44 } -- what the name and another column may take; what is longer moves what follows

---@param colour boolean
---@return table
function page.new(colour)
    return setmetatable({ colour = colour, lines = {} }, page)
end

local function width(text)
    return utf8.len(text) or #text
end

local function padded(text, columns)
    return text .. (" "):rep(columns - width(text))
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
