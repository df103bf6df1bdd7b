-- A machine with files of an operator's in /etc/demilune: a mount namespace with a root and an /etc of its own, in which
-- real programs run. This machine's /etc is never touched.
local sandbox = require "support.sandbox"

local machine = {}

-- Makes the root directory $R: everything that is here, and a copy of what /etc shows us, which is then ours to change.
local BUILD_ROOT = [[
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$R"
for path in /*; do
    if [ -L "$path" ]; then
        cp -P "$path" "$R$path"
    elif [ -d "$path" ] && [ "$path" != /etc ] && [ "$path" != /lost+found ]; then
        mkdir "$R$path"
        mount --rbind "$path" "$R$path"
    fi
done
mkdir "$R/etc" "$R/etc/demilune"
for name in passwd group ld.so.cache ld.so.conf ld.so.conf.d alternatives nsswitch.conf hosts localtime os-release; do
    [ ! -e "/etc/$name" ] || cp -RP "/etc/$name" "$R/etc/$name"
done
cd "$R/etc/demilune"
]]

local ENTER = [[
mkdir "$R/left"
cd "$R"
pivot_root . left
umount -l /left
rmdir /left
cd /
]]

--- Runs a shell line on a machine with `files` (name -> text) in /etc/demilune. An ordinary user is root in a user
--- namespace of its own there. `more`: `setup`, shell lines run in /etc/demilune before, where / is still this machine's
--- and $R the other root; `input`; `as`, the user that root becomes.
function machine.run(scratch, files, line, more)
    more = more or {}
    local script = { BUILD_ROOT }
    for name, text in pairs(files) do
        script[#script + 1] = ("printf %%s %s > %s\n"):format(sandbox.quote(text), sandbox.quote(name))
    end
    script[#script + 1] = more.setup or ""
    script[#script + 1] = ENTER
    script[#script + 1] = more.as and ("setpriv --reuid %d --regid %d --clear-groups sh -c %s\n"):format(more.as, more.as,
        sandbox.quote(line)) or line .. "\n"
    local root = scratch "machine"
    sandbox.sh("mkdir -p " .. sandbox.quote(root))
    local namespace = sandbox.is_root and "unshare --mount" or "unshare --user --map-root-user --mount"
    return sandbox.sh(("R=%s %s sh -c %s"):format(sandbox.quote(root), namespace,
        sandbox.quote("umask 022;" .. table.concat(script))), more.input)
end

return machine
