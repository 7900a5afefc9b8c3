#!/usr/bin/env python3
"""Compares gpu-logreg with scikit-learn on several classes: from the same Parquet file to both models.

    pip install -r benches/requirements.txt
    python benches/classes.py                             # 200,000 rows, 64 features, 10 classes
    python benches/classes.py --classes 100 --runs 1
    python benches/classes.py --write-gaussian FILE       # the Gaussian classes of docs/solver.md, and nothing else

The softmax regression against `LogisticRegression` (lbfgs, C = 1e10, standardised columns), and the generative model
against `LinearDiscriminantAnalysis` (lsqr). Each fit runs in a fresh process, in turn, and is timed as a whole: start,
reading, fit. Both losses and the largest difference of the probabilities are printed, so that both can be seen to have
solved the same problem. A fit beyond the limit is ended and counts as that long.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def write_gaussian(path: str) -> None:
    """Ten classes of their own shares and means, 64 features with one covariance and scales of their own: 200,000 rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(7)
    rows, features, classes = 200_000, 64, 10
    mixing = random.normal(size=(features, features)) / np.sqrt(features)
    means = random.normal(size=(classes, features)) * 0.35
    shares = np.arange(1, classes + 1)
    label = random.choice(classes, size=rows, p=shares / shares.sum())
    x = means[label] + random.normal(size=(rows, features)) @ (np.eye(features) + 0.5 * mixing).T
    x = (x * np.exp(random.normal(size=features)) + random.normal(size=features) * 3).astype(np.float32)
    names = pa.array([f"c{k}" for k in label])
    pq.write_table(pa.table({**{f"x{j}": x[:, j] for j in range(features)}, "y": names}), path)


def columns(path: str):
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    label = table["y"].to_numpy()
    return np.stack([table[name].to_numpy() for name in table.column_names if name != "y"], axis=1), label


def fit(model: str, path: str, tolerance: float, out: str) -> None:
    """What scikit-learn makes of the file: coefficients on the original scale, by class."""
    import numpy as np

    x, label = columns(path)
    if model == "generative":
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        found = LinearDiscriminantAnalysis(solver="lsqr").fit(x.astype(np.float64), label)
        coefficients, intercepts = found.coef_, found.intercept_
    else:
        from sklearn.linear_model import LogisticRegression

        mean, scale = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
        found = LogisticRegression(C=1e10, tol=tolerance, max_iter=10_000).fit((x - mean) / scale, label)
        coefficients = found.coef_ / scale
        intercepts = found.intercept_ - coefficients @ mean
    answer = {"classes": [str(c) for c in found.classes_], "coefficients": coefficients.tolist(), "intercepts": intercepts.tolist()}
    Path(out).write_text(json.dumps(answer))


def probabilities(answer: dict, x):
    import numpy as np

    margins = x @ np.array(answer["coefficients"]).T + np.array(answer["intercepts"])
    odds = np.exp(margins - margins.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def ours(path: Path) -> dict:
    model = json.loads(path.read_text())
    coefficients = list(zip(*(feature["coefficients"] for feature in model["features"])))
    return {"classes": model["label"]["classes"], "coefficients": coefficients, "intercepts": model["intercepts"]}


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        return fit(sys.argv[2], sys.argv[3], float(sys.argv[4]), sys.argv[5])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-gaussian", metavar="FILE")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3, help="runs of each, in turn")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a fit is ended")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tol", type=float, default=1e-6, help="of scikit-learn")
    parser.add_argument("--program", default=shutil.which("gpu-logreg") or "target/release/gpu-logreg")
    args = parser.parse_args()
    if args.write_gaussian:
        return write_gaussian(args.write_gaussian)
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "data.parquet")
        shape = ["--rows", str(args.rows), "--features", str(args.features), "--classes", str(args.classes)]
        subprocess.run([args.program, "synth", "-o", data, *shape, "--seed", "1", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        print(f"{args.rows} rows, {args.features} features, {args.classes} classes; {os.cpu_count()} processors\n")
        print("| model | gpu-logreg, median (range) | scikit-learn, median (range) | ratio | loss | loss of scikit-learn | probabilities apart |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        for model, solver in [("softmax", "cg"), ("generative", "generative")]:
            outs = [Path(folder) / f"{model}-{who}.json" for who in ["ours", "theirs"]]
            commands = [
                [args.program, "train", data, "--label", "y", "--multinomial", "--solver", solver, "--device", args.device,
                 "--quiet", "-o", str(outs[0])],
                [sys.executable, __file__, "--worker", model, data, str(args.tol), str(outs[1])],
            ]
            seconds: list[list[float]] = [[], []]
            for _ in range(args.runs):
                for runs, command in zip(seconds, commands):
                    begin = time.perf_counter()
                    try:
                        subprocess.run(command, check=True, timeout=args.limit, stdout=subprocess.DEVNULL)
                    except subprocess.TimeoutExpired:
                        print(f"ended after {args.limit:.0f} s: {' '.join(command[:3])}", file=sys.stderr)
                    runs.append(time.perf_counter() - begin)
            medians = [statistics.median(runs) for runs in seconds]
            shown = [f"{median:.2f} ({min(runs):.2f}–{max(runs):.2f})" for median, runs in zip(medians, seconds)]
            x, label = columns(data)
            answers = [ours(outs[0]), json.loads(outs[1].read_text()) if outs[1].exists() else None]
            of_model = [probabilities(answer, x) for answer in answers if answer]
            rows = np.arange(len(label))
            losses = []
            for answer, found in zip(answers, of_model):
                place = {name: index for index, name in enumerate(answer["classes"])}
                losses.append(f"{-np.log(found[rows, [place[t] for t in label]]).mean():.9f}")
            apart = "–"
            if len(of_model) == 2:
                order = [answers[1]["classes"].index(name) for name in answers[0]["classes"]]
                apart = f"{np.abs(of_model[0] - of_model[1][:, order]).max():.1e}"
            print(f"| {model} | {shown[0]} | {shown[1]} | {medians[1] / medians[0]:.1f} | {' | '.join(losses)} | {apart} |")


if __name__ == "__main__":
    main()
