#!/bin/sh
# Nine jobs on every adapter of this machine, against the CPU: the largest difference of a coefficient must be 2e-7.
#
#     tests/campaigns/adapters.sh [PROGRAM]
#
# Where a driver is not installed for all, name its manifest: VK_ICD_FILENAMES=FOLDER/vk_swiftshader_icd.json
# The columns have a spread of 1, so that coefficients are of the order of 1 and f32 resolves 6e-8 of them.
set -eu
cd "$(dirname "$0")/../.."
program=${1:-${CARGO_TARGET_DIR:-target}/release/gpu-logreg}
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
made() { "$program" synth -o "$data/$1.parquet" --quiet --seed "$2" --rows "$3" --features "$4" $5 > "$data/said"; }
made plain 1 5000 8 ""
made correlated 2 20000 40 "--correlation 0.9"
made rare 3 30000 5 "--imbalance 0.01"
made wide 4 3000 300 ""
made five 5 5000 12 "--classes 5"
made three 6 4000 20 "--classes 3"

# Intercepts and coefficients of a model, one a line.
numbers() {
    awk '/"(intercept|coefficient)":/ { gsub(/[",]/, ""); print $2; next }
        /"(intercepts|coefficients)": \[/ { inside = 1; next }
        inside && /\]/ { inside = 0; next }
        inside { gsub(/,/, ""); print $1 }' "$1"
}
trained() { # TABLE DEVICE MODEL, then flags
    table=$1 device=$2 model=$3
    shift 3
    "$program" train "$data/$table.parquet" --label y --device "$device" -o "$model" --quiet "$@" > "$data/said"
}

adapters=$("$program" devices --json | grep -c '"name":') || true
bad=0
index=0
while [ "$index" -lt "$adapters" ]; do
    "$program" devices | sed -n "s/^$index: //p"
    while read -r table flags; do
        # shellcheck disable=SC2086 # the words of the flags
        trained "$table" cpu "$data/cpu.json" $flags
        # shellcheck disable=SC2086
        trained "$table" "$index" "$data/gpu.json" $flags
        numbers "$data/cpu.json" > "$data/cpu"
        numbers "$data/gpu.json" > "$data/gpu"
        apart=$(paste "$data/cpu" "$data/gpu" | awk 'NF != 2 { print "no"; exit } { d = $1 - $2; if (d < 0) d = -d
            if (d > most) most = d } END { printf "%.2e %d", most, NR }')
        verdict=$(echo "$apart" | awk '$1 <= 2e-7 && $2 > 5 { print "agrees" }')
        echo "    $table $flags: ${apart#* } numbers, ${apart% *} apart${verdict:+, $verdict}"
        [ -n "$verdict" ] || bad=$((bad + 1))
    done << 'JOBS'
plain
plain --inference
plain --solver newton
correlated --refine
correlated --solver lbfgs --l2 0.001 --tolerance 1e-5
rare --refine
wide --l2 0.01
five
three --solver generative
JOBS
    index=$((index + 1))
done
echo "$adapters adapters, $bad jobs that do not agree"
[ "$adapters" -gt 0 ] && [ "$bad" -eq 0 ]
