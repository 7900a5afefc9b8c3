"""Writes what R's glmnet makes of real tables of several classes with elastic nets, glmnet_classes.json, beside itself.

    python tests/reference/glmnet_classes.py [OUT [THRESH]]

On the same doubles, which R reads by readBin, at `thresh = 1e-20`. Needs numpy, pandas, pyarrow, R and its package glmnet.
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


def lambdas(largest, count):
    return (largest * np.logspace(0, -2.5, count)).tolist()


# glmnet needs small steps here: of strengths a factor of 7 apart, each begun at the one before, it ends nowhere near the minimum
# of digits, without a warning. With alpha = 1 the number of classes is odd: glmnet and the program choose other ones of the minima of an even number.
JOBS = [
    {"table": "examples/iris.parquet", "label": "species", "alpha": 1.0, "lambdas": lambdas(0.4, 6)},
    {"table": "examples/iris.parquet", "label": "species", "alpha": 0.3, "lambdas": lambdas(0.8, 6)},
    {"table": "examples/digits.parquet", "label": "digit", "ignore": ["odd"], "alpha": 0.6, "lambdas": lambdas(0.2, 26), "kept": 8},
]

out, thresh = sys.argv[1:] + [str(FOLDER / "glmnet_classes.json"), "1e-20"][len(sys.argv[1:]):]
with tempfile.TemporaryDirectory() as folder:
    lines = []
    for number, job in enumerate(JOBS):
        frame = pd.read_parquet(ROOT / job["table"])
        job["columns"] = [c for c in frame.columns if c not in [job["label"], *job.get("ignore", [])]]
        # A column that never varies is in no model.
        job["columns"] = [c for c in job["columns"] if frame[c].std() > 0]
        job["classes"] = sorted(frame[job["label"]].unique().tolist())
        codes = frame[job["label"]].map(job["classes"].index).to_numpy(dtype="float64")
        table = np.hstack([frame[job["columns"]].to_numpy(dtype="float64"), codes[:, None]])
        np.asfortranarray(table).T.tofile(f"{folder}/{number}.bin")
        strengths = " ".join(map(repr, job["lambdas"]))
        lines.append(f"{number}.bin\t{len(frame)}\t{len(job['columns'])}\t{job['alpha']}\t{strengths}")
    Path(folder, "jobs.txt").write_text("\n".join(lines) + "\n")
    subprocess.run(["Rscript", str(FOLDER / "glmnet_classes.R"), folder, thresh], check=True)
    found = [list(map(float, line.split())) for line in Path(folder, "coefficients.txt").read_text().splitlines()]

for job in JOBS:
    job["coefficients"] = [[found.pop(0) for _ in job["classes"]] for _ in job["lambdas"]]
    # Of a path that needs small steps every so many strengths.
    kept = slice(None, None, job.pop("kept", 1))
    job["lambdas"], job["coefficients"] = job["lambdas"][kept], job["coefficients"][kept]
assert not found
Path(out).write_text(json.dumps(JOBS, indent=1) + "\n")
