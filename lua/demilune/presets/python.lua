-- Python in a project, with the project's own .venv where it has one, and without a network. pip takes what is local:
--
--     demilune run -p python -- python3 -m venv .venv
--     demilune run -p python -- pip install --no-build-isolation ./package
--     demilune run -p python -- python -m pytest
--
-- The interpreter has to be the system's: one below a home is not there. `--net` lets pip download, and what it
-- installs run with the network.
return {
    name = "python",
    description = "Python in a project, without a network",
    project = project,
    ro_binds = {
        { host = project .. "/.git", sandbox = project .. "/.git", optional = true }, -- its hooks run outside
    },
    env = {
        PATH = project .. "/.venv/bin:/usr/local/bin:/usr/bin:/bin",
        PIP_DISABLE_PIP_VERSION_CHECK = "1",
    },
    prepare = function(policy)
        if not policy.network then
            policy:set_env("PIP_NO_INDEX", "1") -- an error at once instead of five tries
        end
    end,
    expect = {
        denied = {
            read = { "/etc/shadow", "/root/.ssh", "/var/log" },
            write = { "/usr/lib/python3", "/etc", { path = "./.git", optional = true } },
            connect = { "1.1.1.1:53" },
            env = { "AWS_SECRET_ACCESS_KEY", "PYPI_TOKEN", "TWINE_PASSWORD" },
            run = { { "python3", "-c", "import socket; socket.create_connection(('1.1.1.1', 53), 3)" } },
        },
        allowed = {
            read = { "." },
            write = { ".", "/tmp", "/work" },
            run = { { "python3", "-c", "import ssl, venv" } },
            env = { "PIP_NO_INDEX" },
        },
    },
}
