-- Probes: small Python programs inside a sandbox, in a bare process, or around the command on the host.
local cjson = require("cjson").new()
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

local probe = {}

local PYTHON = "/usr/bin/python3"

--- Runs Python code in a sandbox; `options` are those of `demilune run`.
function probe.python(options, code, more)
    local arguments = table.move(options, 1, #options, 2, { "run" })
    return sandbox.demilune(table.move({ "--", PYTHON, "-c", code }, 1, 4, #arguments + 1, arguments), more)
end

--- Runs the same code without isolation: it shows that the probe can tell.
function probe.bare(code, more)
    return probe.python({ "--backend", "none", "--unsafe-no-isolation" }, code, more)
end

--- Runs Python code on the host, with `words` as sys.argv[1:].
function probe.host(code, words, more)
    more = more or {}
    local line = { more.prefix or "", PYTHON, "-c", sandbox.quote(code) }
    for _, word in ipairs(words or {}) do
        line[#line + 1] = sandbox.quote(word)
    end
    return sandbox.sh(table.concat(line, " "), more.input)
end

--- `demilune run --status PATH` with more words. Returns the decoded status and what sh gave.
function probe.status(path, words, more)
    local result = sandbox.demilune(table.move(words, 1, #words, 4, { "run", "--status", path }), more)
    local text = sandbox.read(path)
    return text and text ~= "" and cjson.decode(text) or nil, result
end

--- The command line of bwrap that the ancestor would use (with the host's /usr, so that there is a shell), as a line
--- for sh. `words` are more options of bwrap, `command` what it runs.
function probe.reference(words, command)
    local line = {
        "env -i PATH=/usr/bin:/bin bwrap --unshare-all --die-with-parent --new-session --uid 65534 --gid 65534",
        "--proc /proc --dev /dev --tmpfs /tmp --clearenv --cap-drop ALL --ro-bind /usr /usr --symlink usr/bin /bin",
        "--symlink usr/lib /lib --symlink usr/lib64 /lib64",
    }
    for _, word in ipairs(words) do
        line[#line + 1] = sandbox.quote(word)
    end
    line[#line + 1] = "--setenv PATH /usr/bin:/bin --"
    for _, word in ipairs(command) do
        line[#line + 1] = sandbox.quote(word)
    end
    return table.concat(line, " ")
end

--- Python for probe.host that stops `process`, a runner, and the `sleep marker` that it runs, lets both go on, and ends
--- them. It prints whether each moment came to pass for both.
probe.stop_and_continue = [[
import os, signal, time
def state(pid):
    return open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()[0]
def command():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open("/proc/%s/cmdline" % pid, errors="replace").read().startswith("sleep\0%s" % marker):
                return int(pid)
        except OSError:
            pass
def wait_for(what, wanted):
    for _ in range(400):
        states = [pid and state(pid) for pid in (process.pid, command())]
        if states == [wanted, wanted]:
            break
        time.sleep(0.05)
    print(what, states == [wanted, wanted])
wait_for("runs", "S")
process.send_signal(signal.SIGTSTP)
wait_for("stops", "T")
process.send_signal(signal.SIGCONT)
wait_for("resumes", "S")
process.send_signal(signal.SIGTERM)
]]

--- A duration for `sleep` that no other process has.
function probe.marker()
    return "300." .. leaks.run_name:match("%d+")
end

--- Writes a program for Lua and runs it with the module at hand, as a host of its own. Returns what sh gave.
function probe.lua(path, code, more)
    more = more or {}
    sandbox.write(path, code)
    return sandbox.sh(("%s lua5.4 -e %s %s %s"):format(more.prefix or "", sandbox.quote(
        ("package.path, package.cpath = %q, %q; require 'support.backend'"):format(package.path, package.cpath)),
        sandbox.quote(path), more.suffix or ""), more.input)
end

return probe
