#!/usr/bin/env python3
"""Times whole fits of a polars frame in memory, side by side: this package's estimator and scikit-learn's.

    python benches/frames.py [--rows N] [--features D] [--runs R] [--json FILE]
    python benches/frames.py --grid                 # GridSearchCV, one fit after the other and two processes at a time

Needs the package, polars and scikit-learn; the program `gpu-logreg` makes the rows. Each fit runs in a process of its own, all
contestants in turn, and what is timed is `fit` alone: the frame lies in memory as polars read it from a Parquet file, and what
scikit-learn makes of it (an array of its own) is part of its fit. Maximum likelihood (`C=inf`), defaults otherwise but for the
tolerance of lbfgs. The gap is how far the mean log loss of the coefficients, in double precision over all rows, is above the lowest
one. Peak memory is that of the process, less what the frame takes.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONTESTANTS = {
    "gpu-logreg 64": "this package, float64",
    "gpu-logreg 32": "this package, float32",
    "lbfgs 64": "scikit-learn lbfgs, tol 1e-5, float64",
    "lbfgs 32": "scikit-learn lbfgs, tol 1e-5, float32",
}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fit(name: str, path: str) -> dict:
    """One fit, in this process."""
    import numpy as np
    import polars

    frame = polars.read_parquet(path)
    y = frame["y"].to_numpy()
    # Values of 32 bits in either: the file has no others.
    X = frame.drop("y").cast(polars.Float32 if name.endswith("32") else polars.Float64)
    del frame
    if name.startswith("gpu-logreg"):
        from gpu_logreg import LogisticRegression

        model = LogisticRegression(C=np.inf, device="cpu")
    else:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=np.inf, tol=1e-5, max_iter=10_000)
    before = peak()
    start = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    grown = peak() - before
    margins = X.cast(polars.Float64).to_numpy() @ model.coef_[0].astype(float) + model.intercept_[0]
    loss = float(np.logaddexp(0.0, np.where(y == 1, -margins, margins)).mean())
    plan = model.model_._core.plan if name.startswith("gpu-logreg") else None
    return {"seconds": seconds, "grown": grown, "loss": loss, "frame": X.estimated_size(), "plan": plan}


def grid(runs: int) -> None:
    """A search over a grid, with `n_jobs=1` and `n_jobs=-1` in turn."""
    import numpy as np
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV

    from gpu_logreg import LogisticRegression

    X, y = make_classification(200_000, 20, n_informative=12, random_state=0)
    found: dict[int, list[float]] = {1: [], -1: []}
    for _ in range(runs + 1):
        for jobs in found:
            start = time.perf_counter()
            GridSearchCV(LogisticRegression(device="cpu"), {"C": np.logspace(-4, 2, 7)}, cv=5, n_jobs=jobs).fit(X, y)
            found[jobs].append(time.perf_counter() - start)
    print(
        f"{datetime.date.today()}, 200,000 x 20, 7 strengths, 5 folds, {os.cpu_count()} cores, {runs} runs in turn after one that starts the processes"
    )
    for jobs, seconds in found.items():
        print(f"n_jobs={jobs:2}: {statistics.median(seconds[1:]):.2f} s, from {min(seconds[1:]):.2f} to {max(seconds[1:]):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--features", type=int, default=28)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--program", default="target/release/gpu-logreg")
    parser.add_argument("--json")
    parser.add_argument("--grid", action="store_true")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(fit(*given.worker)))
        return
    if given.grid:
        grid(given.runs)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.parquet")
        subprocess.run(
            [given.program, "synth", "-o", path, "--rows", str(given.rows), "--features", str(given.features)],
            check=True,
            capture_output=True,
        )
        found: dict[str, list[dict]] = {name: [] for name in CONTESTANTS}
        for _ in range(given.runs):
            for name in CONTESTANTS:
                done = subprocess.run(
                    [sys.executable, __file__, "--worker", name, path], check=True, capture_output=True, text=True
                )
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    lowest = min(run["loss"] for runs in found.values() for run in runs)
    base = statistics.median(run["seconds"] for run in found["gpu-logreg 64"])
    print(
        f"{datetime.date.today()}, {given.rows:,} x {given.features}, {os.cpu_count()} cores, {platform.machine()}, {given.runs} runs in turn"
    )
    print(f"{'':44} {'median s':>9} {'from':>7} {'to':>7} {'ratio':>7} {'gap':>9} {'memory MB':>10} {'frame MB':>9}")
    for name, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        median = statistics.median(seconds)
        gap = max(run["loss"] for run in runs) - lowest
        grown = statistics.median(run["grown"] for run in runs) / 1e6
        print(
            f"{CONTESTANTS[name]:44} {median:9.3f} {min(seconds):7.3f} {max(seconds):7.3f} {median / base:7.2f} {gap:9.1e} {grown:10.0f} {runs[0]['frame'] / 1e6:9.0f}"
        )
    print(found["gpu-logreg 64"][0]["plan"])
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
