-- First inputs for the fuzz targets, from the fixtures: lua5.4 seeds.lua DIRECTORY
local cjson = require("cjson").new()

local corpus = ...

local function seed(target, number, text)
    local directory = corpus .. "/" .. target
    assert(os.execute(("mkdir -p '%s'"):format(directory)))
    local file = assert(io.open(("%s/seed-%03d"):format(directory, number), "wb"))
    file:write(text)
    file:close()
end

local number = 0
for line in io.lines("spec/fixtures/argv.jsonl") do
    local case = cjson.decode(line)
    if type(case.input.policy_text) == "string" and #case.input.policy_text < 2000 then
        number = number + 1
        seed("json", number, case.input.policy_text)
    end
end
local effects = { '{"effects":[{"effect":"Pure"},{"effect":"Cost","cents":18446744073709551615}]}',
    '{"effects":[["FsRead","/a"],["Network"],{"path":"/b","effect":"FsWrite"},{"effect":"Llm","model":"m"}]}', '[[["Pure"]]]',
    '[[],[],"\\ud83d\\ude00\\u001f\\/\\b",true,["\\udc00"]]', '[[],[],"\\ud800\\u0041",true,["\\ud800x"]]',
    '{"ro_binds":[{"host":"/a","sandbox":"/a","optional":true}],"network":false,"env_allowlist":[],"name":"n","project":{"path":"/p",' ..
    '"write":false},"env":{"A":"x","B":true},"tmpfs":["/t",{"sandbox":"/u","size":4096}],"symlinks":[{"target":"a","sandbox":"/l"}],' ..
    '"limits":{"timeout":1.5,"memory":"1G"},"seccomp":{"allow":["debug"]},"masks":["/m"],"effects":["Pure",{"effect":"Cost","cents":3}]}' }
for i, text in ipairs(effects) do
    seed("json", number + i, text)
end

local paths = { "/", "/usr/bin", "//usr///bin/", "/a/./b", "/a/../b", "a", "", "/usr/bin\n/usr", "/usrx\n/usr",
    "/" .. ("n"):rep(255), "/" .. ("n"):rep(256), "/" .. ("a/"):rep(2047) }
for i, path in ipairs(paths) do
    seed("path", i, path)
end

local texts = { "64M", "18446744073709551615", "16777216T", "1.5m", "200ms", "0.1h", "1.", "a\"\\b\n\27[2J\255",
    "\u{202e}\u{feff}\u{10ffff}", "rw_bind", "networks", "env-allowlist" }
for i, text in ipairs(texts) do
    seed("text", i, "\0" .. text)
end

-- A policy with everything that can stand in one. "*": with memory out at each allocation.
local policy = [[return { name = "n", description = "d", base = "none", work_host = "/tmp", project = { "/usr/share", write = false },
    ro_binds = { "/usr", { "/etc/hostname", "/h" }, { host = "~/x", sandbox = "/x", optional = true } },
    rw_binds = { "/opt", { host = "/tmp", sandbox = "/t" } }, effects = { "Pure", { effect = "FsRead", path = "/etc/hostname" } },
    network = true, env_allowlist = { "LANG", "PATH" }, env = { A = "x", B = true, LD_PRELOAD = "y" }, tmpfs = { "/a",
    { sandbox = "/b", size = "64M", mode = "0755" } }, symlinks = { { target = "a", sandbox = "/l" } }, masks = { "/usr/games",
    { sandbox = "/gone", optional = true } }, expect = { denied = { read = { "~/x", { path = "./x", optional = true } },
    connect = { "1.2.3.4:5", "[::1]:6", "/s", "@a" }, env = { "A" } }, allowed = { run = { { "a", "b" } }, write = { "." } } },
    devices = { { "/dev/zero", "/dev/z" } }, secrets = { ["/s"] = "content" },
    chdir = "/tmp", user = "caller", hostname = "h", tty = true, seccomp = { allow = { "debug" } },
    limits = { timeout = "30s", memory = "1G", tmp = "25%", open_files = 99 }, acknowledge = { "path_rw", "root", "home", "loader_env",
    "device" } }]]
seed("table", 1, "*" .. policy)
seed("table", 2, "*return { ro_binds = { \"relative\", {}, 5 }, env = { [1] = 2, a = 3 }, limits = { tmp = \"x\" }, nmae = 1 }")
seed("table", 3, "*return { rw_binds = { \"/\" }, masks = { \"/usr/games\" }, acknowledge = { \"root_rw\" }, base = \"none\" }")
seed("table", 4, "1" .. policy)
seed("table", 5, "1return { masks = { \"/a\", [4] = \"/b\" }, x = { { { { \"deep\" } } } } }")
seed("table", 6, "*return { env = { " .. ("LONG_ENOUGH_TO_BE_ALLOCATED_EACH_TIME_IT_IS_PUSHED"):rep(2) .. " = true } }")

local header = ("I4"):rep(8) .. ("I8"):rep(6) .. ("I4"):rep(2) .. ("I8"):rep(3 * 8)
local function message(argc, envc, strings)
    local numbers = { 0x31534d44, 0, argc, envc }
    for _ = #numbers + 1, 8 + 6 + 2 + 24 do
        numbers[#numbers + 1] = 0
    end
    numbers[2] = string.packsize(header) + #strings
    return string.pack(header, table.unpack(numbers)) .. strings
end
seed("stage", 1, "\0" .. message(1, 0, "true\0/\0"))
seed("stage", 2, "\0" .. message(3, 2, "sh\0-c\0:\0A=b\0PATH=/bin\0/work\0"))
seed("stage", 3, "\1" .. message(2, 1, "a\0b\0\0"))

-- What bytes stand for is random anyway; the texts are policy files.
math.randomseed(5)
for i = 1, 40 do
    local bytes = {}
    for at = 1, 20 * i do
        bytes[at] = string.char(math.random(0, 255))
    end
    seed("policy", i, "\0" .. table.concat(bytes))
end
seed("policy", 41, "\3" .. policy)
seed("policy", 42, "\3local t = {} for k in pairs(host) do t[#t + 1] = k end return { masks = t, "
    .. "prepare = function(p, c) p:mask(c.cwd) end }")
seed("policy", 43, "\3return { ro_binds = { policy_dir, include('common') }, env = { A = ('x'):rep(9), B = tostring(1 << 62) } }")
