#!/bin/sh
# Holds the results of two versions of the program against each other, to the last bit or within a tolerance.
#
#     tests/campaigns/frozen.sh run PROGRAM FOLDER
#     tests/campaigns/frozen.sh compare BEFORE AFTER [TOLERANCE]
#
# `run` lets a program train, evaluate and predict over a few dozen cases, and leaves the models, tables, histories, reports
# and predictions in a new folder. Times and the program's version are taken out of them.
#
# `compare` names each file that differs between two such folders. With a tolerance, numbers may differ by that much, relative
# to the larger of the two and to 1: a distance of 1e-14 standard errors is what rounding left, and has no digits. The largest
# difference of each file is told.
#
# Without a GPU that Vulkan knows (lavapipe is enough) the cases for one are left out, in `run` with a word.
set -eu
cd "$(dirname "$0")/../.."

say() { echo "frozen: $*" >&2; }

# ---- run ------------------------------------------------------------------------------------------------------

# Whatever a clock has to do with it, the version, and paths.
scrub() {
    sed -E \
        -e "s#$folder#FOLDER#g; s#$data#DATA#g; s#$program#PROGRAM#g" \
        -e 's/("([a-z_]*seconds[a-z_]*|read|upload|solve|verify|refine|total|modified|version|bytes_per_second)": ?)[0-9"][0-9.e"+-]*/\1-/g' \
        -e 's/[0-9.]+ (ns|us|µs|ms|s|min)( |,|$|<)/TIME\2/g' \
        -e 's/&lt; TIME/TIME/g' \
        -e 's/[0-9.]+ [kMG]B\/s/RATE/g' \
        -e 's/^seconds .*/seconds/' \
        -e 's/></>\n</g' "$1" | grep -v -e flex-grow -e 'class="key' -e 'TIME</span>' -e '^</*span>$' > "$1.scrubbed" || true
    mv "$1.scrubbed" "$1"
}

# case NAME DATA TRAIN-FLAGS..: trains; predicts and evaluates the same rows.
case_of() {
    name=$1 table=$2
    shift 2
    mkdir "$folder/$name"
    status=0
    "$program" train "$table" --no-progress -o "$folder/$name/model.json" --report "$folder/$name/report.html" \
        --history "$folder/$name/history.json" "$@" \
        > "$folder/$name/train.txt" 2> "$folder/$name/train.err" || status=$?
    echo "exit $status" >> "$folder/$name/train.txt"
    if [ -f "$folder/$name/model.json" ]; then
        "$program" predict "$table" -m "$folder/$name/model.json" -o "$folder/$name/predictions.csv" --format csv \
            --no-progress > "$folder/$name/predict.txt" 2>&1 || true
        "$program" evaluate "$table" -m "$folder/$name/model.json" --json --no-progress \
            > "$folder/$name/evaluate.json" 2> "$folder/$name/evaluate.err" || true
    fi
    for file in "$folder/$name"/*; do
        scrub "$file"
    done
}

run() {
    program=$(realpath "$1")
    mkdir -p "$2"
    folder=$(realpath "$2")
    if [ -n "$(ls -A "$folder")" ]; then
        say "$2 is not empty"
        exit 2
    fi
    data=$(mktemp -d)
    made=$data
    trap 'rm -rf "$made"' EXIT
    export NODEVICE_SELECT=1
    synth() { "$program" synth --no-progress -q "$@"; }
    synth -o "$data/two.parquet" --rows 70000 --features 12 --correlation 0.5 --imbalance 0.2 --seed 1
    synth -o "$data/wide.parquet" --rows 6000 --features 300 --correlation 0.3 --seed 2
    synth -o "$data/few.parquet" --rows 400 --features 900 --seed 3
    synth -o "$data/four.parquet" --rows 50000 --features 9 --classes 4 --correlation 0.4 --seed 4
    synth -o "$data/three.parquet" --rows 60000 --features 40 --classes 3 --seed 5
    synth -o "$data/apart.parquet" --rows 500 --features 3 --separable --seed 6
    synth -o "$data/nulls.parquet" --rows 20000 --features 6 --nulls 0.1 --seed 7
    reference=tests/reference

    case_of two "$data/two.parquet" --label y --inference --robust
    case_of two_diagonal "$data/two.parquet" --label y --preconditioner diagonal --l2 0.01
    case_of two_plain "$data/two.parquet" --label y --preconditioner none
    case_of two_newton "$data/two.parquet" --label y --solver newton --verify
    case_of two_lbfgs "$data/two.parquet" --label y --solver lbfgs --refine
    case_of two_descent "$data/two.parquet" --label y --solver gradient-descent --max-iterations 30
    case_of two_generative "$data/two.parquet" --label y --solver generative
    case_of two_init "$data/two.parquet" --label y --init generative --no-intercept
    case_of two_split "$data/two.parquet" --label y --split 0.3 --where "x1 > -1" --class-weight balanced
    case_of two_streamed "$data/two.parquet" --label y --host-memory 1MB --inference
    case_of two_softmax "$data/two.parquet" --label y --multinomial
    case_of two_subsample "$data/two.parquet" --label y --preconditioner subsample
    case_of wide "$data/wide.parquet" --label y
    case_of wide_l2 "$data/wide.parquet" --label y --l2 0.1 --inference
    case_of few_l2 "$data/few.parquet" --label y --l2 0.1
    case_of apart "$data/apart.parquet" --label y
    case_of nulls "$data/nulls.parquet" --label y --nulls indicator --inference
    case_of nulls_dropped "$data/nulls.parquet" --label y --nulls drop-row
    case_of four "$data/four.parquet" --label y --inference --robust
    case_of four_diagonal "$data/four.parquet" --label y --preconditioner diagonal --l2 0.02
    case_of four_bound "$data/four.parquet" --label y --preconditioner bound
    case_of four_generative "$data/four.parquet" --label y --solver generative
    case_of four_streamed "$data/four.parquet" --label y --host-memory 1MB
    case_of four_split "$data/four.parquet" --label y --split 0.25 --verify
    case_of three "$data/three.parquet" --label y --solver newton --refine
    case_of weights $reference/weights.parquet --label y --features x,k,f --weight w --offset o --inference
    case_of weights_robust $reference/weights.parquet --label y --features x,k,f --weight v --weight-kind sampling \
        --inference --robust
    case_of tables $reference/tables.parquet --label bought --nulls indicator --ignore customer --inference
    case_of tables_classes $reference/tables.parquet --label plan --nulls drop-row --ignore customer --inference
    case_of bacteria $reference/r/bacteria.parquet --label y --features ap,hilo,week,trt --inference
    case_of birthwt $reference/r/birthwt.parquet --label low --inference --verify
    case_of housing $reference/r/housing.parquet --label Sat --weight Freq --inference
    case_of infert $reference/r/infert_poly.parquet --label case --features age,age2,age3,parity,induced --inference
    case_of levels $reference/r/ticdata.parquet --label CARAVAN --positive insurance --inference
    case_of ucb $reference/r/ucb.parquet --label Admit --positive Admitted --weight Freq

    if ! "$program" devices --json | grep -q '"usable": true'; then
        say "no GPU that can be used: its cases are left out"
        return
    fi
    case_of gpu_two "$data/two.parquet" --label y --device gpu --inference --robust
    case_of gpu_two_diagonal "$data/two.parquet" --label y --device gpu --preconditioner diagonal
    case_of gpu_two_generative "$data/two.parquet" --label y --device gpu --solver generative
    case_of gpu_two_streamed "$data/two.parquet" --label y --device gpu --gpu-memory 3MB --refine
    case_of gpu_wide "$data/wide.parquet" --label y --device gpu --l2 0.1
    case_of gpu_four "$data/four.parquet" --label y --device gpu --inference --robust
    case_of gpu_four_diagonal "$data/four.parquet" --label y --device gpu --preconditioner diagonal
    case_of gpu_four_generative "$data/four.parquet" --label y --device gpu --solver generative
    case_of gpu_weights $reference/weights.parquet --label y --features x,k,f --weight w --offset o --device gpu
    case_of gpu_tables $reference/tables.parquet --label bought --nulls indicator --ignore customer --device gpu --inference
    case_of gpu_tables_classes $reference/tables.parquet --label plan --nulls drop-row --ignore customer --device gpu
}

# ---- compare --------------------------------------------------------------------------------------------------

# The largest relative difference of the numbers of two texts that are the same but for these; else the first line that is
# not.
difference() {
    awk -v other="$2" '
        function parts(line, numbers, words,   count, rest, at) {
            count = 0; rest = line
            words[0] = ""
            while (match(rest, /-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?/)) {
                words[count] = substr(rest, 1, RSTART - 1)
                numbers[count++] = substr(rest, RSTART, RLENGTH)
                rest = substr(rest, RSTART + RLENGTH)
            }
            words[count] = rest
            return count
        }
        {
            if ((getline line < other) <= 0) { print "lines end at " NR; over = 1; exit }
            if (line == $0) next
            n = parts($0, a, v); m = parts(line, b, w)
            if (n != m) { print "line " NR ": " substr($0, 1, 60); over = 1; exit }
            for (i = 0; i < n; i++) {
                if (v[i] != w[i]) { print "line " NR ": " substr($0, 1, 60); over = 1; exit }
                x = a[i] + 0; y = b[i] + 0; d = x > y ? x - y : y - x
                x = x < 0 ? -x : x; y = y < 0 ? -y : y; s = x > y ? x : y; s = s > 1 ? s : 1
                if (d / s > worst) { worst = d / s; where = NR ": " a[i] " " b[i] }
            }
            if (v[n] != w[n]) { print "line " NR ": " substr($0, 1, 60); over = 1; exit }
        }
        END { if (!over) print worst + 0, where }' "$1"
}

compare() {
    before=$1 after=$2 tolerance=${3:-}
    files=0 differ=0
    find "$before" -type f | sed "s#^$before/##" | sort > "$before.list"
    find "$after" -type f | sed "s#^$after/##" | sort > "$after.list"
    if ! cmp -s "$before.list" "$after.list"; then
        say "the folders have different files:"
        diff "$before.list" "$after.list" >&2 || true
        differ=1
    fi
    while read -r file; do
        files=$((files + 1))
        [ -f "$after/$file" ] || continue
        cmp -s "$before/$file" "$after/$file" && continue
        if [ -z "$tolerance" ]; then
            echo "$file differs"
            differ=$((differ + 1))
            continue
        fi
        found=$(difference "$before/$file" "$after/$file")
        if echo "$found" | awk -v most="$tolerance" '{ exit !($1 ~ /^[0-9]/ && $1 + 0 <= most + 0) }'; then
            echo "$file within: $found"
        else
            echo "$file differs: $found"
            differ=$((differ + 1))
        fi
    done < "$before.list"
    rm -f "$before.list" "$after.list"
    echo "$files files of $(ls "$before" | wc -l) cases, $differ of them differ"
    [ "$files" -gt 0 ] && [ "$differ" -eq 0 ]
}

case ${1:-} in
    run) run "$2" "$3" ;;
    compare) compare "${2%/}" "${3%/}" "${4:-}" ;;
    *) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
