#!/usr/bin/env bash
# Time against rows: trains on seeded tables of growing size and prints a Markdown table.
#
#   benches/scale.sh [FEATURES [ROWS...]]      e.g. benches/scale.sh 28 100000 1000000 10000000
#
# DEVICE=cpu, gpu, ... chooses the device, FOLDER where the tables are made (removed afterwards), RUNS the runs whose
# median is printed, MEMORY a value for --host-memory. Each file is read once before it is timed.
set -euo pipefail
program="${PROGRAM:-$(dirname "$0")/../target/release/gpu-logreg}"
features="${1:-28}"
shift || true
rows=("$@")
[ "${#rows[@]}" -gt 0 ] || rows=(100000 1000000 10000000)
folder="$(mktemp -d "${FOLDER:-${TMPDIR:-/tmp}}/scale.XXXXXX")"
trap 'rm -rf "$folder"' EXIT
limits=()
[ -z "${MEMORY:-}" ] || limits=(--host-memory "$MEMORY")

echo "| rows | features | read s | solve s | in all s | us a row | passes | peak memory MB |"
echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for n in "${rows[@]}"; do
    "$program" synth -o "$folder/data.parquet" --rows "$n" --features "$features" --seed 1 --quiet > "$folder/synth"
    cat "$folder/data.parquet" > /dev/null
    for run in $(seq "${RUNS:-3}"); do
        /usr/bin/time -f %M -o "$folder/memory" "$program" train "$folder/data.parquet" --label y \
            --device "${DEVICE:-cpu}" "${limits[@]}" --json --quiet > "$folder/model.json" 2> "$folder/errors"
        value() { sed -nE "s/.*\"$1\": *([-0-9.e]+).*/\1/p" "$folder/model.json" | head -1; }
        # `read`, `solve` and `total` stand in `seconds`, `data` in `passes`.
        echo "$(value total) $(value read) $(value solve) $(value data) $(cat "$folder/memory")"
    done | sort -g | awk -v n="$n" -v d="$features" '{ line[NR] = $0 } END {
        split(line[int((NR + 1) / 2)], v, " ")
        printf "| %d | %d | %.3f | %.3f | %.3f | %.3f | %d | %.0f |\n", n, d, v[2], v[3], v[1], 1e6 * v[1] / n, v[4], v[5] / 1024
    }'
done
