"""Passes, certificates and times of ten folds of a path, beside R's cv.glmnet where R has it.

    python benches/cross_validation.py [PROGRAM [SETS [ALPHAS]]]

Tables are those of path_tables.py. A line for each table and share of L1: strengths of the path, passes over the data (Hessians among
them; eight points of a visit count as one), how many models of folds were visited, how many of those are within the tolerance, and the
worst gap. Then how far the mean deviance is from that of folds that are all visited, to 1e-13, in standard errors, at most and where the
models were visited; and whether both choose the same strengths. Then seconds of the whole process, and of cv.glmnet's fit alone at its
default threshold with its own strengths and the same folds. SETS is a list with semicolons, ALPHAS one with commas. Needs numpy and pyarrow;
scikit-learn for two real tables.
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
FOLDS = 10
GLMNET = """
suppressMessages(library(glmnet))
a <- commandArgs(TRUE); n <- as.integer(a[2]); d <- as.integer(a[3])
v <- matrix(readBin(a[1], "double", n * (d + 2)), nrow = n); x <- v[, 1:d]
t <- system.time(f <- cv.glmnet(x, v[, d + 1], family = "binomial", alpha = as.numeric(a[4]), foldid = v[, d + 2]))[3]
cat(t, f$glmnet.fit$npasses, length(f$lambda))
"""


def run(folder, *flags):
    command = [PROGRAM, "train", f"{folder}/data.parquet", "--label", "y", "--fold-column", "fold", "--device", "cpu", "-q"]
    begin = time.perf_counter()
    subprocess.run([*command, *map(str, flags), "-o", f"{folder}/model.json"], check=True, stdout=subprocess.DEVNULL)
    return json.loads(Path(folder, "model.json").read_text()), time.perf_counter() - begin


sets = sys.argv[2].split(";") if len(sys.argv) > 2 else [*TABLES, *REAL]
alphas = [float(alpha) for alpha in (sys.argv[3].split(",") if len(sys.argv) > 3 else ["1"])]
has_glmnet = shutil.which("Rscript") and subprocess.run(["Rscript", "-e", "library(glmnet)"], capture_output=True).returncode == 0
for name in sets:
    x, y = table(name)
    n, d = x.shape
    fold = np.random.default_rng(1).permutation(n) % FOLDS + 1
    with tempfile.TemporaryDirectory() as folder:
        columns = {f"x{j}": x[:, j] for j in range(d)} | {"y": y.astype(np.int8), "fold": fold.astype(np.int8)}
        pq.write_table(pa.table(columns), f"{folder}/data.parquet")
        np.hstack([x, y[:, None], fold[:, None]]).T.astype(float).tofile(f"{folder}/data.bin")
        Path(folder, "fit.R").write_text(GLMNET)
        for alpha in alphas:
            model, seconds = run(folder, "--alpha", alpha)
            path, cv, passes = model["path"], model["path"]["cv"], model["training"]["passes"]
            Path(folder, "lambdas.txt").write_text("\n".join(map(repr, path["lambdas"])))
            flags = ["--alpha", alpha, "--lambdas", f"{folder}/lambdas.txt", "--verify-folds", "--gap-tolerance", "1e-13"]
            exact = run(folder, *flags)[0]["path"]["cv"]
            own, best = (np.array([found["curves"][0]["mean"]]) for found in (cv, exact))
            off = (abs(own - best) / np.array(exact["curves"][0]["se"])).ravel()
            assert np.all(np.isfinite(off)), (name, alpha)
            line = f"{name} {n} x {d}, alpha {alpha:g}: {len(path['lambdas'])} strengths, {passes['data']} passes ({passes['hessian']} H), "
            line += f"{cv['visited']} of {cv['models']} visited, {cv['verified']} verified, gap {cv['gap']:.1e}, off {max(off):.1e} s. e., "
            line += f"at marks {max(off[::8]):.1e}, {'the same' if cv['lambda_min'] == exact['lambda_min'] else 'another'} min, "
            line += f"{'the same' if cv['lambda_1se'] == exact['lambda_1se'] else 'another'} 1se, {seconds:.2f} s"
            if has_glmnet:
                command = ["Rscript", f"{folder}/fit.R", f"{folder}/data.bin", str(n), str(d), str(alpha)]
                fit, sweeps, strengths = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                line += f"; cv.glmnet {float(fit):.2f} s for {strengths} strengths: {float(fit) / seconds:.1f} times"
            print(line, flush=True)
