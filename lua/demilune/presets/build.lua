-- Builds a project with the compilers of this machine, without a network:
--
--     cd my-project && demilune run -p build -- make
--     demilune run -p build --project my-project -- ninja -C out
--
-- The project is writable, but for what the host executes there.
return {
    extends = "project",
    name = "build",
    description = "a compiler at work in a project, without a network",
    env = { CC = true, CXX = true, CFLAGS = true, CXXFLAGS = true, LDFLAGS = true },
    expect = { allowed = { read = { "/usr/include" }, run = { { "make", "--version" }, { "cc", "--version" } } } },
}
