#!/bin/sh
# Installs the Debian packages given as arguments that are missing; elsewhere says what is needed.
set -u

has_packages() {
    for package; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' || return 1
    done
}

if ! command -v apt-get >/dev/null 2>&1; then
    for tool in gcc lua5.4 bwrap busted pkg-config; do
        command -v $tool >/dev/null 2>&1 && continue
        echo "demilune: $tool is missing. This is no Debian, so please install by hand:" >&2
        echo "  a C compiler, make, pkg-config, Lua 5.4 with headers (as lua5.4), libmd with headers, lua-cjson," >&2
        echo "  busted and luafilesystem for Lua 5.4, bubblewrap; for lint clang, clang-format, cppcheck, luacheck, luarocks, man" >&2
        exit 1
    done
    exit 0
fi

has_packages "$@" && exit 0
as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "demilune: these packages are needed, some are missing, and there is no sudo: $*" >&2
        exit 1
    }
    as_root=sudo
fi
echo "demilune: installing what is missing of: $*"
export DEBIAN_FRONTEND=noninteractive
# Some have a service, which must not start; a policy that is there already stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
fi
$as_root apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 && exit 0
$as_root apt-get update -qq && $as_root apt-get install -qq -y --no-install-recommends "$@" >/dev/null
