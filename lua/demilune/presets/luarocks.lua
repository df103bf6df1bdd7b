-- Builds rocks in a project, into the project's own tree, without a network:
--
--     demilune run -p luarocks -- luarocks --lua-version 5.4 --tree lua_modules make
--     demilune run -p luarocks -- luarocks --lua-version 5.4 --tree lua_modules install some-1.0-1.src.rock
--
-- A rockspec is a program, and runs compilers: here it has nothing but the project. `--net` lets luarocks download, and
-- what it builds run with the network. No home is there: neither ~/.luarocks nor the keys in it. The project is
-- writable, but for what the host executes there.
return {
    extends = "project",
    name = "luarocks",
    description = "luarocks in a project, into its own tree, without a network",
    ro_binds = { { host = "/etc/luarocks", sandbox = "/etc/luarocks", optional = true } },
    expect = {
        denied = { read = { "/root/.luarocks" }, write = { "/etc/luarocks" }, env = { "LUAROCKS_API_KEY" } },
        allowed = { run = { { "luarocks", "--version" }, { "cc", "--version" } } },
    },
}
