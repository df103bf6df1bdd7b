#!/bin/sh
# Runs the specs given (all of them otherwise) against the build in $BUILD, as the user that we are, and, when that is
# root, at the same time as an ordinary user from a copy that it can read. Those that launch, in sandbox/ and attack/,
# run once for each backend ($BACKENDS), but for what is named #once. Closes with one line: N passed, N failed, N skipped.
set -u
[ $# -gt 0 ] || set -- spec
export BUILD="${BUILD:-build}"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'trap - INT TERM; kill 0' INT TERM # the run in the background, too
passed=0 failed=0 skipped=0
export DML_ONE=caller HOST_ONE=caller # two of those that random policies pass through; the others are not set
# A job in the background is started with INT and QUIT ignored, and what it starts then cannot be sent them.
as_from_a_terminal="env --default-signal"

# A sanitized build brings an interpreter of its own. Every report lands here, whatever the spec makes of the process. Cases
# named #unsanitized take away what the sanitizers live on (address space, threads, /proc), or run programs without them.
if [ -x "$BUILD/tools/lua5.4" ]; then
    PATH=$PWD/$BUILD/tools:$PATH
    mkdir -m 1777 "$scratch/reports"
    export ASAN_OPTIONS="detect_leaks=1:halt_on_error=1:exitcode=99:print_stacktrace=1:log_path=$scratch/reports/report"
    set -- --exclude-tags=unsanitized "$@"
fi

# Adds what every run has counted; one that counted nothing has failed.
add_counts() {
    for counts in "$scratch"/counts.*; do
        if read -r p f s 2>/dev/null <"$counts"; then
            passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
        else
            failed=$((failed + 1))
        fi
    done
    for report in "$scratch"/reports/*; do
        [ -e "$report" ] || continue
        failed=$((failed + 1))
        echo "--- a sanitizer's report" && cat "$report"
    done
}

given="$*" # paths and options, without spaces

# Of the specs given those that launch, but for what no backend has a part in; nothing when there are none.
launching() {
    specs="--exclude-tags=once"
    for spec in $given; do
        case $spec in
        spec) specs="$specs spec/sandbox spec/attack" ;;
        spec/sandbox* | spec/attack* | --*) specs="$specs $spec" ;;
        esac
    done
    case $specs in *spec/*) echo "$specs" ;; esac
}

# Runs the specs in a directory as somebody: by the first backend all, by the others those that launch. The words behind are
# put in front of the interpreter.
run_specs() {
    place=$1 who=$2 specs=$given
    shift 2
    for backend in ${BACKENDS:-bwrap native}; do
        [ -n "$specs" ] || break
        echo "specs as $who, by $backend"
        counts=$(mktemp "$scratch/counts.XXXXXX")
        [ "$place" = . ] || chown 1000 "$counts"
        (
            cd "$place" || exit 1
            export DEMILUNE_BACKEND="$backend" NOETHER_ISOLATION="$backend" SPEC_COUNTS="$counts"
            "$@" $as_from_a_terminal lua5.4 /usr/bin/busted $specs
        )
        specs=$(launching)
    done
}

user=
if [ "$(id -u)" -eq 0 ]; then
    mkdir "$scratch/home"
    cp -a lua rockspec spec src .busted Makefile README.md LICENSE CHANGELOG.md "$scratch/home"
    if [ -e "$BUILD/obj/main.gcno" ]; then # a build that counts does so beside its objects: the copy needs its own
        (cd "$scratch/home" && ${MAKE:-make} -s all)
    else
        for part in bin gen lib obj share tools; do # other builds may lie in this one
            [ ! -e "$BUILD/$part" ] || cp -a --parents "$BUILD/$part" "$scratch/home"
        done
    fi
    chown -R 1000:1000 "$scratch" && chmod 755 "$scratch"
    PATH=$scratch/home/$BUILD/tools:$PATH
    run_specs "$scratch/home" "an ordinary user" env -u XDG_RUNTIME_DIR -u XDG_CONFIG_HOME HOME="$scratch/home" USER=tester \
        setpriv --reuid 1000 --regid 1000 --clear-groups >"$scratch/user" 2>&1 &
    user=$!
fi

run_specs . "$(id -un 2>/dev/null || id -u)"

if [ "$user" ]; then
    wait "$user"
    cat "$scratch/user"
    if [ -e "$BUILD/obj/main.gcno" ]; then
        rm -rf "$BUILD/obj-user" && cp -r "$scratch/home/$BUILD/obj" "$BUILD/obj-user"
    fi
fi

add_counts
[ $passed -gt 0 ] || failed=$((failed + 1))
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && { [ $skipped -eq 0 ] || [ "${CI:-}" != true ]; }
