#!/bin/sh
# Plants faults in a copy of the sources and counts how many of them the tests notice.
#
#     tests/campaigns/mutants.sh [COUNT [SEED]]       100 1 is the run to compare with
#     tests/campaigns/mutants.sh resume               goes on with a series that was stopped, of the sources of its begin
#
# All faults are in one build (plant/ puts them there), and a variable chooses which one is there, so that a fault costs
# the tests and no compilation. The tests run until the first one fails: those likely to notice first, then the others
# from the quickest on. A test that takes five times as long as without a fault counts as failed: endless loops do.
# Tests that fail without any fault are left out, and named. The result is also in target/mutants/result.tsv.
#
# What survives is to be looked at by hand: it is a test that is missing, or no fault at all. What is no fault goes to
# equivalent.tsv with its reason, and is planted no more.
#
# Needs git's tree or a copy of it, cargo, tar, and timeout of the GNU coreutils.
set -eu
cd "$(dirname "$0")/../.."
resumes=
if [ "${1:-}" = resume ]; then
    resumes=yes
    shift
fi
count=${1:-100}
seed=${2:-1}

mkdir -p "${CARGO_TARGET_DIR:-target}/mutants"
built=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$built/mutants
tree=$work/tree
export NODEVICE_SELECT=1
unset MUTANT

say() { echo "mutants: $*" >&2; }

# ---- one build with all faults --------------------------------------------------------------------------------

# Compiles the tests of a copy with all faults, and lists their binaries.
build() {
    CARGO_TARGET_DIR=$work/plant cargo build --quiet --release --manifest-path tests/campaigns/plant/Cargo.toml
    plant=$work/plant/release/plant

    # Compiled dependencies are taken along: only the program differs.
    if [ ! -d "$work/target" ] && [ -d "$built/release/deps" ]; then
        mkdir -p "$work/target/release"
        cp -Rp "$built/release/deps" "$built/release/build" "$built/release/.fingerprint" "$work/target/release"
    fi

    rm -rf "$tree"
    mkdir -p "$tree"
    copy .
    : > "$work/dropped"
    while :; do
        copy ./src ./shaders
        "$plant" apply "$tree" "$count" "$seed" "$work/dropped" \
            tests/campaigns/equivalent.tsv "$work/table.tsv"
        if (cd "$tree" && cargo build --release --lib --message-format short) 2> "$work/messages"; then
            break
        fi
        "$plant" blame "$tree" "$work/table.tsv" < "$work/messages" > "$work/blamed"
        if [ ! -s "$work/blamed" ]; then
            cat "$work/messages"
            say "the copy does not build, and no fault is to blame"
            exit 1
        fi
        say "$(wc -l < "$work/blamed") faults do not compile and are dropped"
        cat "$work/blamed" >> "$work/dropped"
    done
    if ! (cd "$tree" && cargo test --release --no-run) > "$work/messages" 2>&1; then
        cat "$work/messages"
        exit 1
    fi
    # `Executable tests/cli.rs (PATH)`, as name and path. What proves the arrows between modules does not know of the planted one.
    sed -n 's/^ *Executable .*[/ ]\([a-z_]*\)\.rs (\(.*\))$/\1 \2/p' "$work/messages" |
        grep -v -e '^architecture ' > "$work/binaries"
}

copy() { tar -cf - --exclude=./target --exclude=./.git "$@" | tar -xf - -C "$tree"; }
export CARGO_TARGET_DIR="$work/target"
if [ -z "$resumes" ]; then
    build
fi

# ---- without a fault ------------------------------------------------------------------------------------------

if "$work/target/release/gpu-logreg" devices --json | grep -q '"usable": true'; then
    export GPU_LOGREG_REQUIRE_GPU=1
fi
# Runs the tests of a binary: LIMIT NAME PATH. The names of tests to leave out are in `skipped`. Where `early` is set it is
# over with the first one that fails.
tests() {
    limit=$1 name=$2 path=$3
    shift 3
    while read -r binary test; do
        if [ "$binary" = "$name" ]; then
            set -- "$@" --skip "$test"
        fi
    done < "$work/skipped"
    rm -f "$work/status" "$work/pid"
    (
        cd "$tree"
        timeout -s KILL "$limit" "$path" "$@" > "$work/output" 2>&1 < /dev/null &
        echo $! > "$work/pid"
        status=0
        wait $! || status=$?
        echo $status > "$work/status"
    ) 2> /dev/null &
    until [ -s "$work/status" ]; do
        sleep 0.1
        if [ -n "$early" ] && [ -s "$work/pid" ] && [ -n "$(failed)" ]; then
            # It passes the signal on to all that the tests have started.
            kill "$(cat "$work/pid")" 2> /dev/null || true
        fi
    done
    wait
    return "$(cat "$work/status")"
}
failed() { sed -n 's/^test \([^ ]*\) .*\.\.\. FAILED$/\1/p' "$work/output"; }

# Runs all tests once, for their times, and lists those that fail anyway.
time_tests() {
    : > "$work/skipped"
    : > "$work/timed"
    early=
    while read -r name path; do
        before=$(date +%s)
        if ! tests 1800 "$name" "$path"; then
            for test in $(failed); do
                say "fails without a fault, left out: $name $test"
                echo "$name $test" >> "$work/skipped"
            done
            tests 1800 "$name" "$path" || { say "$name fails without a fault, and not by a test"; exit 1; }
        fi
        echo "$(($(date +%s) - before)) $name $path" >> "$work/timed"
    done < "$work/binaries"
    sort -n "$work/timed" > "$work/order"
    : > "$work/result.tsv"
}

if [ -z "$resumes" ]; then
    time_tests
fi

# ---- with each of them ----------------------------------------------------------------------------------------

# The binaries that are likely to notice a fault of a file.
likely() {
    case $1 in
        shaders/softmax* | shaders/class_sums* | shaders/gram* | src/engine/cpu/softmax/* | src/engine/cpu/moments*) echo softmax ;;
        shaders/* | src/engine/cpu/*) echo conformance exact ;;
        src/metrics/* | src/score/*) echo metrics classes ;;
        src/model/*) echo printed cli ;;
        *) echo edges cli ;;
    esac
}

# Says which test notices the fault that MUTANT chooses, if one does.
killer() {
    file=$1
    {
        grep ' lib ' "$work/order" || true
        for name in $(likely "$file"); do grep " $name " "$work/order" || true; done
        cat "$work/order"
    } | awk '!seen[$2]++' > "$work/queue"
    while read -r seconds name path <&3; do
        limit=$((5 * seconds > 30 ? 5 * seconds : 30))
        status=0
        tests "$limit" "$name" "$path" || status=$?
        case $status in
            0) continue ;;
            137) echo "$name, not within $limit s" ;;
            *)
                test=$(failed | head -n 1)
                echo "$name ${test:-, which ended with $status}"
                ;;
        esac
        return
    done 3< "$work/queue"
}

early=yes
while IFS='	' read -r number file line what _ <&4; do
    if grep -q "^$number	" "$work/result.tsv"; then
        continue
    fi
    by=$(export MUTANT="$number" && killer "$file")
    printf '%s\t%s:%s\t%s\t%s\n' "$number" "$file" "$line" "$what" "${by:-SURVIVED}" | tee -a "$work/result.tsv"
done 4< "$work/table.tsv"

planted=$(wc -l < "$work/result.tsv")
survived=$(grep -c 'SURVIVED$' "$work/result.tsv" || true)
killed=$((planted - survived))
echo
if [ "$survived" -gt 0 ]; then
    echo "survived:"
    grep 'SURVIVED$' "$work/result.tsv" | sed 's/^/    /'
fi
echo "$planted faults planted (seed $seed), $killed killed, $((100 * killed / planted)) %;" \
    "$(wc -l < "$work/dropped") did not compile, $(wc -l < "$work/skipped") tests were left out"
