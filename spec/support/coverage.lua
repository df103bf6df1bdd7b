-- Reports which lines of the C sources the specs ran: lua5.4 coverage.lua OBJECTS... (directories of a build with gcov).
-- SHOW: a source file, or "all": names each line that did not run, with its function.
local cjson = require("cjson").new()

local ENGINE, GLUE = "engine", "glue"

local function group_of(file)
    return file:find("^src/lua_") and GLUE or file:find("^src/main%.c") and GLUE or ENGINE
end

--- What gcov says about each object of a directory, as decoded JSON.
local function reports(directory)
    local pipe = assert(io.popen(("gcov --json-format --stdout '%s'/*.gcno '%s'/*/*.gcno 2>/dev/null"):format(directory,
        directory)))
    local list = {}
    for line in pipe:lines() do
        list[#list + 1] = cjson.decode(line)
    end
    assert(pipe:close(), "gcov failed")
    return list
end

--- { [file] = { [line] = { count =, name = function } } } over all directories.
local function collect(directories)
    local files = {}
    for _, directory in ipairs(directories) do
        for _, report in ipairs(reports(directory)) do
            for _, source in ipairs(report.files) do
                local lines = files[source.file] or {}
                files[source.file] = lines
                for _, line in ipairs(source.lines) do
                    local known = lines[line.line_number] or { count = 0, name = line.function_name }
                    known.count = known.count + line.count
                    lines[line.line_number] = known
                end
            end
        end
    end
    return files
end

local function sorted_keys(map)
    local keys = {}
    for key in pairs(map) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    return keys
end

local function source_lines(file)
    local list = {}
    for line in io.lines(file) do
        list[#list + 1] = line
    end
    return list
end

local function show_missing(file, lines)
    local text = source_lines(file)
    for _, number in ipairs(sorted_keys(lines)) do
        if lines[number].count == 0 then
            print(("%s:%d: %s:%s"):format(file, number, lines[number].name or "", text[number]))
        end
    end
end

local function print_row(name, ran, all)
    print(("%-32s %5d of %5d lines %6.1f%%"):format(name, ran, all, all > 0 and 100 * ran / all or 0))
end

local files = collect(arg)
local totals = { [ENGINE] = { 0, 0 }, [GLUE] = { 0, 0 } }
local show = os.getenv("SHOW") or ""
for _, file in ipairs(sorted_keys(files)) do
    if file:find("^src/") then
        local ran, all = 0, 0
        for _, line in pairs(files[file]) do
            all = all + 1
            ran = ran + (line.count > 0 and 1 or 0)
        end
        local total = totals[group_of(file)]
        total[1], total[2] = total[1] + ran, total[2] + all
        if show == "" then
            print_row(file, ran, all)
        elseif show == "all" or show == file then
            show_missing(file, files[file])
        end
    end
end
local engine, glue = totals[ENGINE], totals[GLUE]
assert(engine[2] > 0, "no counts: run `make coverage`")
print_row(ENGINE, engine[1], engine[2])
print_row(GLUE, glue[1], glue[2])
print_row("coverage", engine[1] + glue[1], engine[2] + glue[2])
