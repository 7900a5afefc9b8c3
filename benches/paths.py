"""Passes, certificates and times of paths of elastic nets, beside R's glmnet where R has it.

    python benches/paths.py [PROGRAM [SETS [ALPHAS [TOLERANCE]]]]

Tables are those of path_tables.py. A line for each table and share of L1: strengths of the path, passes
over the data (Hessians among them; eight points of a visit count as one), the worst gap that is certified, and against single runs
refined to 1e-15, at every tenth strength: how much more the path costs at most, a share of the null deviance, in how many models other columns are
selected, how many columns those are and how many of them the path names as on the edge, and how many columns it names at these
strengths in all. A column that is other and not named is told in a line of its own. Then seconds of the whole process, those of reading and fitting among them, and of glmnet's fit alone at its default
threshold with its own strengths. SETS is a list with semicolons, ALPHAS one with commas; TOLERANCE is
the --gap-tolerance of the paths, for which a larger one than the default leaves more selections open. Needs numpy and pyarrow; scikit-learn for two real tables.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from path_tables import REAL, TABLES, table

PROGRAM = (sys.argv[1:] or ["target/release/gpu-logreg"])[0]
GLMNET = """
suppressMessages(library(glmnet))
a <- commandArgs(TRUE); n <- as.integer(a[2]); d <- as.integer(a[3])
v <- readBin(a[1], "double", n * (d + 1)); x <- matrix(v[1:(n * d)], nrow = n); y <- v[(n * d + 1):(n * (d + 1))]
t <- system.time(f <- glmnet(x, y, family = "binomial", alpha = as.numeric(a[4])))[3]
cat(t, f$npasses, length(f$lambda))
"""


def run(folder, *flags):
    command = [PROGRAM, "train", f"{folder}/data.parquet", "--label", "y", "--device", "cpu", "-q", *map(str, flags)]
    begin = time.perf_counter()
    subprocess.run([*command, "-o", f"{folder}/model.json"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begin
    return json.loads(Path(folder, "model.json").read_text()), seconds


def mean_loss(x, y, intercept, weights):
    z = intercept + x @ weights
    return np.mean(np.logaddexp(0, z) - y * z)


sets = sys.argv[2].split(";") if len(sys.argv) > 2 else [*TABLES, *REAL]
alphas = [float(alpha) for alpha in (sys.argv[3].split(",") if len(sys.argv) > 3 else ["1", "0.5"])]
tolerance = sys.argv[4:5] and ["--gap-tolerance", sys.argv[4]]
has_glmnet = not tolerance and shutil.which("Rscript") and subprocess.run(["Rscript", "-e", "library(glmnet)"], capture_output=True).returncode == 0
for name in sets:
    x, y = table(name)
    n, d = x.shape
    scales = x.std(0)
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({f"x{j}": x[:, j] for j in range(d)} | {"y": y.astype(np.int8)}), f"{folder}/data.parquet")
        np.hstack([x, y[:, None]]).T.tofile(f"{folder}/data.bin")
        Path(folder, "fit.R").write_text(GLMNET)
        for alpha in alphas:
            model, seconds = run(folder, "--path", "--alpha", alpha, *tolerance)
            path, training = model["path"], model["training"]
            null = np.log(1 - y.mean()) * (y.mean() - 1) - np.log(y.mean()) * y.mean()
            worst, others, looked, differing, told, named = 0.0, 0, 0, 0, 0, 0
            for place in range(9, len(path["lambdas"]), 10):
                strength = path["lambdas"][place]
                best, _ = run(folder, "--lambda", repr(strength), "--alpha", alpha, "--gap-tolerance", "1e-15", "--refine")
                weights = np.array([feature["coefficient"] for feature in best["features"]])
                own = np.zeros(d)
                for j, coefficient in path["coefficients"][place]:
                    own[j] = coefficient

                def cost(intercept, weights):
                    q = weights * scales
                    return mean_loss(x, y, intercept, weights) + strength * (alpha * abs(q).sum() + (1 - alpha) / 2 * (q @ q))

                more = cost(path["intercepts"][place], own) - cost(best["intercept"], weights)
                assert np.isfinite(more), (name, alpha, strength)
                worst, looked = max(worst, more / null), looked + 1
                edge = path.get("on_edge", [[]] * len(path["lambdas"]))[place]
                other = [f"x{j}" for j in np.flatnonzero((own != 0) != (weights != 0))]
                others, differing, named = others + bool(other), differing + len(other), named + len(edge)
                told += len(set(other) & set(edge))
                for column in sorted(set(other) - set(edge)):
                    j = int(column[1:])
                    print(f"{name}, alpha {alpha:g}, lambda {strength:.3e}: {column} is {own[j]:.2e}, not {weights[j]:.2e}, and not named")
            passes = training["passes"]
            line = f"{name} {n} x {d}, alpha {alpha:g}: {len(path['lambdas'])} strengths, {passes['data']} passes ({passes['hessian']} H), "
            line += f"gap {max(path['gaps']):.1e}, excess {worst:.1e}, {others} of {looked} other columns ({differing}, {told} named; {named} named in all), "
            line += f"{seconds:.2f} s ({training['seconds']['read']:.2f} + {training['seconds']['solve']:.2f})"
            if has_glmnet:
                command = ["Rscript", f"{folder}/fit.R", f"{folder}/data.bin", str(n), str(d), str(alpha)]
                fit, sweeps, strengths = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                line += f"; glmnet {float(fit):.2f} s, {sweeps} sweeps for {strengths}: {float(fit) / seconds:.1f} times"
            print(line, flush=True)
