#!/bin/bash
# All tests: unit, simulation, fuzz corpora and lint with address and undefined-behaviour
# sanitizers; what has threads once more with the thread sanitizer; real programs over real sockets;
# the fan-out's instructions (test/cost).
# Ends with "N passed, N failed[, N skipped]"; exit code 0 only if something ran and nothing failed.
set -u
cd "$(dirname "$0")/.." || exit 1

readonly TIME_MAX_S=3300 # all of it, so that a hang is a failure and not a stuck build machine
readonly PYTHON=/usr/bin/python3 # Debian's own: it has Debian's pytest
export ASAN_OPTIONS=halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1
export ASAN_OPTIONS+=:strict_string_checks=1:check_initialization_order=1:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/test/tsan.supp
export PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH PYTHONHOME CC CFLAGS LDFLAGS

# Some kernels randomize addresses so widely that gcc 12's sanitizers cannot start.
fixed_addresses=()
if setarch "$(uname -m)" -R true 2>/dev/null; then
    fixed_addresses=(setarch "$(uname -m)" -R)
fi

passed=0 failed=0 skipped=0 bad=() unsteady=()

say()
{
    printf '\n== %s (%d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60))
}

# Runs a command for as long as is left of the time for all.
limited()
{
    local left=$((TIME_MAX_S - SECONDS))
    ((left > 0)) || left=1
    timeout -k 10 "$left" "${fixed_addresses[@]}" "$@" </dev/null
}

note_failure()
{
    failed=$((failed + 1))
    bad+=("$1")
}

# build FOLDER SANITIZERS: a build that does not work is one failed test
build()
{
    say "build $1 ($2)"
    if [ ! -f "$1/build.ninja" ]; then
        limited meson setup "$1" -Dwerror=true "-Db_sanitize=$2" || { note_failure "$1"; return 1; }
    fi
    limited ninja -C "$1" || { note_failure "$1"; return 1; }
}

# run NAME RESULT_FILE COMMAND...: runs it and adds up the tests in the result file. A command that
# failed although each of its tests passed is one failed test.
run()
{
    local name=$1 results=$2 code=0 p f s
    shift 2
    say "$name"
    rm -f "$results"
    limited "$@" || code=$?
    read -r p f s < <($PYTHON tools/count_tests.py "$results")
    if ((code != 0 && f == 0)); then
        f=1
    fi
    ((f == 0)) || bad+=("$name")
    printf -- '-- %s: %d passed, %d failed, %d skipped\n' "$name" "$p" "$f" "$s"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# meson_tests NAME FOLDER [ARGUMENT...]
meson_tests()
{
    local name=$1 folder=$2
    shift 2
    run "$name" "$folder/meson-logs/testlog.json" \
        meson test -C "$folder" --no-rebuild --print-errorlogs "$@"
}

# pytest_run NAME FOLDER RESULT_FILE ARGUMENT...
# Without -v: with it xdist asks each of its processes for its versions first, and execnet (1.9) may
# then run the tests beside the main thread, where no signal can be handled: each fails at once, and
# as it is so quick, that process gets nearly all of them.
pytest_run()
{
    local name=$1 folder=$2 results=$3 files
    shift 3
    files=$(mktemp -d "${TMPDIR:-/tmp}/net.XXXX") # short: messages that name files are cut
    CULVERT_BIN=$PWD/$folder/culvert run "$name" "$results" \
        $PYTHON -m pytest -ra -p no:cacheprovider --basetemp="$files" --junitxml="$results" "$@"
    rm -rf "$files"
}

# net_tests NAME FOLDER [ARGUMENT...]: two files at a time, since most tests wait for something.
# Never with -v: see pytest_testnodeready in test/net/conftest.py.
net_tests()
{
    local name=$1 folder=$2
    shift 2
    pytest_run "$name" "$folder" "$folder/net.xml" -n 2 --dist loadfile test/net "$@"
}

# steady_net_tests NAME FOLDER: real programs on a busy machine may miss a deadline. The few that do
# are run once more, alone, and what comes of that counts; both are told.
steady_net_tests()
{
    local name=$1 folder=$2 before=$failed again
    net_tests "$name" "$folder"
    mapfile -t again < <($PYTHON tools/again.py "$folder/net.xml")
    ((${#again[@]} > 0 && failed - before == ${#again[@]})) || return
    failed=$before
    unset 'bad[-1]'
    unsteady+=("${again[@]}")
    pytest_run "$name, again" "$folder" "$folder/again.xml" "${again[@]}"
}

has_net_tests()
{
    compgen -G 'test/net/test_*.py' >/dev/null
}

has_thread_tests()
{
    meson introspect build-tsan --tests | grep -q '"culvert:threads"'
}

if build build-asan address,undefined; then
    limited ninja -C build-asan test/cost/fanout || note_failure 'build test/cost/fanout'
    meson_tests 'unit, simulation, fuzz corpora, lint (address, undefined), cost' build-asan
    if has_net_tests; then
        steady_net_tests 'network (address, undefined)' build-asan
    fi
fi
if build build-tsan thread; then
    if has_thread_tests; then
        meson_tests 'threads (thread sanitizer)' build-tsan --suite threads
    fi
    if has_net_tests && grep -qs 'mark\.threads' test/net/*.py; then
        net_tests 'network with threads (thread sanitizer)' build-tsan -m threads
    fi
fi

say 'sizes'
$PYTHON tools/lint.py report
((${#unsteady[@]} == 0)) || printf '\nrun twice: %s\n' "${unsteady[@]}"
((${#bad[@]} == 0)) || printf '\nfailed: %s\n' "${bad[@]}"

echo
if ((skipped > 0)); then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
((failed == 0 && passed > 0))
