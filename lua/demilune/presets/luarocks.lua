-- Builds rocks in a project, into the project's own tree, without a network:
--
--     demilune run -p luarocks -- luarocks --lua-version 5.4 --tree lua_modules make
--     demilune run -p luarocks -- luarocks --lua-version 5.4 --tree lua_modules install some-1.0-1.src.rock
--
-- A rockspec is a program, and runs compilers: here it has nothing but the project. `--net` lets luarocks download, and
-- what it builds run with the network. No home is there: neither ~/.luarocks nor the keys in it.
return {
    name = "luarocks",
    description = "luarocks in a project, into its own tree, without a network",
    project = project,
    ro_binds = {
        { host = project .. "/.git", sandbox = project .. "/.git", optional = true }, -- its hooks run outside
        { host = "/etc/luarocks", sandbox = "/etc/luarocks", optional = true },
    },
    expect = {
        denied = {
            read = { "/etc/shadow", "/root/.luarocks", "/root/.ssh" },
            write = { "/usr/share/lua", "/usr/local", "/etc/luarocks", { path = "./.git", optional = true } },
            connect = { "1.1.1.1:53" },
            env = { "LUAROCKS_API_KEY", "GITHUB_TOKEN" },
        },
        allowed = {
            read = { "." },
            write = { ".", "/tmp", "/work" },
            run = { { "luarocks", "--version" }, { "cc", "--version" } },
        },
    },
}
