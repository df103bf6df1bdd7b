#!/bin/sh
# Runs the specs given (all of them otherwise) as the user that we are, and, when that is root, once more as an ordinary
# user from a copy that it can read. Closes with one line: N passed, N failed, N skipped.
set -u
[ $# -gt 0 ] || set -- spec
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0 skipped=0
# A job in the background is started with INT and QUIT ignored, and what it starts then cannot be sent them.
as_from_a_terminal="env --default-signal"

# Adds what the specs counted; a run that counted nothing has failed.
add_counts() {
    if read -r p f s <"$1" 2>/dev/null; then
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        failed=$((failed + 1))
    fi
    rm -f "$1"
}

echo "specs as $(id -un 2>/dev/null || id -u)"
SPEC_COUNTS=$scratch/counts $as_from_a_terminal lua5.4 /usr/bin/busted "$@"
add_counts "$scratch/counts"

if [ "$(id -u)" -eq 0 ]; then
    mkdir "$scratch/home"
    cp -a build lua rockspec spec src .busted Makefile README.md LICENSE CHANGELOG.md "$scratch/home" &&
        chown -R 1000:1000 "$scratch" && chmod 755 "$scratch"
    echo "specs as an ordinary user"
    (
        cd "$scratch/home" || exit 1
        unset XDG_RUNTIME_DIR XDG_CONFIG_HOME
        HOME=$scratch/home USER=tester SPEC_COUNTS=$scratch/counts setpriv --reuid 1000 --regid 1000 --clear-groups \
            $as_from_a_terminal lua5.4 /usr/bin/busted "$@"
    )
    add_counts "$scratch/counts"
fi

[ $passed -gt 0 ] || failed=$((failed + 1))
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && { [ $skipped -eq 0 ] || [ "${CI:-}" != true ]; }
