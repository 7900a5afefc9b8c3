"""Writes what R's glmnet makes of real tables with elastic nets, glmnet.json, beside itself.

    python tests/reference/glmnet.py [OUT [THRESH]]
    python tests/reference/glmnet.py --compare PROGRAM [DEVICE [OUT]]

The second command fits the same with the program, refined to 1e-14 of the null deviance, and prints how far apart the coefficients
are at most, a share of the largest, and in how many fits other columns are selected.

On the same doubles, which R reads by readBin, at `thresh = 1e-20`: at 1e-14 glmnet itself is not done where columns are collinear
(write another OUT with it, and compare). Needs numpy, pandas, pyarrow, R and its package glmnet.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
INF = float("inf")


def compare(program, device, out):
    worst, others, fits = 0.0, 0, 0
    for job in json.loads(Path(out).read_text()):
        columns = job["columns"]
        flags = ["--label", job["label"], "--features", ",".join(columns), "--device", device]
        flags += ["--alpha", repr(job["alpha"]), "--gap-tolerance", "1e-14", "--refine"]
        if "factors" in job:
            flags += ["--penalty-factor", ",".join(f"{columns[int(j)]}={f}" for j, f in job["factors"].items())]
        if "bounds" in job:
            flags += ["--bounds", ",".join(f"{columns[int(j)]}={low}:{high}" for j, (low, high) in job["bounds"].items())]
        if job.get("nonnegative"):
            flags += ["--nonnegative"]
        if job.get("weight"):
            flags += ["--weight", job["weight"], "--weight-kind", "sampling"]
        if job.get("offset"):
            flags += ["--offset", job["offset"]]
        for strength, expected in zip(job["lambdas"], job["coefficients"]):
            with tempfile.TemporaryDirectory() as folder:
                model = f"{folder}/model.json"
                command = [program, "train", str(ROOT / job["table"]), "--lambda", repr(strength), *flags, "-q", "-o", model]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                features = {feature["name"]: feature for feature in json.loads(Path(model).read_text())["features"]}
            found = np.array([features[name]["coefficient"] * features[name]["scale"] for name in columns])
            expected = np.array(expected[1:]) * [features[name]["scale"] for name in columns]
            worst = max(worst, abs(found - expected).max() / max(abs(expected).max(), 1e-300))
            others += any((found != 0) != (expected != 0))
            fits += 1
    print(f"{fits} fits: {worst:.1e} of the largest coefficient apart at most; other columns in {others}")


def lambdas(largest, count=10):
    return (largest * np.logspace(0, -3, count)).tolist()


TABLES = {
    "examples/breast_cancer.parquet": ("malignant", None, None),
    "tests/reference/weights.parquet": ("y", "v", "o"),
}
JOBS = [
    {"table": "examples/breast_cancer.parquet", "alpha": 1.0, "lambdas": lambdas(0.35)},
    {"table": "examples/breast_cancer.parquet", "alpha": 0.5, "lambdas": lambdas(0.5)},
    {"table": "examples/breast_cancer.parquet", "alpha": 0.7, "lambdas": lambdas(0.3, 4), "factors": {0: 0.0, 3: 2.0, 7: 0.5}},
    {"table": "examples/breast_cancer.parquet", "alpha": 1.0, "lambdas": lambdas(0.1, 4), "nonnegative": True},
    {"table": "examples/breast_cancer.parquet", "alpha": 0.9, "lambdas": lambdas(0.1, 4), "bounds": {0: [-0.1, 0.05], 21: [0.0, 0.1]}},
    {"table": "tests/reference/weights.parquet", "alpha": 1.0, "lambdas": lambdas(0.05, 5), "weight": True},
    {"table": "tests/reference/weights.parquet", "alpha": 0.6, "lambdas": lambdas(0.05, 5), "weight": True, "offset": True},
]

if sys.argv[1:2] == ["--compare"]:
    rest = sys.argv[3:] + ["cpu", str(FOLDER / "glmnet.json")][len(sys.argv[3:]):]
    compare(sys.argv[2], rest[0], rest[1])
    sys.exit()
out, thresh = sys.argv[1:] + [str(FOLDER / "glmnet.json"), "1e-20"][len(sys.argv[1:]):]

with tempfile.TemporaryDirectory() as folder:
    lines = []
    for number, job in enumerate(JOBS):
        label, weight, offset = TABLES[job["table"]]
        frame = pd.read_parquet(ROOT / job["table"]).astype("float64")
        job["label"] = label
        columns = [c for c in frame.columns if c not in (label, "w", "v", "o")]
        job["columns"] = columns
        none = np.ones(len(frame))
        parts = [frame[columns].to_numpy(), frame[[label]].to_numpy()]
        for name in (weight if job.get("weight") else None, offset if job.get("offset") else None):
            parts.append((frame[name].to_numpy() if name else none)[:, None])
        np.asfortranarray(np.hstack(parts)).T.tofile(f"{folder}/{number}.bin")
        factors = [job.get("factors", {}).get(j, 1.0) for j in range(len(columns))]
        bounds = [job.get("bounds", {}).get(j, [0.0 if job.get("nonnegative") else -INF, INF]) for j in range(len(columns))]
        text = lambda values: " ".join(repr(float(v)).replace("inf", "Inf") for v in values)
        has = [bool(job.get("weight")), bool(job.get("offset")), True]
        fields = [
            f"{number}.bin", str(len(frame)), str(len(columns)), str(job["alpha"]), text(job["lambdas"]), text(factors),
            text(b[0] for b in bounds), text(b[1] for b in bounds), " ".join(str(h).upper() for h in has),
        ]
        lines.append("\t".join(fields))
        if job.get("weight"):
            job["weight"] = weight
        if job.get("offset"):
            job["offset"] = offset
    Path(folder, "jobs.txt").write_text("\n".join(lines) + "\n")
    subprocess.run(["Rscript", str(FOLDER / "glmnet.R"), folder, thresh], check=True)
    found = [list(map(float, line.split())) for line in Path(folder, "coefficients.txt").read_text().splitlines()]

for job in JOBS:
    job["coefficients"] = [found.pop(0) for _ in job["lambdas"]]
assert not found
Path(out).write_text(json.dumps(JOBS, indent=1) + "\n")
