-- Devices of the host: which can be used inside, which cannot, and what else comes with them.
local demilune = require "demilune"
local lacking = require "support.lacking"
local leaks = require "support.leaks"
local policies = require "support.policies"
local probe = require "support.probe"
local sandbox = require "support.sandbox"

-- Another name for a device that everybody may use, so that a fresh /dev does not have it.
local ZERO = { "/dev/zero", "/dev/spare" }
local READ = "head -c 2 /dev/spare | od -An -tx1"

describe("devices:", function()
    local scratch = sandbox.scratch(before_each, after_each)
    leaks.watch(before_each, after_each)

    local function run(fields, script)
        local policy = assert(demilune.policy(fields))
        return assert(policy:run({ "sh", "-c", script }, { capture = true, stdin = "null" }))
    end

    -- In mounts of our own a /dev with a directory of devices: a node, another one, a link, a file and a directory
    -- without any.
    local function with_directory()
        return lacking.mounts(([[
(cd %s && mkdir -p dev && mount -t tmpfs none dev && cd dev && mkdir -p pts shm mqueue gpu/by-path deep/1/2/3/4 &&
for name in null zero full random urandom tty; do : >$name && mount --bind /dev/$name $name || exit 9; done &&
: >gpu/card0 && mount --bind /dev/zero gpu/card0 && : >gpu/render && mount --bind /dev/full gpu/render &&
: >deep/1/2/3/4/node && mount --bind /dev/null deep/1/2/3/4/node &&
ln -s ../card0 gpu/by-path/first && ln -s /etc/passwd gpu/out && echo text >gpu/file && mount --rbind . /dev)]]):format(
            sandbox.quote(scratch())))
    end

    it("F10: a device of the host can be used where the policy names it, and not without", function()
        assert.matches("No such file", run({}, READ).stderr)
        local with = run({ devices = { ZERO }, acknowledge = { "device" } }, READ .. "; echo x >/dev/spare && echo written")
        assert.equal(" 00 00\nwritten\n", with.stdout, with.stderr)
        -- bound in the ordinary way, as by hand, it is there and opens for nobody
        local by_hand = probe.reference({ "--ro-bind", "/dev/zero", "/dev/spare" }, { "sh", "-c", READ })
        assert.matches("Permission denied", sandbox.sh(by_hand).err)
    end)

    it("F10: /dev stays sealed around them", function()
        local result = run({ devices = { ZERO, { "/dev/full", "/dev/a/b/c" } }, acknowledge = { "device" } },
            [[for p in /dev/x /dev/a/x /dev/a/b/x; do (: >$p) 2>/dev/null && echo wrote $p; done
            rm -f /dev/spare /dev/a/b/c 2>/dev/null; mv /dev/a /dev/z 2>/dev/null; mknod /dev/n c 1 3 2>/dev/null
            stat -c '%F %a %n' /dev/spare /dev/a /dev/a/b /dev/a/b/c; ls /dev/n 2>/dev/null]])
        assert.equal("character special file 666 /dev/spare\ndirectory 755 /dev/a\ndirectory 755 /dev/a/b\n" ..
            "character special file 666 /dev/a/b/c\n", result.stdout, result.stderr)
    end)

    it("F10: of a directory the devices and links come, in a directory of the sandbox's own", function()
        local script = [[cd /dev/gpu && LC_ALL=C find . | LC_ALL=C sort | tr '\n' ' '; head -c 2 by-path/first | od -An -tx1
            (echo x >render) 2>/dev/null || echo full; readlink by-path/first
            (: >new) 2>/dev/null && echo new; rm card0 2>/dev/null && echo removed; echo done]]
        local result = sandbox.script({ "--device", "/dev/gpu", "--acknowledge", "device" }, script, { prefix = with_directory() })
        assert.equal(". ./by-path ./by-path/first ./card0 ./out ./render  00 00\nfull\n../card0\ndone\n", result.out, result.err)
    end)

    it("a directory at another place, a device within it twice, one that may be missing", function()
        local options = { "--device", "/dev/gpu:/dev/other", "--device", "/dev/gpu/card0:/dev/other/card0", "--acknowledge",
            "device" }
        local result = sandbox.script(options, "head -c 1 /dev/other/card0 | od -An -tx1; ls /dev/gpu", {
            prefix = with_directory() })
        assert.equal(" 00\n", result.out, result.err)
        policies.accepted { devices = { { host = "/dev/no such device", optional = true } } }
        policies.refused({ devices = { "/dev/no such device" } }, "bind.missing", "devices[1].host",
            "does not exist; create it, or mark the device optional = true")
    end)

    it("F10: a directory without a device, or with too much, is a problem", function()
        for path, said in pairs {
            ["/dev/mqueue"] = "holds no device", ["/dev/deep"] = "holds more than can be made usable at once",
            ["/dev/gpu/file"] = "is no device, and no directory that holds one",
        } do
            local result = sandbox.script({ "--device", path, "--acknowledge", "device" }, "true", { prefix = with_directory() })
            assert.equal(125, result.code)
            assert.matches(said, result.err, 1, true)
        end
        assert.equal(0, sandbox.script({ "--device", "/dev/deep/1", "--acknowledge", "device" }, "test -c /dev/deep/1/2/3/4/node",
            { prefix = with_directory() }).code)
    end)

    it("is a danger, at places of devices alone, with a source that is one", function()
        policies.refused({ devices = { ZERO } }, "device.dangerous", "devices[1]",
            'lets the command use a device of the host; leave it out, or accept it: acknowledge = { "device" }')
        local accept = { "device" }
        for place, said in pairs {
            ["/dev"] = "is not below /dev", ["/devices/x"] = "is not below /dev", ["/tmp/x"] = "is not below /dev",
            ["/dev/null"] = "the sandbox's own", ["/dev/pts/7"] = "the sandbox's own", ["/dev/shm"] = "the sandbox's own",
            ["/dev/stdin"] = "the sandbox's own", ["/dev/fd/3"] = "the sandbox's own",
        } do
            policies.refused({ devices = { { "/dev/zero", place } }, acknowledge = accept }, "device.place",
                "devices[1].sandbox", said)
        end
        policies.refused({ devices = { { "/dev/zero", "/dev/../x" } }, acknowledge = accept }, "path.dotdot",
            "devices[1].sandbox", '".."')
        sandbox.write(scratch "file", "")
        for host, said in pairs {
            [scratch "file"] = "is not below /dev", ["/dev"] = "is not below /dev", ["/dev/fd"] = "is not below /dev",
            ["/dev/shm"] = "holds no device",
        } do
            policies.refused({ devices = { { host, "/dev/x" } }, acknowledge = accept }, "device.kind", "devices[1].host", said)
        end
    end)

    it("is the one that was checked, or nothing runs", function()
        local code = ([[
local demilune = require "demilune"
local plan = assert(assert(demilune.policy { devices = { "/dev/gpu" }, acknowledge = { "device" } }):plan { "echo", "ran" })
if arg[1] then os.execute(arg[1]) end
local _, _, code = plan:run()
print(code)]])
        local function with(line)
            return probe.lua(scratch "host.lua", code, { prefix = with_directory(), suffix = sandbox.quote(line) })
        end
        assert.equal("ran\nnil\n", with("true").out)
        assert.equal("source.changed\n", with("umount /dev/gpu/card0 && mount --bind /dev/random /dev/gpu/card0").out)
    end)

    it("come in JSON, in explain and in a command line by hand", function()
        local policy = assert(demilune.policy { base = "none", devices = { ZERO, "/dev/full" }, acknowledge = { "device" } })
        local text = assert(policy:encode())
        assert.matches('"devices":[{"host":"/dev/zero","sandbox":"/dev/spare"},{"host":"/dev/full","sandbox":"/dev/full"}]',
            text, 1, true)
        local decoded = assert(demilune.decode((text:gsub("/dev/full", "/etc"))))
        policies.find(decoded:problems(), "device.place", "devices[2].sandbox")
        local words = { "--device", "/dev/zero:/dev/spare", "--acknowledge", "device", "--", "true" }
        assert.matches("\n    spare +device +/dev/zero +command line\n", sandbox.demilune { "explain", table.unpack(words) }.out)
        assert.matches("--dev-bind /dev/zero /dev/spare", sandbox.demilune { "run", "-n", "--backend", "bwrap",
            table.unpack(words) }.out, 1, true)
    end)
end)
