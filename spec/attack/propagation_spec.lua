-- What the host mounts later below a bound directory: natively the sandbox keeps what it was given.
local leaks = require "support.leaks"
local sandbox = require "support.sandbox"

describe("a mount that the host makes meanwhile #once", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    -- What is seen inside below the bind, before and after something is mounted there on the host.
    local function seen(backend)
        local script = ([[
cd %s && mkdir -p tree/sub && : >tree/sub/old && mount --make-rshared / && mkfifo go said
%s run --backend %s --ro tree:/tree -- sh -c '
    ls /tree/sub; read -r _; ls /tree/sub; (: >/tree/sub/made) 2>/dev/null && echo written' <go >said &
exec 3>go 4<said
read -r first <&4; echo "$first"
mount -t tmpfs none tree/sub && : >tree/sub/new
echo >&3; cat <&4; wait; umount tree/sub; rm -r tree go said]]):format(scratch(), sandbox.command, backend)
        local prefix = sandbox.is_root and "unshare --mount" or "unshare --user --map-root-user --mount"
        local result = sandbox.sh(("timeout 60 %s sh -c %s"):format(prefix, sandbox.quote(script)))
        return result.out, result.err
    end

    it("does not appear inside, where under bwrap it does, writable", function()
        assert.equal("old\nnew\nwritten\n", (seen("bwrap")))
        assert.equal("old\nold\n", (seen("native")))
    end)
end)
