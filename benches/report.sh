#!/usr/bin/env bash
# What a report costs: trains without and with --report in turn, and evaluates, on seeded tables; prints a Markdown table.
#
#   benches/report.sh [ROWSxFEATURES[xCLASSES]...]      e.g. benches/report.sh 10000000x6 1000000x10x10
#
# DEVICE=cpu, gpu, ... chooses the device, FLAGS more flags of `train`, FOLDER where the tables are made (removed
# afterwards), RUNS the runs whose median is printed. Seconds are those of whole processes; each file is read once before.
set -euo pipefail
program="${PROGRAM:-$(dirname "$0")/../target/release/gpu-logreg}"
[ "$#" -gt 0 ] || set -- 10000000x6 2000000x28 100000x500 1000000x10x10 10000000x1
folder="$(mktemp -d "${FOLDER:-${TMPDIR:-/tmp}}/report.XXXXXX")"
trap 'rm -rf "$folder"' EXIT
read -ra flags <<< "${FLAGS:-}"
runs="${RUNS:-5}"

# Appends the seconds that a command takes to a file.
timed() {
    local times="$1"
    shift
    /usr/bin/time -f %e -a -o "$times" "$@" > "$folder/out" 2> "$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
}
median() { sort -g "$1" | sed -n "$(((runs + 1) / 2))p"; }

echo "| rows | features | classes | train s | with --report s | evaluate s | the report / the training |"
echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for shape in "$@"; do
    IFS=x read -r rows features classes <<< "$shape"
    classes="${classes:-2}"
    "$program" synth -o "$folder/data.parquet" --rows "$rows" --features "$features" --classes "$classes" --seed 1 \
        --quiet > "$folder/synth"
    cat "$folder/data.parquet" > /dev/null
    rm -f "$folder"/{train,report,evaluate}.s
    train=("$program" train "$folder/data.parquet" --label y --device "${DEVICE:-cpu}" -o "$folder/model.json" "${flags[@]}")
    for _ in $(seq "$runs"); do
        timed "$folder/train.s" "${train[@]}"
        timed "$folder/report.s" "${train[@]}" --report "$folder/report.html"
        timed "$folder/evaluate.s" "$program" evaluate -m "$folder/model.json" "$folder/data.parquet"
    done
    awk -v n="$rows" -v d="$features" -v k="$classes" -v t="$(median "$folder/train.s")" \
        -v r="$(median "$folder/report.s")" -v e="$(median "$folder/evaluate.s")" 'BEGIN {
        printf "| %d | %d | %d | %.2f | %.2f | %.2f | %.2f |\n", n, d, k, t, r, e, (r - t) / t
    }'
done
