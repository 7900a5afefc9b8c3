"""Passes, gaps and times of elastic nets, beside R's glmnet where R has it.

    python benches/elastic_net.py [PROGRAM]

Each table is made here, by numpy's default generator with seed 0. A line for each strength: how many columns are selected, what is left
to gain of the null deviance, passes over the data (Hessians among them), seconds of the fit alone; then glmnet's columns and seconds for
that strength at its default threshold and at 1e-16. `apart` is the difference of the sums of the absolute coefficients to glmnet's
at 1e-16, a share of it. Needs numpy and pyarrow.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PROGRAM = (sys.argv[1:] or ["target/release/gpu-logreg"])[0]
GLMNET = """
suppressMessages(library(glmnet))
a <- commandArgs(TRUE); n <- as.integer(a[2]); d <- as.integer(a[3])
v <- readBin(a[1], "double", n * (d + 1)); x <- matrix(v[1:(n * d)], nrow = n); y <- v[(n * d + 1):(n * (d + 1))]
for (l in as.numeric(a[-(1:3)])) for (th in c(1e-7, 1e-16)) {
  t <- system.time(f <- glmnet(x, y, family = "binomial", lambda = l, thresh = th, maxit = 1e8))[3]
  b <- as.numeric(coef(f))[-1]; cat(l, sum(b != 0), sprintf("%.12e", sum(abs(b))), t, "\\n")
}
"""


def normal(rng, n, d):
    return rng.standard_normal((n, d))


def heavy(rng, n, d):
    return np.exp(rng.standard_normal((n, d)))


def rare(rng, n, d):
    return (rng.random((n, d)) < 0.002).astype(float)


TABLES = [
    ("normal", normal, 30_000, 20, [0.1, 0.01, 1e-3, 1e-4]),
    ("heavy tails", heavy, 20_000, 40, [0.1, 0.01, 1e-3, 1e-4]),
    ("rare levels", rare, 20_000, 10, [1e-3, 1e-4]),
    ("normal", normal, 200_000, 50, [0.01, 1e-3]),
    ("normal", normal, 200, 20_000, [0.1, 0.05, 0.02]),
    ("normal", normal, 2_000, 5_000, [0.1, 0.05, 0.02]),
]

has_glmnet = shutil.which("Rscript") and subprocess.run(["Rscript", "-e", "library(glmnet)"], capture_output=True).returncode == 0
for name, make, n, d, strengths in TABLES:
    rng = np.random.default_rng(0)
    # As the program stores them.
    x = make(rng, n, d).astype(np.float32).astype(np.float64)
    weights = np.where(np.arange(d) < 20, rng.standard_normal(d), 0.0) * (3.0 if make is rare else 0.5)
    y = (rng.random(n) < 1 / (1 + np.exp(0.5 - (x - x.mean(0)) @ weights))).astype(float)
    with tempfile.TemporaryDirectory() as folder:
        columns = {f"x{j}": x[:, j] for j in range(d)} | {"y": y.astype(np.int8)}
        pq.write_table(pa.table(columns), f"{folder}/data.parquet")
        theirs = {}
        if has_glmnet:
            np.hstack([x, y[:, None]]).T.tofile(f"{folder}/data.bin")
            Path(folder, "fit.R").write_text(GLMNET)
            command = ["Rscript", f"{folder}/fit.R", f"{folder}/data.bin", str(n), str(d), *map(str, strengths)]
            for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
                strength, selected, size, seconds = line.split()
                theirs.setdefault(float(strength), []).append((int(selected), float(size), float(seconds)))
        for strength in strengths:
            command = [PROGRAM, "train", f"{folder}/data.parquet", "--label", "y", "--l1", str(strength), "--device", "cpu", "-q"]
            subprocess.run([*command, "-o", f"{folder}/model.json"], check=True, stdout=subprocess.DEVNULL)
            model = json.loads(Path(folder, "model.json").read_text())
            training = model["training"]
            found = np.array([feature["coefficient"] for feature in model["features"]])
            passes = training["passes"]
            line = f"{name} {n} x {d}, l1 {strength:g}: {training['status']}, {np.count_nonzero(found)} columns, "
            line += f"gap {training['gap']:.1e}, {passes['data']} passes ({passes['hessian']} H), {training['seconds']['solve']:.3f} s"
            if strength in theirs:
                (loose, _, fast), (tight, size, slow) = theirs[strength]
                line += f"; glmnet {loose} columns {fast:.3f} s, {tight} columns {slow:.3f} s, apart {abs(abs(found).sum() / max(size, 1e-300) - 1):.0e}"
            print(line, flush=True)
