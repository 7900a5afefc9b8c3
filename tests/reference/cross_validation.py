"""Writes what R's cv.glmnet makes of folds, cross_validation.json, beside itself, and a table of random rows, folds.parquet.

    python tests/reference/cross_validation.py [OUT [THRESH]]

Deviances of each fold at each strength, on the same doubles, which R reads by readBin. glmnet standardises the columns of each fold by
its own training rows. Needs numpy, pandas, pyarrow, R and its package glmnet.
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
TABLE = "tests/reference/folds.parquet"


def table():
    """More rows than the sample of a path has; heavy tails, a rare column, weights."""
    rng = np.random.default_rng(5)
    n, d = 8_400, 6
    x = np.round(rng.standard_normal((n, d)) * 16) / 16
    x[:, 1] = np.round(np.exp(x[:, 1]) * 16) / 16
    x[:, 2] = rng.random(n) < 0.02
    x[:, 3] = np.round((0.8 * x[:, 0] + 0.6 * x[:, 3]) * 16) / 16
    z = x @ [0.9, -0.4, 1.5, 0.5, 0.0, 0.1] - 1.0
    frame = pd.DataFrame({f"x{j}": x[:, j].astype("float32") for j in range(d)})
    frame["y"] = (rng.random(n) < 1 / (1 + np.exp(-z))).astype("int8")
    frame["w"] = rng.integers(1, 4, n).astype("int8")
    frame["fold"] = rng.integers(1, 6, n).astype("int8")
    frame.to_parquet(ROOT / TABLE)


JOBS = [
    {"table": TABLE, "alpha": 1.0, "lambdas": (0.2 * np.logspace(0, -3, 10)).tolist(), "weight": None},
    {"table": TABLE, "alpha": 0.4, "lambdas": (0.3 * np.logspace(0, -3, 10)).tolist(), "weight": "w"},
    {"table": TABLE, "rows": 700, "alpha": 0.8, "lambdas": (0.2 * np.logspace(0, -2.5, 6)).tolist(), "weight": "w"},
]
out, thresh = sys.argv[1:] + [str(FOLDER / "cross_validation.json"), "1e-20"][len(sys.argv[1:]):]
table()
with tempfile.TemporaryDirectory() as folder:
    lines = []
    for number, job in enumerate(JOBS):
        frame = pd.read_parquet(ROOT / job["table"]).astype("float64")[: job.get("rows")]
        columns = [c for c in frame.columns if c.startswith("x")]
        weights = frame[job["weight"]] if job["weight"] else np.ones(len(frame))
        parts = [frame[columns].to_numpy(), frame[["y"]].to_numpy(), np.array(weights)[:, None], frame[["fold"]].to_numpy()]
        np.asfortranarray(np.hstack(parts)).T.tofile(f"{folder}/{number}.bin")
        lambdas = " ".join(repr(x) for x in job["lambdas"])
        lines.append("\t".join([f"{number}.bin", str(len(frame)), str(len(columns)), str(job["alpha"]), lambdas]))
    Path(folder, "jobs.txt").write_text("\n".join(lines) + "\n")
    subprocess.run(["Rscript", str(FOLDER / "cross_validation.R"), folder, thresh], check=True)
    found = [list(map(float, line.split())) for line in Path(folder, "curves.txt").read_text().splitlines()]
for job in JOBS:
    job["by_fold"] = [found.pop(0) for _ in range(5)]
assert not found
Path(out).write_text(json.dumps(JOBS, indent=1) + "\n")
