#!/bin/sh
# Kills trainings that keep a checkpoint at moments spread over their time, and has another run go on.
#
#     tests/campaigns/kills.sh [COUNT]       40 for each of five kinds of run is the run to compare with
#
# Each kind is trained once undisturbed, which tells its model, its passes and how long it takes. Then COUNT runs get a
# SIGKILL each, at moments spread over that time, and the checkpoint that a run left is gone on from. Fails if a run that
# goes on ends with another model (a coefficient more than 1e-5 of the largest one away), if both runs together made more
# than two passes over the data beyond those of the undisturbed one, or if a file is left beside the model.
#
# PROGRAM is the program [default: the release build, made here]; ROWS are those of the tables [1000000]; FOLDER is where
# they are made, and removed afterwards. Needs Python.
set -eu
cd "$(dirname "$0")/../.."
count=${1:-40}
if [ -z "${PROGRAM:-}" ]; then
    cargo build --release
    PROGRAM=${CARGO_TARGET_DIR:-target}/release/gpu-logreg
fi
folder=$(mktemp -d "${FOLDER:-${TMPDIR:-/tmp}}/kills.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
cp "$PROGRAM" "$folder/gpu-logreg" # a build meanwhile must not change it
"$folder/gpu-logreg" synth -o "$folder/two.parquet" --quiet --rows "${ROWS:-1000000}" --features 20 --seed 1 --imbalance 0.02 > /dev/null
"$folder/gpu-logreg" synth -o "$folder/four.parquet" --quiet --rows "$((${ROWS:-1000000} / 5))" --features 10 --seed 2 --classes 4 > /dev/null
mkdir "$folder/out"

python3 - "$folder" "$count" << 'EOF'
import json, os, signal, subprocess, sys, time

folder, count = sys.argv[1], int(sys.argv[2])
out = os.path.join(folder, "out")
model, checkpoint = (os.path.join(out, name) for name in ("model.json", "run.checkpoint"))
KINDS = [
    ("conjugate gradients", "two", []),
    ("L-BFGS", "two", ["--solver", "lbfgs"]),
    ("four classes", "four", []),
    ("a path", "two", ["--path"]),
    ("a path with five folds", "two", ["--path", "--folds", "5"]),
]


def run(data, flags, more, kill_at=None):
    """The exit code of a run, which is killed after so many seconds if it still lasts then."""
    command = [os.path.join(folder, "gpu-logreg"), "train", os.path.join(folder, data + ".parquet"), "--label", "y",
               "--device", "cpu", "--quiet", "-o", model, *flags, *more]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if kill_at is not None:
        time.sleep(kill_at)
        process.send_signal(signal.SIGKILL)
    error = process.communicate()[1].decode()
    return process.returncode, error


def read():
    with open(model) as file:
        found = json.load(file)
    values = []
    for feature in found["features"]:
        values += feature["coefficients"] if "coefficients" in feature else [feature["coefficient"]]
    return [0.0 if value is None else value for value in values], found["training"]["passes"]["data"]


def empty():
    for name in os.listdir(out):
        os.remove(os.path.join(out, name))


print("| run | seconds | killed | gone on | passes more, worst | farthest coefficient | wrong |")
print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
failed = 0
for name, data, flags in KINDS:
    empty()
    begin = time.monotonic()
    code, error = run(data, flags, [])
    seconds = time.monotonic() - begin
    if code != 0:
        sys.exit(f"kills: {name} does not run undisturbed: {error}")
    expected, passes = read()
    largest = max(abs(value) for value in expected)
    killed = gone_on = wrong = 0
    worst_passes, worst = -(10**9), 0.0
    for number in range(count):
        empty()
        code, error = run(data, flags, ["--checkpoint", checkpoint, "--checkpoint-every", "1"], seconds * (number + 1) / (count + 1))
        killed += code == -signal.SIGKILL
        if code != -signal.SIGKILL or not os.path.exists(checkpoint):
            continue  # it ended before, or had not read the table
        code, error = run(data, flags, ["--resume", checkpoint])
        gone_on += 1
        if code != 0:
            print(f"{name}, killed after {number + 1}/{count + 1} of its time: {error}", file=sys.stderr)
            wrong += 1
            continue
        found, all_passes = read()
        far = max(abs(a - b) for a, b in zip(found, expected, strict=True)) / largest
        more = all_passes - passes
        worst, worst_passes = max(worst, far), max(worst_passes, more)
        left = sorted(os.listdir(out))
        if not far <= 1e-5 or more > 2 or left != ["model.json"]:
            print(f"{name}, killed after {number + 1}/{count + 1}: {far:.1e}, {more} passes more, files {left}", file=sys.stderr)
            wrong += 1
    failed += wrong + (gone_on == 0)
    print(f"| {name} | {seconds:.2f} | {killed} | {gone_on} | {worst_passes} | {worst:.1e} | {wrong} |", flush=True)
sys.exit(1 if failed else 0)
EOF
