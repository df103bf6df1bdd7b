#!/bin/sh
# What demilune does, on real programs: builds a C program with make and gcc, runs it, runs a Python script, and shows
# three things that the sandbox refuses. Run it with `make demo`.
set -u
here=$(cd "$(dirname "$0")" && pwd)
demilune=$(cd "$here/../.." && pwd)/build/bin/demilune
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cp "$here"/hello/* "$scratch" && cd "$scratch" || exit 1
export LOGIN_TOKEN=this-stays-outside

say() {
    printf '\n# %s\n' "$1"
}

show() {
    printf '$ demilune run -p build.lua -- %s\n' "$*"
    "$demilune" run -p "$here/build.lua" -- "$@"
}

works() {
    show "$@" || {
        echo "demo: this should have worked" >&2
        exit 1
    }
}

refused() {
    show "$@" && {
        echo "demo: this should have been refused" >&2
        exit 1
    }
    printf '(exit %d)\n' $?
}

say "make and gcc build a C program, and it runs"
works make CC=gcc
works ./hello

say "a Python script reads what the policy's hook bound for it"
works /usr/bin/python3 /data/words.py

say "a home directory is not there"
refused ls "${HOME:-/root}"

say "there is no network"
refused /usr/bin/python3 -c 'import socket; socket.create_connection(("192.0.2.1", 80), 3)'

say "nobody writes to /usr"
refused touch /usr/bin/evil

say "a policy with a mistake runs nothing, and says what would be right"
cat > mistake.lua <<'POLICY'
return {
    rw_bind = { "/srv/job" },
    ro_binds = { "data", "/no/such/place" },
    network = 1,
}
POLICY
printf '$ demilune run -p ./mistake.lua -- true\n'
"$demilune" run -p ./mistake.lua -- true
code=$?
printf '(exit %d)\n' $code
[ $code -eq 125 ] || exit 1

printf '\nThe demo is over: everything went as it should.\n'
