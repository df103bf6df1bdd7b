-- Builds a project with what this machine has: the project is writable, its .git is not, and there is no network.
--
--     cd my-project && demilune run -p build -- make
--     demilune run -p build --project my-project -- ninja -C out
return {
    name = "build",
    description = "a compiler at work in a project, without a network",
    project = project,
    ro_binds = {
        { host = project .. "/.git", sandbox = project .. "/.git", optional = true }, -- its hooks run outside
    },
    env = { CC = true, CXX = true, CFLAGS = true, CXXFLAGS = true, LDFLAGS = true },
    expect = {
        denied = {
            read = { "/etc/shadow", "/root/.ssh", "/var/log" },
            write = { "/usr/bin", "/etc", { path = "./.git", optional = true } },
            connect = { "1.1.1.1:53", "/run/dbus/system_bus_socket" },
            env = { "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK" },
        },
        allowed = {
            read = { ".", "/usr/include" },
            write = { ".", "/tmp", "/work" },
            run = { { "make", "--version" }, { "cc", "--version" } },
        },
    },
}
