--- The command: finds the subcommand and runs it. Each stands in a file of its own under demilune/cli/.
local core = require "demilune.core"

local EXIT_REFUSED = 125
local ANCESTOR = "noether-sandbox" -- called by this name, all words are that program's

local summaries = {
    { "run", "run a command in a sandbox" },
    { "check", "validate policies; print problems; run nothing" },
    { "explain", "say what the sandbox will be, and why" },
    { "test", "try what policies say must and must not be possible" },
    { "doctor", "say which backends work here, and why others do not" },
    { "batch", "run many jobs, some at a time; results as JSON lines" },
    { "script", "run a trusted Lua program with the module at hand" },
    { "sandbox", "the protocol of noether-sandbox, also when called by that name" },
}

local function help()
    local lines = { "demilune: run a command in a sandbox that a Lua policy describes", "", "usage:" }
    for _, entry in ipairs(summaries) do
        lines[#lines + 1] = ("  demilune %-8s  %s"):format(entry[1], entry[2])
    end
    lines[#lines + 1] = [[

  demilune COMMAND --help   what a command takes
  demilune --version        the version

  demilune run -p policy.lua -- make test
  demilune run --project . --timeout 30s -- python3 job.py

exit codes of run:
  0-255     the command's own
  124       a limit of ours ended it
  125       usage or policy problem, or no sandbox: nothing was run
  126, 127  the command could not be executed, was not found
  128+n     a signal ended it]]
    return table.concat(lines, "\n") .. "\n"
end

local function complain(text)
    io.stderr:write("demilune: ", text, "\n")
    return EXIT_REFUSED
end

local function unknown(word)
    if word:sub(1, 1) == "-" then
        return complain(("%s: the command stands before its options; did you mean demilune run %s? see demilune --help")
            :format(core.quote(word), core.escape(word)))
    end
    local names = {}
    for i, entry in ipairs(summaries) do
        names[i] = entry[1]
    end
    local nearest = core.nearest(word, names)
    return complain(("%s is no command%s; see demilune --help"):format(core.quote(word),
        nearest and ("; did you mean %s?"):format(nearest) or ""))
end

--- Runs the command line and returns the exit code.
---@param arg string[] arg[0] is the program
---@return integer
return function(arg)
    local word = arg[1]
    if arg[0] and arg[0]:match("[^/]*$") == ANCESTOR then
        return require("demilune.cli.sandbox")(table.move(arg, 1, #arg, 1, {}), ANCESTOR)
    elseif word == nil then
        io.stderr:write(help())
        return EXIT_REFUSED
    elseif word == "--help" or word == "-h" or word == "help" then
        io.stdout:write(help())
        return 0
    elseif word == "--version" or word == "-V" then
        io.stdout:write("demilune ", core.version, "\n")
        return 0
    end
    for _, entry in ipairs(summaries) do
        if entry[1] == word then
            return require("demilune.cli." .. word)(table.move(arg, 2, #arg, 1, {}))
        end
    end
    return unknown(word)
end
