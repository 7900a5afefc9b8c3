#!/bin/sh
# Interrupts trainings of narrow and of wide tables at random moments, and times how long they take to end.
#
#     tests/campaigns/interrupts.sh [COUNT [SHAPE...]]       20 and all of them is the run to compare with
#
# Each table is trained once to its end, which tells how long that takes. Then COUNT runs get a signal each, at moments
# spread over that time, by turns SIGINT and SIGTERM. A run that ended before its signal is repeated. Fails if one takes
# longer than a second to end, if it leaves a file that is not the whole model, or if memory goes beyond 1.1 times what
# `--dry-run` plans and 20 MiB. Shapes are those below, or others in the manner of `benches/shapes.py`.
#
# PROGRAM is the program [default: the release build, made here]; LIMIT are the seconds after which the run that tells
# the time is ended, and its moments are of those [600]; FOLDER is where the tables are made, and removed afterwards.
# Needs Python with numpy, pyarrow and scipy.
set -eu
cd "$(dirname "$0")/../.."
count=${1:-20}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- 100000x500 100000x768list 20000x1000 5000x2000 400x4000 200x20000 levels

if [ -z "${PROGRAM:-}" ]; then
    cargo build --release
    PROGRAM=${CARGO_TARGET_DIR:-target}/release/gpu-logreg
fi
if ! python3 -c 'import numpy, pyarrow, scipy' 2> /dev/null; then
    echo "interrupts: this needs Python with numpy, pyarrow and scipy" >&2
    exit 1
fi
folder=$(mktemp -d "${FOLDER:-${TMPDIR:-/tmp}}/interrupts.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
cp "$PROGRAM" "$folder/gpu-logreg" # a build meanwhile must not change it
mkdir "$folder/out"

echo "| table | seconds | runs | answered | signal to end, median s | worst s | at | memory, MB | planned, MB |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
failed=0
for shape in "$@"; do
    if [ "$shape" = levels ]; then
        data=$folder/levels.parquet
        python3 - "$data" << 'EOF'
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
random, rows, levels = np.random.default_rng(0), 120_000, 4_000
x = random.standard_normal((rows, 4), dtype=np.float32)
code = np.concatenate([np.arange(levels), random.integers(levels, size=rows - levels)]).astype(np.int32)
margin = x @ [0.5, -0.5, 0.25, 0] + random.standard_normal(levels)[code] / 2
names = pa.array([f"level {level}" for level in range(levels)])
columns = {f"x{j}": x[:, j] for j in range(4)} | {"c": pa.DictionaryArray.from_arrays(code, names)}
pq.write_table(pa.table(columns | {"y": random.random(rows) < 1 / (1 + np.exp(-margin))}), sys.argv[1])
EOF
        flags="--max-levels 4000 --inference"
    else
        data=$(python3 benches/shapes.py "$shape" --correlated --make "$folder")
        rows=${shape%%x*}
        flags="--penalty-scale original --l2 $(awk -v n="$rows" 'BEGIN { printf "%.9g", 1 / n }')"
        [ "$shape" != 200x20000 ] || flags="--penalty-scale original --l2 1"
    fi
    # Only the standard library here: on Linux the peak memory of a child includes that of the process that started it.
    # shellcheck disable=SC2086 # flags are several
    python3 - "$shape" "$count" "${LIMIT:-600}" "$folder/out" \
        "$folder/gpu-logreg" train "$data" --label y --device cpu --quiet $flags << 'EOF' || failed=1
import json, os, random, signal, statistics, subprocess, sys, time

shape, count, limit, out, command = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5:]
MOST, GIVE_UP = 1.0, 10.0  # seconds
SLACK = 20 * 2**20  # bytes
model = os.path.join(out, "model.json")


def run(at, number):
    """Runs the program, and sends the signal after so many seconds: how long it ran in all and after the signal (None if
    it ended before), its exit code and its peak memory in bytes."""
    for name in os.listdir(out):
        os.remove(os.path.join(out, name))
    begin = time.monotonic()
    process = subprocess.Popen([*command, "-o", model], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sent, killed = None, False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        now = time.monotonic()
        if pid:
            break
        if sent is None and now - begin >= at:
            process.send_signal(number)
            sent = time.monotonic()
        elif sent is not None and not killed and now - sent > GIVE_UP:
            process.kill()
            killed = True
        time.sleep(0.0005)
    process.returncode = os.waitstatus_to_exitcode(status)
    return now - begin, None if sent is None else now - sent, process.returncode, usage.ru_maxrss * 1024


def leftover():
    """What a run left that is not the whole model."""
    for name in os.listdir(out):
        try:
            with open(os.path.join(out, name)) as file:
                if name != "model.json" or "training" not in json.load(file):
                    return f"{name} is left"
        except ValueError:
            return f"{name} is left half-written"
    return None


plan = json.loads(subprocess.check_output([*command, "--dry-run", "--json"], stderr=subprocess.DEVNULL))["plan"]
sizes = {**plan, **plan["placement"]}
planned = sum(size for name, size in sizes.items() if name.endswith("_bytes") and name != "scratch_bytes")

faults, answers, peaks = [], [], []
duration, ended, code, peak = run(limit, signal.SIGKILL)
peaks.append(peak)
seconds = f"{duration:.2f}" if ended is None else f"> {limit:g}"
if ended is None and code:
    sys.exit(f"interrupts: {shape}: the run to its end failed with exit code {code}")

chance = random.Random(shape)
early = repeats = 0
worst_at = 0.0
for index in range(count):
    number = (signal.SIGINT, signal.SIGTERM)[index % 2]
    while True:
        at = duration * (index + chance.random()) / count
        took, answer, code, peak = run(at, number)
        if answer is not None:
            break
        if code:
            sys.exit(f"interrupts: {shape}: a run ended by itself with exit code {code}")
        duration = min(duration, took)  # it can be shorter than the first one
        repeats += 1
        if repeats > 20 * count:
            sys.exit(f"interrupts: {shape}: runs keep ending before their signal at {at:.3f} s")
    if not answers or answer > max(answers):
        worst_at = at
    answers.append(answer)
    peaks.append(peak)
    if answer > GIVE_UP:  # it was killed, which says nothing of its end and of its files
        faults.append(f"{number.name} at {at:.3f} s: the run had not ended {GIVE_UP:g} s later")
        continue
    # By the handler; done already; or before there was a handler.
    if code not in (130, 0, -number):
        faults.append(f"{number.name} at {at:.3f} s: exit code {code}")
    if answer > MOST:
        faults.append(f"{number.name} at {at:.3f} s: the run ended {answer:.2f} s later")
    if left := leftover():
        faults.append(f"{number.name} at {at:.3f} s: {left}")
    elif code and os.path.exists(model):
        faults.append(f"{number.name} at {at:.3f} s: exit code {code}, but there is a model")
if max(peaks) > 1.1 * planned + SLACK:
    faults.append(f"memory of {max(peaks) / 1e6:.0f} MB, where {planned / 1e6:.0f} MB are planned")
answered = sum(answer <= MOST for answer in answers)
median = statistics.median(answers) if answers else 0
print(f"| {shape} | {seconds} | {len(answers)} | {answered} | {median:.3f} | {max(answers, default=0):.3f} | {worst_at:.2f} "
      f"| {max(peaks) / 1e6:.0f} | {planned / 1e6:.0f} |", flush=True)
for fault in faults:
    print(f"interrupts: {shape}: {fault}", file=sys.stderr)
sys.exit(bool(faults))
EOF
    rm -f "$data"
done
exit $failed
