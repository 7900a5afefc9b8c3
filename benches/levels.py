#!/usr/bin/env python3
"""Compares gpu-logreg with glum on categories: from the same Parquet file of numbers and texts to coefficients.

    pip install -r benches/requirements.txt
    python benches/levels.py                              # 2,000,000 rows; categories of 10, 100 and 900 levels
    python benches/levels.py --levels 10,100,5000 --runs 1

Each fit runs in a fresh process, the two in turn, and is timed as a whole: start, reading, fit. glum is stopped by its
gradient (`gradient_tol`), gpu-logreg by its distance in standard errors; how far the coefficients are apart is printed, so
that both can be seen to have solved the same problem. A fit beyond the limit is ended and counts as that long.
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


def write(path: Path, rows: int, levels: list[int]) -> None:
    """Eight numbers, and texts whose levels have weights like 1 / place^0.7; every effect is drawn."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(1)
    numbers = random.normal(size=(rows, 8)).astype(np.float32)
    margin = numbers @ random.normal(size=8) * 0.3 - 1
    columns = {f"x{j}": numbers[:, j] for j in range(8)}
    for index, count in enumerate(levels):
        share = 1 / np.arange(1, count + 1) ** 0.7
        codes = random.choice(count, rows, p=share / share.sum())
        margin = margin + random.normal(size=count)[codes] * 0.5
        names = pa.array([f"level {level:05}" for level in range(count)])
        columns[f"c{index}"] = pa.DictionaryArray.from_arrays(codes.astype(np.int32), names)
    columns["y"] = random.random(rows) < 1 / (1 + np.exp(-margin))
    pq.write_table(pa.table(columns), path)


def fit_glum(path: str, tolerance: float, out: str) -> None:
    import pandas as pd
    from glum import GeneralizedLinearRegressor

    data = pd.read_parquet(path)
    label = data.pop("y").astype(float)
    for column in [column for column in data if column.startswith("c")]:
        data[column] = data[column].astype("category")
    model = GeneralizedLinearRegressor(
        family="binomial", alpha=0, drop_first=True, gradient_tol=tolerance, max_iter=1000
    )
    model.fit(data, label)
    names = [name.replace("[", "=").removesuffix("]") for name in model.feature_names_]
    Path(out).write_text(json.dumps(dict(zip(names, map(float, model.coef_)))))


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        return fit_glum(sys.argv[2], float(sys.argv[3]), sys.argv[4])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--levels", default="10,100,900", help="levels of each category")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, in turn")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a fit is ended")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--gradient-tol", type=float, default=1e-6, help="of glum")
    parser.add_argument("--program", default=shutil.which("gpu-logreg") or "target/release/gpu-logreg")
    args = parser.parse_args()
    levels = [int(count) for count in args.levels.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        data, ours, theirs = (Path(folder) / name for name in ["data.parquet", "ours.json", "theirs.json"])
        write(data, args.rows, levels)
        commands = {
            "gpu-logreg": [args.program, "train", str(data), "--label", "y", "--features", "x*," + ",".join(f"c{k}" for k in range(len(levels))),
                           "--max-levels", "65000", "--device", args.device, "--quiet", "-o", str(ours)],
            "glum": [sys.executable, __file__, "--worker", str(data), str(args.gradient_tol), str(theirs)],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(args.runs):
            for name, command in commands.items():
                begin = time.perf_counter()
                try:
                    subprocess.run(command, check=True, timeout=args.limit, stdout=subprocess.DEVNULL)
                except subprocess.TimeoutExpired:
                    print(f"{name} was ended after {args.limit:.0f} s", file=sys.stderr)
                seconds[name].append(time.perf_counter() - begin)
        medians = {name: statistics.median(runs) for name, runs in seconds.items()}
        print(f"{args.rows} rows, 8 numbers, categories of {args.levels} levels; {os.cpu_count()} processors\n")
        print("| | seconds, median (range) |\n|---|---:|")
        for name, runs in seconds.items():
            print(f"| {name} | {medians[name]:.2f} ({min(runs):.2f}–{max(runs):.2f}) |")
        print(f"\nratio {medians['glum'] / medians['gpu-logreg']:.1f}", end="")
        if theirs.exists():
            found = {feature["name"]: feature["coefficient"] for feature in json.loads(ours.read_text())["features"]}
            expected = json.loads(theirs.read_text())
            print(f"; {len(found)} coefficients, {max(abs(found[name] - expected[name]) for name in found):.1e} apart at most")


if __name__ == "__main__":
    main()
