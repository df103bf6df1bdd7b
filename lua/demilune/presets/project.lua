-- Any command in a project: it may change the project, but not what the host executes there, and has no network.
--
--     cd my-project && demilune run -p project -- ./configure
--     demilune run -p project --project my-project -- sh build.sh
--
-- The other presets for projects stand on this one. What is not there cannot be protected, for nothing is ever created
-- on the host: look at what is new before you use it, another .git or .envrc further down, a Makefile.

-- By git, shells, editors and package managers, outside. Of git all: whoever can write to any file of .git can have the
-- next git run a program, and what looks at the history works without.
local executed = {
    ".git", ".husky", ".pre-commit-config.yaml", ".envrc", ".mise.toml", ".vscode", ".idea", ".devcontainer", ".npmrc",
    ".yarnrc.yml",
}

local read_only, unwritable = {}, { "/usr", "/etc", "/" }
for _, name in ipairs(executed) do
    local path = project .. "/" .. name
    table.insert(read_only, { host = path, sandbox = path, optional = true })
    table.insert(unwritable, { path = "./" .. name, optional = true })
end

return {
    name = "project",
    description = "any command in a project, which it may change, but for what the host executes there; no network",
    project = project,
    ro_binds = read_only,
    expect = {
        denied = {
            read = { "/etc/shadow", "/root/.ssh", "/var/log" },
            write = unwritable,
            connect = { "1.1.1.1:53", "/run/dbus/system_bus_socket", "@/tmp/.X11-unix/X0" },
            env = { "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK" },
        },
        allowed = { read = { "." }, write = { ".", "/tmp", "/work" } },
    },
}
