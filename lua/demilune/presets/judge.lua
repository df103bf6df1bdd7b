-- Runs one program that nobody trusts, on the input it is given, with every limit:
--
--     cd submission && demilune run -p judge -- ./solution <input >output
--     demilune run -p judge --project submission:ro -- python3 solution.py
--     demilune batch -p judge <jobs.jsonl >verdicts.jsonl
--
-- It sees the system's programs and its own directory, read-only, and no variable but LANG, PATH, HOME and USER.
-- Memory, processes and processor time hold for all of it together where a cgroup can be made; to run nowhere else,
-- add `--require cgroup`. Output is bounded in batches; with `run` it goes where you send it.
return {
    name = "judge",
    description = "one program that nobody trusts: hermetic, with every limit",
    project = { project, write = false },
    env_allowlist = {},
    env = { LANG = "C.UTF-8" },
    hostname = "judge",
    limits = {
        timeout = "10s", cpu_time = "5s", memory = "256M", pids = 64, file_size = "16M", open_files = 64,
        tmp = "32M",
    },
    expect = {
        denied = {
            read = { "/etc/shadow", "/root/.ssh", "/var/log" },
            write = { ".", "/usr", "/etc", "/" },
            connect = { "1.1.1.1:53", "/run/dbus/system_bus_socket" },
            env = { "TERM", "TZ", "SSH_AUTH_SOCK", "GITHUB_TOKEN" },
            run = { { "unshare", "--user", "true" }, { "sh", "-c", "head -c 17M /dev/zero >/tmp/large" } },
        },
        allowed = {
            read = { ".", "/usr/bin/env" },
            write = { "/tmp", "/work" },
            env = { "LANG", "PATH", "HOME" },
        },
    },
}
