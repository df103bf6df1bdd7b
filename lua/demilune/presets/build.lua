-- Builds a project with the compilers of this machine, without a network:
--
--     cd my-project && demilune run -p build -- make
--     demilune run -p build --project my-project -- ninja -C out
--
-- The project is writable, but for what the host executes there.
local any = include "project"

return {
    name = "build",
    description = "a compiler at work in a project, without a network",
    project = project,
    ro_binds = any.ro_binds,
    env = { CC = true, CXX = true, CFLAGS = true, CXXFLAGS = true, LDFLAGS = true },
    expect = {
        denied = any.expect.denied,
        allowed = {
            read = { ".", "/usr/include" },
            write = { ".", "/tmp", "/work" },
            run = { { "make", "--version" }, { "cc", "--version" } },
        },
    },
}
