--- Order by bytes: that of `<` depends on the host program's locale.
local order = {}

--- -1, 0 or 1, as `a` stands before `b`, is the same, or stands behind it.
---@param a string
---@param b string
---@return integer
function order.compare(a, b)
    if a == b then
        return 0
    end
    for i = 1, math.min(#a, #b) do
        local x, y = a:byte(i), b:byte(i)
        if x ~= y then
            return x < y and -1 or 1
        end
    end
    return #a < #b and -1 or 1
end

--- The same for table.sort.
---@param a string
---@param b string
---@return boolean
function order.before(a, b)
    return order.compare(a, b) < 0
end

return order
