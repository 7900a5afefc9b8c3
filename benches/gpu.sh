#!/usr/bin/env bash
# All that a real GPU is wanted for, in one call: the GPU test suites, the stages, the kernels' bandwidth at several
# shapes, whole trainings, and the peers. Prints to stdout; keep it under docs/benchmarks/ with its date.
#
#   benches/gpu.sh [DEVICE]        an index or a part of a name of `gpu-logreg devices`; default: gpu
#
# Needs `cargo build --release --all-targets` before; PYTHON names a Python with the packages of requirements.txt.
set -uo pipefail
cd "$(dirname "$0")/.."
device="${1:-gpu}"
program="${PROGRAM:-target/release/gpu-logreg}"
python="${PYTHON:-python3}"
say() { printf '\n## %s\n\n' "$*"; }

say "Devices"
date -u +%F
"$program" devices --test

say "Tests"
for suite in conformance softmax statistics; do
    binary="$(ls -t target/release/deps/"$suite"-* | grep -v '\.d$' | head -1)"
    GPU_LOGREG_REQUIRE_GPU=1 "$binary" gpu:: | tail -3
done

say "Stages"
for shape in "10000000 28" "1000000 256" "100000 1024" "10000 28"; do
    set -- $shape
    "$program" bench --rows "$1" --features "$2" --compare "cpu,$device" --runs 5 --quiet
    echo
done

say "Larger than the device"
for memory in 100GB 500MB 0; do
    echo "--gpu-memory $memory"
    "$program" bench --rows 10000000 --features 28 --compare "$device" --runs 3 --gpu-memory "$memory" --quiet
done

say "Time against rows"
DEVICE="$device" bash benches/scale.sh 28 1000000 10000000 ${ROWS:-}

say "Several classes"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
for shape in "2000000 64 10" "1000000 256 100"; do
    set -- $shape
    "$program" synth -o "$folder/classes.parquet" --rows "$1" --features "$2" --classes "$3" --seed 1 --quiet
    for on in cpu "$device"; do
        for solver in cg generative; do
            echo "$1 x $2, $3 classes, $solver:"
            "$program" train "$folder/classes.parquet" --label y --solver "$solver" --device "$on" --quiet | grep -E '^(device|status|loss|seconds)'
        done
    done
done
"$python" benches/classes.py --device "$device" --runs 3

say "Peers"
"$python" benches/peers.py --rows 10000000 --features 28 --runs 3
