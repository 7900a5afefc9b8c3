"""Judges the verdicts of the tests' linear programme by another one: reads the tables that `cargo test --test separation`
wrote to a folder, makes the design matrix afresh, and lets HiGHS solve Konis's programme as it stands in the book.

    python tests/reference/separation.py FOLDER

Needs numpy, pandas, pyarrow and scipy. Ends with 1 if a verdict differs.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import qr
from scipy.optimize import linprog

PRECISE = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def design(rows, numbers, texts):
    """The intercept, the numbers, and a column for every level but the first by its bytes."""
    columns = [np.ones(len(rows))] + [rows[name].to_numpy(float) for name in numbers]
    for name in texts:
        levels = sorted(rows[name].unique(), key=str.encode)
        columns += [(rows[name] == level).to_numpy(float) for level in levels[1:]]
    return np.column_stack(columns)


def independent(X):
    """An orthogonal basis of the columns, by a pivoted QR of columns that are centred and scaled."""
    Z = X[:, 1:] - X[:, 1:].mean(axis=0)
    spread = np.sqrt((Z**2).mean(axis=0))
    size = np.abs(X[:, 1:]).max(axis=0)
    Z = Z[:, spread > 1e-13 * size] / spread[spread > 1e-13 * size]
    if Z.shape[1]:
        Q, R, _ = qr(Z, mode="economic", pivoting=True)
        diagonal = np.abs(np.diag(R))
        Z = Q[:, diagonal > 1e-9 * diagonal[0]] * np.sqrt(len(Z))
    return np.column_stack([np.ones(len(X)), Z])


def vectors(X, y, classes):
    """(e_y - e_c) (x) x for each row and each class c but its own, without the block of the first class."""
    parts = []
    for other in range(classes):
        rows = np.flatnonzero(y != other)
        sign = np.eye(classes)[y[rows]] - np.eye(classes)[other]
        parts.append(np.einsum("rc,rj->rcj", sign[:, 1:], X[rows]).reshape(len(rows), -1))
    A = np.vstack(parts)
    return A / np.linalg.norm(A, axis=1, keepdims=True)


def solve(*arguments, **named):
    result = linprog(*arguments, **named, method="highs", options=PRECISE)
    return -result.fun if result.status == 0 else np.nan


def verdict(X, y, classes):
    A = vectors(independent(X), y, classes)
    width = A.shape[1]
    most = solve(-A.sum(axis=0), A_ub=-A, b_ub=np.zeros(len(A)), bounds=[(-1, 1)] * width)
    if np.isnan(most) or 1e-7 < most < 1e-3:
        return f"Unclear, {most}"
    if most <= 1e-7:
        return "Overlap"
    # Completely if all rows can have a margin of t > 0.
    with_t = np.column_stack([-A, np.ones(len(A))])
    t = solve(np.append(np.zeros(width), -1.0), A_ub=with_t, b_ub=np.zeros(len(A)), bounds=[(-1, 1)] * width + [(0, 1)])
    return "Complete" if t > 1e-8 else "QuasiComplete"


def main(folder):
    about = json.loads((folder / "verdicts.json").read_text())
    counts, differing = {}, 0
    for name, said in about.items():
        rows = pd.read_parquet(folder / name)
        X = design(rows, said["numbers"], said["texts"])
        y = pd.factorize(rows["y"], sort=True)[0]
        live = rows["weight"].to_numpy() > 0 if "weight" in rows else np.ones(len(rows), bool)
        classes = int(name.split("_")[0])
        found = verdict(X[live], y[live], classes)
        key = (classes, found, said["verdict"])
        counts[key] = counts.get(key, 0) + 1
        if found != said["verdict"]:
            differing += 1
            print(f"{name}: {said['verdict']}, HiGHS says {found}")
    for (classes, found, said), count in sorted(counts.items()):
        print(f"{count:5} tables of {classes} classes: {said}, HiGHS {found}")
    print(f"{len(about)} tables, {differing} verdicts differ")
    return 1 if differing or not about else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
