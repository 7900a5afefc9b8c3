"""Random tables whose paths of elastic nets are held against minima of numpy's own making.

    python tests/reference/paths.py PROGRAM [--count N] [--seed S]

Tables of 8,000 to 30,000 rows, more than the sample of a path has: normal columns, heavy tails, rare levels, levels of 5 to 50 rows, nearly
separated rows and correlated columns. A table's path is fitted as it is by default and to its end. Every fifth model is held against proximal Newton steps
in double precision with the Hessian of all rows, from the model on: what is gained is what the model left. Prints a line for each kind of table:
models, the largest excess, a share of the null deviance, and the largest excess over the gap that was told, as far as either is above
1e-9; and paths that end more than one strength away from where the rule of the manual says. Fails on such a path, on a gap above 1e-8
without a warning, on what is no number, and on an excess above 1e-7. Needs numpy and pyarrow.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

KINDS = ["normal", "heavy tails", "rare levels", "levels of few rows", "nearly separated", "correlated"]


def table(rng, kind):
    n, d = int(rng.integers(8_000, 30_000)), int(rng.integers(2, 30))
    x = rng.standard_normal((n, d))
    size = 0.5
    if kind == "heavy tails":
        x = np.exp(x)
    elif kind == "rare levels":
        x = (rng.random((n, d)) < 10 ** rng.uniform(-3.5, -0.5, d)).astype(float)
        size = 2.0
    elif kind == "levels of few rows":
        x = (rng.random((n, d)) < rng.integers(5, 50, d) / n).astype(float)
        size = 3.0
    elif kind == "nearly separated":
        size = 15 / np.sqrt(d)
    elif kind == "correlated":
        x = x @ np.linalg.qr(rng.standard_normal((d, d)))[0] * np.logspace(0, -2, d) @ np.linalg.qr(rng.standard_normal((d, d)))[0]
        size = 3.0
    x = x.astype(np.float32).astype(float)
    z = (x - x.mean(0)) @ (size * rng.standard_normal(d)) + rng.normal(0, 1)
    return x, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)


class Rows:
    """The penalised mean loss in standardised columns, the intercept last."""

    def __init__(self, x, y):
        self.scales = np.where(x.std(0) > 0, x.std(0), 1.0)
        self.means = x.mean(0)
        self.x = np.hstack([(x - self.means) / self.scales, np.ones((len(x), 1))])
        self.y = y

    def of_model(self, intercept, weights):
        return np.append(weights * self.scales, intercept + weights @ self.means)

    def cost(self, q, l1, l2):
        z = self.x @ q
        return np.mean(np.logaddexp(0, z) - self.y * z) + l1 * abs(q[:-1]).sum() + l2 / 2 * (q[:-1] @ q[:-1])

    def improved(self, q, l1, l2):
        """Proximal Newton steps from q with halved steps, until none gains."""
        best = self.cost(q, l1, l2)
        strengths = np.append(np.full(len(q) - 1, l1), 0.0), np.append(np.full(len(q) - 1, l2), 0.0)
        for _ in range(50):
            p = 1 / (1 + np.exp(-(self.x @ q)))
            g = self.x.T @ (p - self.y) / len(p)
            h = (self.x * (p * (1 - p))[:, None]).T @ self.x / len(p)
            h[np.diag_indices_from(h)] += 1e-14
            target, slopes = q.copy(), g.copy()
            for _ in range(300):
                moved = 0.0
                for j in range(len(q)):
                    wanted = h[j, j] * target[j] - slopes[j]
                    x = np.sign(wanted) * max(abs(wanted) - strengths[0][j], 0.0) / (h[j, j] + strengths[1][j])
                    if x != target[j]:
                        slopes += h[:, j] * (x - target[j])
                        moved = max(moved, abs(x - target[j]))
                        target[j] = x
                if moved < 1e-13:
                    break
            step = 1.0
            while step > 1e-4 and not self.cost(q + step * (target - q), l1, l2) < best:
                step /= 2
            now = self.cost(q + step * (target - q), l1, l2)
            if not now < best - 1e-15:
                break
            q, best = q + step * (target - q), now
        return best


def fit(program, folder, alpha, *flags):
    command = [program, "train", f"{folder}/data.parquet", "--label", "y", "--path", "--alpha", str(alpha), "--device", "cpu", "-q"]
    subprocess.run([*command, *flags, "-o", f"{folder}/model.json"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads(Path(folder, "model.json").read_text())


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("--count", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    faults, found = [], {kind: [0, 0.0, 0.0, 0] for kind in KINDS}
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        rng = np.random.default_rng(seed)
        kind = KINDS[seed % len(KINDS)]
        x, y = table(rng, kind)
        if y.min() == y.max():
            continue
        rows, alpha = Rows(x, y), float(rng.choice([1.0, 0.5, 0.1]))
        with tempfile.TemporaryDirectory() as folder:
            pq.write_table(pa.table({f"x{j}": x[:, j] for j in range(x.shape[1])} | {"y": y.astype(np.int8)}), f"{folder}/data.parquet")
            early, full = (fit(arguments.program, folder, alpha, *flags) for flags in ([], ["--full-path"]))
        path, of_kind = full["path"], found[kind]
        explained = path["explained"]
        ends = (k + 1 for k in range(4, 100) if explained[k] > 0.999 or explained[k] - explained[k - 1] < 1e-5 * explained[k])
        if abs(len(early["path"]["lambdas"]) - next(ends, 100)) > 1:
            faults.append(f"seed {seed}, {kind}: {len(early['path']['lambdas'])} strengths")
        if not np.max(path["gaps"]) <= 1e-8 and not full["training"]["warnings"]:
            faults.append(f"seed {seed}, {kind}: a gap of {np.max(path['gaps'])} and no warning")
        for place in range(4, 100, 5):
            weights = np.zeros(x.shape[1])
            for j, weight in path["coefficients"][place]:
                weights[j] = weight
            l1, l2 = alpha * path["lambdas"][place], (1 - alpha) * path["lambdas"][place]
            q = rows.of_model(path["intercepts"][place], weights)
            excess = (rows.cost(q, l1, l2) - rows.improved(q, l1, l2)) / path["null_loss"]
            if not excess <= 1e-7:
                faults.append(f"seed {seed}, {kind}, place {place}: excess {excess:.1e}, gap {path['gaps'][place]:.1e}")
            of_kind[0] += 1
            of_kind[1] = max(of_kind[1], excess)
            of_kind[2] = max(of_kind[2], excess / max(path["gaps"][place], 1e-9))
            of_kind[3] += excess > 1e-8
    for kind, (models, excess, ratio, above) in found.items():
        print(f"{kind}: {models} models, excess {excess:.1e}, {ratio:.1f} times the gap, {above} above 1e-8")
    for fault in faults:
        print(fault)
    print(f"{arguments.count} tables, {len(faults)} faults")
    sys.exit(1 if faults or not any(models for models, *_ in found.values()) else 0)


main()
