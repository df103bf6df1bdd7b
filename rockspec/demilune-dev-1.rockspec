rockspec_format = "3.0"
package = "demilune"
version = "dev-1"

-- For `luarocks make`, which builds the checkout that this file lies in.
source = { url = "." }

description = {
    summary = "Runs a command in a sandbox that a Lua policy describes",
    detailed = [[
        What a command may read, write, reach and use up stands in a Lua table. Its hooks may adjust it; then a C engine
        takes a copy, validates it, and launches the command under bubblewrap. A command and a module.]],
    license = "MIT",
    labels = { "sandbox", "linux", "security" },
}

supported_platforms = { "linux" }

dependencies = { "lua >= 5.4, < 5.5", "lua-cjson >= 2.1" }

external_dependencies = { LIBMD = { header = "sha2.h" } }

build = {
    type = "make",
    build_variables = {
        CFLAGS = "$(CFLAGS)",
        CPPFLAGS = "-I$(LIBMD_INCDIR)",
        LDFLAGS = "-L$(LIBMD_LIBDIR)",
        LIBFLAG = "$(LIBFLAG)",
        LUA = "$(LUA)",
        LUA_INCDIR = "$(LUA_INCDIR)",
    },
    install_variables = {
        PREFIX = "$(PREFIX)",
        INST_BINDIR = "$(BINDIR)",
        INST_LIBDIR = "$(LIBDIR)",
        INST_LUADIR = "$(LUADIR)",
        INST_MANDIR = "$(PREFIX)/man",
    },
}

test = { type = "command", command = "make test" }
