--- Event loops of the host that have to be told of what goes.
local loop = {}

--- A descriptor that was polled is about to be closed: cqueues, where it is there, keeps what it was given until it is
--- told, and breaks over a number that means something else by then.
---@param fd integer|nil
function loop.leave(fd)
    if fd and package.loaded.cqueues then
        package.loaded.cqueues.cancel(fd)
    end
end

return loop
