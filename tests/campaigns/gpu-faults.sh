#!/bin/sh
# Trainings on a GPU that fails: a Vulkan layer (tests/sabotage/vulkan_layer.c) has each call of the driver fail in turn.
#
#     tests/campaigns/gpu-faults.sh [STEP [KIND...]]       20 and all kinds is the run to compare with
#
# Each kind of run is made once undisturbed, which tells its model and how often it calls the driver. Then, for each fault,
# every STEP-th call begins it in a run of its own, and so does the wait for the queue with which a run ends. Submissions
# are about a twentieth of the calls, so of faults of submissions (hang and drop) there is one for every STEP/20-th
# submission. The layer says what the faults are.
#
# A run may end with the undisturbed run's model, or refuse with exit code 5. It must not end with another model, panic, end
# by a signal, with another exit code or with a model beside a refusal, nor last longer than LIMIT.
#
# PROGRAM is the program [default: the release build, made here]; DEVICES are those of `--device` [auto gpu]; FAULTS are
# the layer's [lost memory hang stuck drop]; FIRST is the first call that fails [1]; LIMIT are the seconds a run may take
# [15]; TIMEOUT_FLAG is how the program is told to wait less for a GPU [--gpu-timeout 1s]; FOLDER is where the tables are
# made, and removed afterwards. GPU_FAULT_FOREVER=1 leaves no working GPU after a fault. Needs a C compiler and Python.
set -eu
cd "$(dirname "$0")/../.."
step=${1:-20}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- two classes streams generative path folds
first=${FIRST:-1}
limit=${LIMIT:-15}
timeout_flag=${TIMEOUT_FLAG---gpu-timeout 1s}

if [ -z "${PROGRAM:-}" ]; then
    cargo build --release
    PROGRAM=${CARGO_TARGET_DIR:-target}/release/gpu-logreg
fi
folder=$(mktemp -d "${FOLDER:-${TMPDIR:-/tmp}}/gpu-faults.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
cp "$PROGRAM" "$folder/gpu-logreg" # a build meanwhile must not change it
program=$folder/gpu-logreg

mkdir "$folder/layer"
cc -std=gnu11 -shared -fPIC -O2 -pthread -o "$folder/layer/libgpu_fault.so" tests/sabotage/vulkan_layer.c
sed "s|@LIBRARY@|$folder/layer/libgpu_fault.so|" tests/sabotage/vulkan_layer.json.in > "$folder/layer/gpu_fault.json"
export VK_LAYER_PATH="$folder/layer" VK_INSTANCE_LAYERS=VK_LAYER_gpu_fault
# Mesa's layer that sorts adapters is left out. `auto` takes software adapters here, and their shaders are compiled once.
export NODEVICE_SELECT=1 GPU_FAULT_DISCRETE=1 MESA_SHADER_CACHE_DIR="$folder/cache"

made() { "$program" synth -o "$folder/$1.parquet" --quiet --seed "$2" --rows "$3" --features "$4" $5 > "$folder/said"; }
made two 1 4000 6 ""
made classes 2 3000 5 "--classes 4"
made streams 3 10000 40 ""

# Runs the program once; its exit code is in $code. The layer writes the calls that it counted to $folder/calls.
run() { # FAULT CALL FUNCTION
    rm -f "$folder/model.json" "$folder/calls"
    code=0
    # The shell says on its own stderr what was killed. Flags are several.
    # shellcheck disable=SC2086
    (GPU_FAULT=$1 GPU_FAULT_AT=$2 GPU_FAULT_CALL=$3 GPU_FAULT_COUNT=$folder/calls timeout -s KILL "$limit" \
        "$program" train "$folder/$table.parquet" --label y --device "$device" -o "$folder/model.json" --quiet \
        $timeout_flag $flags > "$folder/said" 2> "$folder/complaint" || exit $?) 2> "$folder/killed" || code=$?
}

# Whether a model is the undisturbed run's: intercepts and coefficients agree to 1e-6 or to a thousandth of the least
# standard error that so many rows of standard normal columns allow.
same_model() {
    python3 - "$folder/undisturbed.json" "$folder/model.json" << 'END'
import json, math, sys

def numbers(value, place=(), is_kept=False):
    """Intercepts and coefficients by their places; those of a path are pairs of a column and its coefficient."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, (*place, key), key.startswith(("intercept", "coefficient")))
    elif is_kept and isinstance(value, list) and len(value) == 2 and isinstance(value[0], int):
        yield (*place, value[0]), value[1]
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from numbers(inner, (*place, index), is_kept)
    elif is_kept and isinstance(value, (int, float)):
        yield place, value

right, found = (json.load(open(path)) for path in sys.argv[1:])
error = 2 / math.sqrt(right["training"]["rows"])
right, found = dict(numbers(right)), dict(numbers(found))
apart = [(right.get(place, 0), found.get(place, 0)) for place in right | found]
sys.exit(not apart or any(not abs(a - b) <= max(1e-6 * abs(a), 1e-3 * error) for a, b in apart))
END
}

# The class of the run that just ended, as a word.
class_of_run() { # FAULT
    if [ $code -eq 137 ]; then
        echo HANG
    elif [ $code -eq 101 ] || grep -q panicked "$folder/complaint"; then
        echo PANIC
    elif [ $code -ge 128 ]; then
        echo SIGNAL
    elif [ $code -ne 0 ] && [ -e "$folder/model.json" ]; then
        echo OTHER
    elif ! grep -q " $1\$" "$folder/calls"; then
        echo unreached
    elif [ $code -eq 5 ]; then
        echo refused
    elif [ $code -ne 0 ]; then
        echo OTHER
    elif same_model; then
        echo same
    else
        echo WRONG
    fi
}

# Runs the program, and notes the class of the run and, if it must not be, what it said.
try() { # FAULT CALL FUNCTION
    run "$1" "$2" "$3"
    class=$(class_of_run "$1")
    echo "$class" >> "$folder/classes"
    at=$(awk -v fault="$1" '$3 == fault { print $2 " (call " $1 ")"; exit }' "$folder/calls")
    case $class in
        same | unreached) ;;
        refused) sed -n 's/^error: //p' "$folder/complaint" >> "$folder/refusals" ;;
        *)
            failed=1
            where=$(sed -n 's|^.*panicked at .*/\([^/]*/[^/]*:[0-9]*\):[0-9]*:$|\1|p' "$folder/complaint" | head -n 1)
            ends="$(tail -n 1 "$folder/calls" | cut -d ' ' -f 2)"
            what="$class${where:+ at $where}: $1 at ${at% (*}, the last call was $ends"
            if ! grep -qF "${what%%: *}: $1" "$folder/bad"; then # the first of its class, place and fault
                echo "$kind, --device $device, $1 at $at, exit code $code"
                sed 's/^/    /' "$folder/complaint" | head -n 24
            fi >> "$folder/examples"
            echo "$what" >> "$folder/bad"
            ;;
    esac
}

echo "| kind | device | fault | calls | runs | same model | refused | not reached | wrong model | panic | signal | hang | other exit |"
echo "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
: > "$folder/examples"
: > "$folder/refusals"
: > "$folder/bad"
failed=0
for kind in "$@"; do
    table=two flags=
    case $kind in
        two) ;;
        classes) table=classes ;;
        streams) table=streams flags="--gpu-memory 1MiB" ;;
        generative) flags="--solver generative" ;;
        path) flags="--path 10 --alpha 0.9" ;;
        folds) flags="--path 5 --folds 3" ;;
        *) echo "gpu-faults: there is no kind $kind" >&2 && exit 2 ;;
    esac
    for device in ${DEVICES:-auto gpu}; do
        run "" 0 "" # compiles the shaders, and waits longer for it
        run "" 0 ""
        if [ $code -ne 0 ]; then
            echo "gpu-faults: $kind on $device does not run undisturbed: $(head -n 1 "$folder/complaint")" >&2
            continue
        fi
        mv "$folder/model.json" "$folder/undisturbed.json"
        calls=$(grep -c . "$folder/calls") || true
        if [ ! -e "$folder/calls" ] || [ "$calls" -eq 0 ]; then
            echo "gpu-faults: $kind on $device calls no GPU" >&2
            continue
        fi
        submissions=$(grep -c vkQueueSubmit "$folder/calls") || true
        for fault in ${FAULTS:-lost memory hang stuck drop}; do
            function='' last=$calls stride=$step
            case $fault in
                hang | drop) function=vkQueueSubmit last=$submissions stride=$(((step + 19) / 20)) ;;
            esac
            : > "$folder/classes"
            call=$first
            while [ "$call" -le "$last" ]; do
                try "$fault" "$call" "$function"
                call=$((call + stride))
            done
            # The last call of a run, which drops the queue, is a place of its own.
            [ -n "$function" ] || try "$fault" 1 vkQueueWaitIdle
            awk -v begin="| $kind | $device | $fault | $last |" '{ count[$1]++ } END {
                printf "%s %d", begin, NR
                split("same refused unreached WRONG PANIC SIGNAL HANG OTHER", names, " ")
                for (i = 1; i <= 8; i++) printf " | %d", count[names[i]]
                print " |" }' "$folder/classes"
        done
    done
done

if [ -s "$folder/refusals" ]; then
    printf '\nRefusals, with how often each was made:\n\n'
    sed 's/[0-9][0-9.]*/N/g' "$folder/refusals" | sort | uniq -c | sort -rn
fi
if [ $failed -ne 0 ]; then
    printf '\nRuns that must not be, with how many there are of each:\n\n'
    sort "$folder/bad" | uniq -c | sort -rn
    printf '\nThe first of each, with what it said:\n\n'
    cat "$folder/examples"
fi
exit $failed
