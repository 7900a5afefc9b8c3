"""Passes, certificates and times of paths of several classes and of ten folds of them, beside R's glmnet where R has it.

    python benches/path_classes.py [PROGRAM [SETS [ALPHAS]]]

A line for each table and share of L1. Of the path: strengths, passes over the data (Hessians among them; eight margins of a visit count
as one), the worst gap that is certified, and how far the models are from the conditions of a minimum at most, at every tenth strength, by
numpy: the largest subgradient of a standardised coefficient. Then seconds of the whole process, and of glmnet's fit alone at its default
threshold and the same strengths, with the same distance of its last model. Then passes and seconds of ten folds, and of cv.glmnet with the
same folds and strengths. SETS is a list with semicolons, ALPHAS one with commas. Needs numpy and pyarrow; scikit-learn for digits.
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

PROGRAM = (sys.argv[1:] or ["target/release/gpu-logreg"])[0]
FOLDS = 10
GLMNET = """
suppressMessages(library(glmnet))
a <- commandArgs(TRUE); n <- as.integer(a[2]); d <- as.integer(a[3]); folder <- a[1]
v <- matrix(readBin(file.path(folder, "data.bin"), "double", n * (d + 2)), nrow = n); x <- v[, 1:d]; y <- factor(v[, d + 1])
lambdas <- scan(file.path(folder, "lambdas.txt"), quiet = TRUE); alpha <- as.numeric(a[4])
if (a[5] == "path") {
  t <- system.time(f <- glmnet(x, y, family = "multinomial", alpha = alpha, lambda = lambdas))[3]
  last <- length(f$lambda)
  writeBin(as.double(rbind(f$a0[, last], sapply(f$beta, function(b) as.matrix(b)[, last]))), file.path(folder, "last.bin"))
  cat(t, f$npasses, last)
} else {
  t <- system.time(f <- cv.glmnet(x, y, family = "multinomial", alpha = alpha, lambda = lambdas, foldid = v[, d + 2]))[3]
  cat(t, f$glmnet.fit$npasses, length(f$lambda))
}
"""


def drawn(rows, columns, classes, shared=0.0, tails=False):
    """Normal columns, two fifths of whose weights are not 0, and labels by chance of a softmax."""
    chance = np.random.default_rng(1)
    x = chance.normal(size=(rows, columns))
    if shared:
        x = np.sqrt(1 - shared) * x + np.sqrt(shared) * chance.normal(size=(rows, 1))
    if tails:
        x = np.sign(x) * x**2
    weights = chance.normal(size=(columns, classes)) * (chance.random((columns, classes)) < 0.4) * 2 / np.sqrt(columns)
    margins = x @ weights + chance.normal(size=classes)
    return x.astype(np.float32).astype(float), (margins + chance.gumbel(size=margins.shape)).argmax(1)


def digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x[:, x.std(0) > 0], y


TABLES = {
    "normal, 100,000 x 30, 3 classes": lambda: drawn(100_000, 30, 3),
    "correlated, 30,000 x 40, 5 classes": lambda: drawn(30_000, 40, 5, shared=0.5),
    "heavy tails, 30,000 x 20, 4 classes": lambda: drawn(30_000, 20, 4, tails=True),
    "normal, 60,000 x 20, 10 classes": lambda: drawn(60_000, 20, 10),
    "wide, 5,000 x 200, 3 classes": lambda: drawn(5_000, 200, 3),
    "digits, 1,797 x 61, 10 classes": digits,
}


def run(folder, *flags):
    command = [PROGRAM, "train", f"{folder}/data.parquet", "--label", "y", "--multinomial", "--device", "cpu", "-q"]
    begin = time.perf_counter()
    subprocess.run([*command, *map(str, flags), "-o", f"{folder}/model.json"], check=True, stdout=subprocess.DEVNULL)
    return json.loads(Path(folder, "model.json").read_text()), time.perf_counter() - begin


def furthest(x, y, intercepts, weights, strength, alpha):
    """The largest subgradient, of weights `[columns][classes]`."""
    mean, scale = x.mean(0), x.std(0)
    margins = x @ weights + intercepts
    odds = np.exp(margins - margins.max(1, keepdims=True))
    residuals = odds / odds.sum(1, keepdims=True)
    residuals[np.arange(len(y)), y] -= 1
    slopes = ((x - mean) / scale).T @ residuals / len(y) + strength * (1 - alpha) * weights * scale[:, None]
    l1 = strength * alpha
    off = np.where(weights == 0, np.maximum(np.abs(slopes) - l1, 0), np.abs(slopes + l1 * np.sign(weights)))
    return max(off.max(), np.abs(residuals.mean(0)).max())


sets = sys.argv[2].split(";") if len(sys.argv) > 2 else [*TABLES]
alphas = [float(alpha) for alpha in (sys.argv[3].split(",") if len(sys.argv) > 3 else ["1"])]
has_glmnet = shutil.which("Rscript") and subprocess.run(["Rscript", "-e", "library(glmnet)"], capture_output=True).returncode == 0
for name in sets:
    x, y = TABLES[name]()
    n, d = x.shape
    fold = np.random.default_rng(1).permutation(n) % FOLDS + 1
    with tempfile.TemporaryDirectory() as folder:
        columns = {f"x{j}": x[:, j] for j in range(d)} | {"y": y.astype(np.int8), "fold": fold.astype(np.int8)}
        pq.write_table(pa.table(columns), f"{folder}/data.parquet")
        np.hstack([x, y[:, None], fold[:, None]]).T.astype(float).tofile(f"{folder}/data.bin")
        Path(folder, "fit.R").write_text(GLMNET)
        for alpha in alphas:
            model, seconds = run(folder, "--path", "--alpha", alpha, "--ignore", "fold")
            path, passes = model["path"], model["training"]["passes"]
            # Classes are in the order of the label.
            order = [int(c) for c in model["label"]["classes"]]
            place_of = np.argsort(order)
            worst = 0.0
            for place in range(9, len(path["lambdas"]), 10):
                weights = np.zeros((d, len(order)))
                for j, of_classes in path["coefficients"][place]:
                    weights[j] = of_classes
                intercepts = np.array(path["intercepts"][place])[place_of]
                worst = max(worst, furthest(x, y, intercepts, weights[:, place_of], path["lambdas"][place], alpha))
            Path(folder, "lambdas.txt").write_text("\n".join(map(repr, path["lambdas"])))
            line = f"{name}, alpha {alpha:g}: {len(path['lambdas'])} strengths, {passes['data']} passes ({passes['hessian']}), "
            line += f"worst gap {max(path['gaps']):.1e}, {worst:.1e} from the minima, {seconds:.2f} s"
            for what in ["path", "folds"]:
                if what == "folds":
                    model, seconds = run(folder, "--path", "--alpha", alpha, "--fold-column", "fold")
                    cv, passes = model["path"]["cv"], model["training"]["passes"]
                    line += f"; ten folds: {passes['data']} passes ({passes['hessian']}), {cv['visited']} of {cv['models']} visited, "
                    line += f"{cv['verified']} within the tolerance, {seconds:.2f} s"
                if has_glmnet:
                    command = ["Rscript", f"{folder}/fit.R", folder, str(n), str(d), str(alpha), what]
                    took, sweeps, count = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                    line += f"; glmnet {float(took):.2f} s, {sweeps} sweeps, {float(took) / seconds:.1f} times"
                    if what == "path":
                        last = np.fromfile(f"{folder}/last.bin").reshape(len(order), d + 1).T
                        far = furthest(x, y, last[0], last[1:], path["lambdas"][int(count) - 1], alpha)
                        line += f", {far:.1e} from the last minimum"
            print(line, flush=True)
