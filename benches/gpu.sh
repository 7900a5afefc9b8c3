#!/bin/sh
# All that the first minutes on a GPU are wanted for, in one call of twelve minutes at most. Each part has a time of its own
# and writes a file of its own as it goes, so that what was measured stays if a later part hangs; what no time is left for is
# named.
#
#     benches/gpu.sh [FOLDER]         default: target/gpu; keep it under docs/benchmarks/ with its date
#
#     DEVICE=gpu                      an index or a part of a name of `gpu-logreg devices`
#     MINUTES=12                      for all parts together
#     SIZES=small                     small tables, and a software adapter will do: the dry run
#     PROGRAM, TESTS                  the binary, and the folder with the test binaries, if not those of target/release
#     PYTHON                          with PyTorch, for the last part; it is left out otherwise
#
# Needs `cargo build --release --all-targets` before. Other programs than PyTorch run on the CPU, which other machines do
# as well.
set -eu
cd "$(dirname "$0")/.."
out=${1:-${CARGO_TARGET_DIR:-target}/gpu}
device=${DEVICE:-gpu}
built=${CARGO_TARGET_DIR:-target}/release
program=${PROGRAM:-$built/gpu-logreg}
tests=${TESTS:-$built/deps}
sizes=${SIZES:-full}
mkdir -p "$out"
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
begin=$(date +%s)

# Runs a part: NAME SECONDS, then a command. Whatever becomes of it, the next one has its turn.
part() {
    name=$1 limit=$2
    shift 2
    left=$((${MINUTES:-12} * 60 + begin - $(date +%s)))
    if [ "$left" -lt 5 ]; then
        echo "no time is left: $name: NOT DONE" | tee -a "$out/parts.txt"
        failed="${failed:-} $name"
        return
    fi
    [ "$limit" -lt "$left" ] || limit=$left
    status=0
    {
        date -u '+%F %T'
        timeout -k 5 "$limit" "$@" 2>&1 || status=$?
    } > "$out/$name.txt" < /dev/null
    case $status in
        0) result=done ;;
        124 | 137) result="NOT DONE within $limit s" ;;
        *) result="FAILED with $status" ;;
    esac
    echo "$(($(date +%s) - begin)) s: $name: $result" | tee -a "$out/parts.txt"
    [ "$status" -eq 0 ] || failed="${failed:-} $name"
}
# The newest binary of a test.
binary() { ls -t "$tests/$1"-* | grep -v '\.d$' | head -n 1; }

: > "$out/parts.txt"
part devices 60 "$program" devices --test
if [ "$sizes" != small ] && ! "$program" devices --json | grep -q '"software": false'; then
    echo "there is no hardware adapter: nothing else is measured" | tee -a "$out/parts.txt"
    exit 1
fi

if [ "$sizes" = small ]; then
    suites="shaders"
    shapes="20000x28 5000x256 2000x1024"
    chunks="1MiB 4MiB"
    large=200000
    classes="10000 64"
    runs=1
else
    suites="conformance softmax exact faults shaders"
    shapes="10000000x28 1000000x256 100000x1024"
    chunks="32MiB 128MiB 512MiB 1GiB"
    large=100000000
    classes="2000000 64"
    runs=3
fi

# The suites in full: names that begin with gpu where a suite runs on both devices.
for suite in $suites; do
    part "test-$suite" 120 env GPU_LOGREG_REQUIRE_GPU=1 "$(binary "$suite")"
done

# Five trainings on both devices, all models kept.
train_both() {
    set -e
    number=0
    for recipe in "--rows 5000 --features 8" "--rows 20000 --features 40 --correlation 0.9" \
        "--rows 30000 --features 5 --imbalance 0.01" "--rows 400 --features 600" "--rows 5000 --features 12 --classes 5"; do
        number=$((number + 1))
        # shellcheck disable=SC2086 # the words of a recipe
        "$program" synth -o "$data/$number.parquet" $recipe --seed "$number" --quiet
        flags=
        [ "$number" -ne 4 ] || flags="--l2 0.01"
        for on in cpu "$device"; do
            model=$out/model-$number-$([ "$on" = cpu ] && echo cpu || echo gpu).json
            # shellcheck disable=SC2086
            "$program" train "$data/$number.parquet" --label y $flags --device "$on" -o "$model" --quiet > "$data/report"
            echo "$recipe on $on: $(grep -E '"(status|iterations|loss)"' "$model" | tr -d ' \n')"
        done
    done
}
# The same bits twice: all of a model but its times.
same_bits() {
    set -e
    for run in 1 2; do
        "$program" train "$data/2.parquet" --label y --device "$device" -o "$data/again.json" --quiet > "$data/report"
        grep -v -E '"(read|upload|solve|total)":' "$data/again.json" > "$data/again-$run"
    done
    cmp "$data/again-1" "$data/again-2" && echo "the same bits twice"
}
sweep() {
    first=${shapes%% *}
    for chunk in $chunks; do
        echo "chunks of $chunk:"
        "$program" bench --no-file --rows "${first%x*}" --features "${first#*x}" --compare "$device" --runs "$runs" \
            --chunk "$chunk" --quiet
    done
}
# What a part runs in a shell of its own must be known there.
in_shell() {
    name=$1 limit=$2 function=$3
    script=$data/$function.sh
    {
        for variable in program data out device shapes chunks runs; do
            eval "value=\$$variable"
            echo "$variable='$value'"
        done
        sed -n "/^$function() {/,/^}/p" benches/gpu.sh
        echo "$function"
    } > "$script"
    part "$name" "$limit" sh "$script"
}

in_shell trainings 60 train_both
in_shell same-bits 30 same_bits
for shape in $shapes; do
    part "bench-$shape" 100 "$program" bench --no-file --rows "${shape%x*}" --features "${shape#*x}" \
        --compare "cpu,$device" --runs "$runs" --json --quiet
done
in_shell chunks 60 sweep
part "bench-${large}x28" 90 "$program" bench --no-file --rows "$large" --features 28 --compare "$device" --runs "$runs" \
    --json --quiet
part classes 60 "$program" bench --no-file --rows "${classes% *}" --features "${classes#* }" --classes 10 \
    --compare "$device" --runs "$runs" --json --quiet
if [ -f "$data/2.parquet" ]; then
    part whole-file 60 "$program" bench "$data/2.parquet" --label y --compare "cpu,$device" --runs "$runs" --quiet
fi
if "${PYTHON:-python3}" -c 'import torch; assert torch.cuda.is_available()' 2> /dev/null; then
    part pytorch 100 "${PYTHON:-python3}" benches/torch_lbfgs.py "${shapes%% *}"
else
    echo "SKIPPED: pytorch, which is not there or has no GPU" | tee -a "$out/parts.txt"
fi

if [ -n "${failed:-}" ]; then
    echo "gpu.sh: not all parts came to their end:$failed"
    exit 1
fi
