--- Problems of options, told in the words of a command line.
local flags = {}

-- The option that says a field; of what is in a list or a map the same.
local options = {
    base = "--base", effects = "--effect", acknowledge = "--acknowledge", requires = "--require", ro_binds = "--ro",
    rw_binds = "--rw", project = "--project", work_host = "--work", masks = "--mask", tmpfs = "--tmpfs",
    secrets = "--secret", devices = "--device", chdir = "--chdir", network = "--net", env = "--env", user = "--user",
    hostname = "--hostname", tty = "--tty", nested = "--nested", seccomp = "--seccomp",
}
local limits = { timeout = "--timeout", cpu_time = "--cpu-time", memory = "--memory", pids = "--pids" }

--- The option that says a field.
---@param field string "ro_binds[1].host"
---@return string|nil
function flags.option(field)
    local limit = field:match("^limits%.(.*)$")
    if limit then
        return limits[limit] or limit:find("^[%w_]+$") and "--limit " .. limit or "--limit"
    end
    return options[field:match("^[%w_]+")]
end

-- What messages say in Lua, and how an option says it.
local words = {
    { 'acknowledge = { "([%w_]+)" }', "--acknowledge %1" },
    { ", or mark the %l+ optional = true", ", or leave it out" },
    { "put it under ro_binds", "use --ro" },
    { 'masks = { "([^"]*)" }', "--mask %1" },
    { 'write { effect = "(%w+)", %l+ = ... }', "write %1=PATH" },
    { "is a string; a whole number is needed", "is no whole number" },
}

-- A file that is to be shown where it is, as the option for that.
local function read_only(path, at)
    return path == at and "--ro " .. path or ("--ro %s:%s"):format(path, at)
end

--- A message about what an option says.
---@param message string
---@return string
function flags.message(message)
    for _, pair in ipairs(words) do
        message = message:gsub(pair[1], pair[2])
    end
    return (message:gsub('ro_binds = { { "(.-)", "(.-)" } }', read_only))
end

return flags
