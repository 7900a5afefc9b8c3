#!/usr/bin/env python3
"""Compares gpu-logreg with its peers over shapes of tables, narrow, square and wide, with a penalty.

    pip install -r benches/requirements.txt
    python benches/shapes.py                              # all rows of the table, each with its progress on stderr
    python benches/shapes.py 400x4000 --correlated        # one row
    python benches/shapes.py --list

Every contestant minimises the same function of the columns as they are: the mean log loss plus `l2 / 2` times the squared
coefficients, without the intercept (`--penalty-scale original`; alpha = l2 of glum; C = 1 / (rows * l2) of scikit-learn).
The columns have mean 0 and variance 1. They are independent, or an autoregression from column to column whose
correlation matrix has a condition number of 1e4. A sparse true model with a margin of variance 4 draws the labels.

A fit is good enough when a part of 1e-6 is missing of what the optimum gains over the intercept alone. That is loose, and
favours the peers: a thousand rows tell nothing of such a difference, and a peer stops far earlier than by default where
its default is stricter. Each peer takes the loosest tolerance of a ladder that reaches it, and the faster of float32 and
float64. gpu-logreg runs twice: by its default flags, whatever they give, and "same gap" by the loosest tolerance that
reaches it too. At the end one evaluation in float64 judges the coefficients of all timed runs.

A contestant that takes 5 times as long as gpu-logreg (10 s at least, 3 minutes at most) is ended and shown as `>`. Like
peers.py, this process imports the standard library only, and workers, this same file, do what needs numpy.
"""

import argparse
import datetime
import json
import math
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import peers
from peers import Failed, Late, Peer, clock, measure, number, say, spread

FACTOR, SHORTEST, LONGEST = 5, 10, 180  # when a contestant is ended: times our seconds; seconds
SLOW = 10  # seconds of a fit from which on not every rung and not every precision is tried
CONDITION = 1e4
LADDER = [f"{digit}e-{exponent}" for exponent in range(1, 11) for digit in (3, 1)]
START = LADDER.index("1e-3")  # a rung from which few are far
BLOCK = 2**21  # values of the table in float64 at once
OURS = "gpu-logreg cpu"
SAME_GAP = ", same gap"  # behind the name of a contestant of ours
TOLERANCES = [f"{digit}e{exponent}" for exponent in range(1, -5, -1) for digit in (3, 1)]  # in standard errors
VARIANTS = {"independent": 1.0, "correlated": CONDITION}


class Shape(NamedTuple):
    """A table; `l2` of None is 1 / rows, which is C = 1 of scikit-learn."""

    rows: int
    features: int
    as_list: bool = False
    l2: float | None = None

    def __str__(self) -> str:
        return f"{self.rows}x{self.features}" + "list" * self.as_list


SHAPES = [
    Shape(1_000, 30),
    Shape(1_000_000, 100),
    Shape(2_000_000, 28),
    Shape(100_000, 500),
    Shape(100_000, 768, as_list=True),
    Shape(20_000, 1_000),
    Shape(5_000, 2_000),
    Shape(400, 4_000),
    Shape(200, 20_000, l2=1),
]

# What is tried of each peer: precisions, and of liblinear, which takes float64 only and penalises the intercept, also factors
# that make that as good as nothing; too large ones slow its dual.
BOTH = ("float32", "float64")
SCALED = ("float64, intercept scaling 10", "float64, intercept scaling 100", "float64, intercept scaling 1")
PEERS = {
    "sklearn-lbfgs": Peer("lbfgs", "scikit-learn", precisions=BOTH),
    "sklearn-newton-cholesky": Peer("newton-cholesky", "scikit-learn", precisions=BOTH),
    "sklearn-newton-cg": Peer("newton-cg", "scikit-learn", precisions=BOTH),
    "sklearn-sag": Peer("sag", "scikit-learn", precisions=BOTH),
    "sklearn-saga": Peer("saga", "scikit-learn", precisions=BOTH),
    "sklearn-liblinear": Peer("liblinear", "scikit-learn", precisions=SCALED),
    "sklearn-liblinear-dual": Peer("liblinear, dual", "scikit-learn", precisions=SCALED),
    "glum": Peer("glum", "glum", precisions=BOTH),
}

# ---- The workers.


def autoregression(features: int, condition: float) -> tuple[float, float]:
    """The correlation of neighbours that gives the correlation matrix this condition number, and the number it gives."""
    import numpy as np
    from scipy.linalg import eigh_tridiagonal

    def condition_of(rho: float) -> float:
        # The inverse of the correlation matrix rho^|i - j| is tridiagonal, up to a factor.
        diagonal = np.full(features, 1 + rho**2)
        diagonal[[0, -1]] = 1
        ends = [eigh_tridiagonal(diagonal, np.full(features - 1, -rho), eigvals_only=True, select="i",
                                 select_range=(end, end))[0] for end in (0, features - 1)]  # fmt: skip
        return ends[1] / ends[0]

    low, high = 0.0, 1 - 1e-6
    while condition > 1 and high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if condition_of(middle) < condition else (low, middle)
    return low, condition_of(low)


def make(job: SimpleNamespace) -> dict[str, Any]:
    """Writes a table in chunks, and asserts that it is what its description says."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from scipy.signal import lfilter

    rows, features = job.rows, job.features
    rho, condition = autoregression(features, job.condition)
    assert abs(condition / job.condition - 1) < 1e-3, condition
    random = np.random.default_rng([rows, features, job.condition > 1, job.seed])
    fresh = math.sqrt(1 - rho**2)

    weights = np.zeros(features)
    active = np.linspace(0, features - 1, max(3, min(30, features // 3))).round().astype(int)
    weights[active] = random.choice([-1, 1], len(active)) * random.uniform(0.5, 1, len(active))
    variance = weights[active] @ rho ** np.abs(active[:, None] - active) @ weights[active]
    weights *= 2 / math.sqrt(variance)

    writer, positives, squares, differences, products = None, 0, 0.0, 0.0, 0.0
    judged = rows >= 20 * features  # only then is the matrix of the sample close to the true one
    chunk = max(1, 2**25 // features)
    for begin in range(0, rows, chunk):
        x = random.standard_normal((min(chunk, rows - begin), features), dtype=np.float32)
        if rho > 0:
            x[:, 0] /= fresh
            x = lfilter(np.float32([fresh]), np.float32([1, -rho]), x, axis=1)
        y = random.random(len(x)) < 1 / (1 + np.exp(0.3 - x @ weights))
        positives += int(y.sum())
        squares += float(np.square(x, dtype=np.float64).mean() * len(x) / rows)
        differences += float(np.square(np.diff(x, axis=1), dtype=np.float64).mean() / 2 * len(x) / rows)
        if judged:
            products = products + x.T.astype(np.float64) @ x
        if job.as_list:
            columns = {"x": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), features)}
        else:
            columns = {f"x{j + 1}": np.ascontiguousarray(x[:, j]) for j in range(features)}
        table = pa.table(columns | {"y": y})
        writer = writer or pq.ParquetWriter(job.data, table.schema)
        writer.write_table(table)
    writer.close()

    made = {"rho": rho, "condition": condition, "positives": positives, "variance": squares, "bytes": os.path.getsize(job.data)}
    assert 0.2 < positives / rows < 0.8, made
    # Of highly correlated columns a thousand rows tell the variance less well than the difference of neighbours.
    assert abs(squares - 1) < (0.4 if rho else 0.1), made
    assert abs(differences / (1 - rho) - 1) < 0.1, (differences, made)
    if judged:
        scale = np.sqrt(np.diag(products))
        made["sample"] = float(np.linalg.cond(products / np.outer(scale, scale)))
        assert made["condition"] / 3 < made["sample"] < made["condition"] * 3, made
    return made


def features_of(table, order: str, precision: str):
    """The features of a table as a matrix, by the quickest way that pyarrow has for this order."""
    import numpy as np

    names = [name for name in table.column_names if name != "y"]
    if names == ["x"]:
        parts = [part.flatten().to_numpy().reshape(len(part), -1) for part in table.column("x").chunks]
        if len(parts) == 1:
            return np.asarray(parts[0], dtype=precision, order=order)
        x = np.empty((table.num_rows, parts[0].shape[1]), dtype=precision, order=order)
        np.concatenate(parts, out=x)
        return x
    x = np.empty((table.num_rows, len(names)), dtype=precision, order=order)
    if order == "F":
        for j, name in enumerate(names):
            x[:, j] = table.column(name).to_numpy()
        return x
    begin = 0
    for batch in table.select(names).to_batches(max_chunksize=max(1024, BLOCK // len(names))):
        x[begin : begin + len(batch)] = batch.to_tensor(row_major=True).to_numpy()
        begin += len(batch)
    return x


def read(job: SimpleNamespace):
    """Features in the order and precision that the peer works in, so that it need not copy them; and the labels."""
    import pyarrow.parquet as pq

    # For many columns quicker than `read_table`.
    table = pq.ParquetFile(job.data).read()
    y = table.column("y").to_numpy().astype(job.precision)
    return features_of(table, "F" if job.name == "glum" else "C", job.precision), y


def width(schema) -> int:
    return schema.field("x").type.list_size if "x" in schema.names else len(schema.names) - 1


def blocks(data: str):
    """The file in float64, some rows at a time, so that memory stays bounded."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(data)
    for batch in file.iter_batches(max(1024, BLOCK // width(file.schema_arrow))):
        table = pa.Table.from_batches([batch])
        yield features_of(table, "C", "float64"), table.column("y").to_numpy().astype(float)


def optimum(job: SimpleNamespace) -> dict[str, Any]:
    """The smallest objective, and that of the intercept alone: Newton's method in float64, in the smaller of two spaces."""
    import numpy as np

    l2, features, rows, positives = job.l2, 0, 0, 0.0
    for x, y in blocks(job.data):
        rows, features, positives = rows + len(x), x.shape[1], positives + y.sum()
    start = math.log(positives / (rows - positives))
    whole = [np.concatenate(parts) for parts in zip(*blocks(job.data))] if features > rows else None

    def terms(margin, y):
        p = np.exp(-np.logaddexp(0, -margin))
        return (np.logaddexp(0, margin) - y * margin).sum() / rows, (p - y) / rows, p * (1 - p) / rows

    def primal(v):  # v: intercept and weights; gives objective, gradient and Newton's step
        penalty = np.full(features + 1, l2)
        penalty[0] = 0
        loss, gradient, hessian = (penalty * v**2).sum() / 2, penalty * v, np.diag(penalty)
        for x, y in blocks(job.data):
            z = np.column_stack([np.ones(len(x)), x])
            part, r, s = terms(z @ v, y)
            loss, gradient = loss + part, gradient + z.T @ r
            z *= np.sqrt(s)[:, None]
            hessian += z.T @ z
        return loss, gradient, np.linalg.solve(hessian, gradient)

    def dual(v):  # v: intercept and a, where X'a are the weights
        b, a = v[0], v[1:]
        loss, r, s = terms(gram @ a + b, whole[1])
        system = np.zeros((rows + 1, rows + 1))
        system[0, 1:], system[1:, 0], system[1:, 1:] = 1, s, s[:, None] * gram + l2 * np.eye(rows)
        step = np.linalg.solve(system, np.concatenate([[a.sum()], r + l2 * a]))
        return loss + l2 / 2 * a @ gram @ a, np.concatenate([[r.sum()], gram @ (r + l2 * a)]), step

    gram = whole[0] @ whole[0].T if whole else None
    newton = dual if whole else primal
    v = np.zeros(1 + min(rows, features))
    v[0] = start
    loss, gradient, step = newton(v)
    null = loss
    for iteration in range(1, 51):
        ahead = gradient @ step / 2  # how far the objective is above its optimum, to second order
        if ahead <= 1e-13 * (null - loss):
            weights = whole[0].T @ v[1:] if whole else v[1:]
            np.save(job.out, np.concatenate([v[:1], weights]))
            return {"objective": loss, "null": null, "ahead": float(ahead), "iterations": iteration, "rows": rows}
        trial = newton(v - step)
        for _ in range(20):
            if trial[0] <= loss + 1e-15:
                break
            step = step / 2
            trial = newton(v - step)
        v, (loss, gradient, step) = v - step, trial
    raise SystemExit("Newton's method found no optimum in 50 iterations")


def objectives(data: str, l2: float, solutions: list) -> list[float]:
    """The objective of several solutions, each the intercept and then the weights."""
    import numpy as np

    v = np.column_stack(solutions)
    loss, rows = 0.0, 0
    for x, y in blocks(data):
        margin = x @ v[1:] + v[0]
        loss, rows = loss + (np.logaddexp(0, margin) - y[:, None] * margin).sum(axis=0), rows + len(x)
    return [float(f) for f in loss / rows + l2 / 2 * np.square(v[1:]).sum(axis=0)]


def evaluate(job: SimpleNamespace) -> dict[str, Any]:
    """Judges the coefficients in `files`, and tells what gpu-logreg says of its runs."""
    import numpy as np
    import pyarrow.parquet as pq

    features, solutions, told = width(pq.read_schema(job.data)), [], []
    for file in job.files:
        if file.endswith(".npy"):
            solutions.append(np.load(file))
            told.append({})
            continue
        model = json.loads(Path(file).read_text())
        solution = np.zeros(features + 1)
        solution[0] = model["intercept"]
        for feature in model["features"]:  # x3, or x[2] of a list
            place = int(re.search(r"\d+", feature["name"])[0]) + feature["name"].endswith("]")
            solution[place] = feature["coefficient"]
        solutions.append(solution)
        training = model["training"]
        seconds = training["seconds"]
        told.append({"read": seconds["read"], "fit": seconds["upload"] + seconds["solve"], "status": training["status"],
                     "passes": training["passes"]["data"]})  # fmt: skip
    return {"objectives": objectives(job.data, job.l2, solutions), "told": told}


def start_peer(job: SimpleNamespace):
    import warnings

    warnings.simplefilter("ignore")  # that it did not converge, of which the gap tells
    # A peer that wants more memory than the machine has gets an error, and nobody else is ended for it.
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    precision, _, scaling = job.precision.partition(", intercept scaling ")
    job.precision = precision
    return peers.importer(job.name, job.l2, float(scaling or 1))


def solution_of(weights, intercept):
    import numpy as np

    return np.concatenate([[float(intercept)], np.asarray(weights, dtype=np.float64)])


def fit(job: SimpleNamespace) -> dict[str, Any]:
    """Imports, reads and fits as a user would, and times the three."""
    begin = clock()
    fit = start_peer(job)
    import numpy as np
    import pyarrow.parquet  # noqa: F401, or it counts as reading

    imported = clock()
    x, y = read(job)
    had = clock()
    weights, intercept, _ = fit(x, y, float(job.tolerance))
    end = clock()
    np.save(job.out, solution_of(weights, intercept))
    return {"import": imported - begin, "read": had - imported, "fit": end - had}


def tune(job: SimpleNamespace) -> dict[str, Any]:
    """Walks the ladder from the rung `start` to the loosest one that reaches the gap.

    Each rung tried is a line of `out`, for a fit beyond the limit ends this process. Gives up where four rungs in a row
    bring nothing, for then it is not the tolerance that stops it.
    """
    variant, gaps = job.precision, []
    fit = start_peer(job)
    begin = clock()
    x, y = read(job)
    had = clock() - begin
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, whatever library it is in
    step = 1
    with open(job.out, "w") as out:

        def reaches(place: int) -> bool:
            nonlocal step
            signal.setitimer(signal.ITIMER_REAL, job.limit)
            begin = clock()
            weights, intercept, _ = fit(x, y, float(LADDER[place]))
            seconds = had + clock() - begin
            signal.setitimer(signal.ITIMER_REAL, 0)
            objective = objectives(job.data, job.l2, [solution_of(weights, intercept)])[0]
            gap = (objective - job.objective) / (job.null - job.objective)
            rung = {"place": place, "tolerance": LADDER[place], "precision": variant, "gap": gap, "seconds": seconds}
            print(json.dumps(rung), file=out, flush=True)
            gaps.append(gap)
            step = 1 if seconds < SLOW else 2
            return gap <= job.gap

        def stalls() -> bool:
            return len(gaps) > 4 and min(gaps[-4:]) > 0.9 * min(gaps[:-4])

        place = job.start
        if reaches(place):
            while place >= step and reaches(place - step):
                place -= step
        else:
            while place + step < len(LADDER) and not stalls() and not reaches(place := place + step):
                pass
    return {}


def versions(job: SimpleNamespace) -> dict[str, Any]:
    """Versions of the peers' packages, and the kernels that their BLAS chose."""
    from importlib import metadata

    found = {}
    for package in job.packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    import numpy  # noqa: F401
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    pools = {f"{pool['internal_api']} {pool['version']}, kernel {pool.get('architecture', '?')}, {pool['num_threads']} threads"
             for pool in threadpool_info() if pool["user_api"] == "blas"}  # fmt: skip
    return {"versions": found, "blas": sorted(pools)}


TASKS = {task.__name__: task for task in (make, optimum, evaluate, fit, tune, versions)}

# ---- The parent.


class Row:
    """One row of the table: a file, and what the contestants did with it."""

    def __init__(self, bench: "Bench", shape: Shape, variant: str):
        self.bench, self.shape, self.variant = bench, shape, variant
        self.l2 = bench.args.l2 or shape.l2 or 1 / shape.rows
        self.data = str(bench.kept / f"{shape}-{variant}.parquet")
        self.figures: dict[str, Any] = {"shape": str(shape), "variant": variant, "l2": self.l2, "contestants": {}}

    def work(self, task: str, **job: Any) -> dict[str, Any]:
        return self.bench.work(task, data=self.data, l2=self.l2, **job)

    def make(self) -> None:
        job = {"rows": self.shape.rows, "features": self.shape.features, "as_list": self.shape.as_list,
               "condition": VARIANTS[self.variant], "seed": self.bench.args.seed}  # fmt: skip
        self.figures["data"] = kept(Path(self.data), lambda: self.work("make", **job))
        self.figures["optimum"] = kept(
            Path(f"{self.data}.optimum-{self.l2:.3g}.npy"),
            lambda: self.work("optimum", out=f"{self.data}.optimum-{self.l2:.3g}.npy"),
        )

    def ours(self, name: str, out: str, tolerance: str | None = None) -> dict[str, Any]:
        device = name.removesuffix(SAME_GAP).split()[1]
        command = [self.bench.program, "train", self.data, "--label", "y", "--device", device, "--l2", repr(self.l2),
                   "--penalty-scale", "original", "--json", "--no-progress"]  # fmt: skip
        command += ["--tolerance", tolerance] if tolerance else []
        text, measured = measure(command, self.bench.folder, LONGEST)
        Path(out).write_text(text)
        return measured | {"out": out}

    def loosest(self, name: str) -> dict[str, Any]:
        """The loosest tolerance of ours that reaches the gap."""
        best, null = (self.figures["optimum"][key] for key in ("objective", "null"))
        for tolerance in TOLERANCES:
            out = str(self.bench.folder / "loosest.json")
            self.ours(name, out, tolerance)
            gap = (self.work("evaluate", files=[out])["objectives"][0] - best) / (null - best)
            if gap <= self.bench.args.gap:
                say(f"  {name}: {tolerance}, gap {gap:.1e}")
                return {"reached": True, "tolerance": tolerance}
        return {"gap": gap}

    def tuned(self, name: str, limit: float) -> dict[str, Any]:
        """The loosest tolerance that reaches the gap, in the quicker precision; or why there is none."""
        found: dict[str, Any] = {"gap": math.inf}
        rungs, start, out = [], START, str(self.bench.folder / "rungs")
        optimum = {key: self.figures["optimum"][key] for key in ("objective", "null")}
        for precision in PEERS[name].precisions:
            ended = ""
            Path(out).write_text("")
            job = {"precision": precision, "gap": self.bench.args.gap, "start": start, "out": out}
            try:
                self.work("tune", name=name, limit=limit, **job, **optimum)
            except Failed as error:
                # The alarm leaves no words.
                ended = f"ended after {limit:g} s" if str(error) == f"exit code -{signal.SIGALRM:d}" else str(error)
            tried = [json.loads(line) for line in Path(out).read_text().splitlines()]
            rungs += tried
            if reached := [rung for rung in tried if rung["gap"] <= self.bench.args.gap]:
                best = min(reached, key=lambda rung: rung["place"])
                start = best["place"]
                say(f"    {name}, {precision}: {best['tolerance']}, gap {best['gap']:.1e}, {best['seconds']:.2f} s")
                if not found.get("reached") or best["seconds"] < found["seconds"]:
                    found = best | {"reached": True}
                others = [other["seconds"] for other in self.figures["contestants"].values() if "seconds" in other]
                if best["seconds"] > max(SLOW, 5 * min(others, default=math.inf)):
                    break
                continue
            best = min(tried, key=lambda rung: rung["gap"], default={"gap": math.inf})
            say(f"    {name}, {precision}: {ended or 'not reached'}; best gap {best['gap']:.1e}")
            if found.get("reached"):
                continue
            if ended.startswith("ended"):
                found = {"late": limit}
                break  # the other precision is not so much quicker
            if best["gap"] < found["gap"] or not tried:
                found = {"failed": ended} if ended else best
        return found | {"rungs": rungs}

    def run(self) -> dict[str, Any]:
        bench = self.bench
        say(f"{self.shape}, {self.variant}")
        self.make()
        say(f"  {self.figures['data']}\n  {self.figures['optimum']}")
        contestants = self.figures["contestants"]
        limit: float = LONGEST
        for name in bench.ours:
            try:
                if name.endswith(SAME_GAP):
                    contestants[name] = self.loosest(name)
                    continue
                first = self.ours(name, str(bench.folder / "first.json"))
                contestants[name] = {"reached": True}
                if name == OURS:
                    limit = min(LONGEST, max(SHORTEST, FACTOR * first["wall"]))
                say(f"  {name}: {first['wall']:.2f} s")
            except Late:
                contestants[name] = {"late": LONGEST}
                say(f"  {name}: ended after {LONGEST} s")
            except Failed as error:
                contestants[name] = {"failed": str(error)}
                say(f"  {name}: {error}")
        for name in bench.peers:
            contestants[name] = self.tuned(name, limit)
        for turn in range(bench.args.runs):
            for name, found in contestants.items():
                if not found.get("reached"):
                    continue
                out = str(bench.folder / f"{name.replace(' ', '-')}-{turn}.{'npy' if name in PEERS else 'json'}")
                try:
                    if name in PEERS:
                        job = {"tolerance": found["tolerance"], "precision": found["precision"]}
                        run = self.work("fit", name=name, out=out, limit=limit, **job) | {"out": out}
                    else:
                        run = self.ours(name, out, found.get("tolerance"))
                except Late:
                    found |= {"late": LONGEST if name in bench.ours else limit, "reached": False}
                    continue
                except Failed as error:
                    found |= {"failed": str(error), "reached": False}
                    continue
                found.setdefault("runs", []).append(run)
            say(f"  run {turn + 1} of {bench.args.runs}")
        self.judge()
        return self.figures

    def judge(self) -> None:
        runs = [run for found in self.figures["contestants"].values() for run in found.get("runs", [])]
        if not runs:
            return
        judged = self.work("evaluate", files=[run["out"] for run in runs])
        best, null = (self.figures["optimum"][key] for key in ("objective", "null"))
        for run, objective, told in zip(runs, judged["objectives"], judged["told"]):
            run |= {"gap": (objective - best) / (null - best)} | told
            os.remove(run.pop("out"))

    def remove(self) -> None:
        if self.bench.args.keep is None:
            for file in self.bench.kept.glob(f"{self.shape}-{self.variant}.parquet*"):
                file.unlink()


def kept(file: Path, made_by) -> dict[str, Any]:
    """What a worker told of the file that it made, or what it told before where the file is kept."""
    told = Path(f"{file}.json")
    if not (file.exists() and told.exists()):
        answer = made_by()
        told.write_text(json.dumps({key: value for key, value in answer.items() if key not in ("wall", "cpu", "peak")}))
    return json.loads(told.read_text())


class Bench:
    """What all rows share."""

    def __init__(self, args: argparse.Namespace, folder: Path):
        self.args, self.folder = args, folder
        self.kept = Path(args.keep) if args.keep else folder
        self.kept.mkdir(parents=True, exist_ok=True)
        # The kernel of the peers' BLAS is the one that it chooses for this processor by itself.
        unset = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
        self.env = {name: value for name, value in os.environ.items() if name not in unset}
        self.unset = [name for name in unset if name in os.environ]

    def contestants(self) -> dict[str, Any]:
        """Finds who takes part, and tells their versions."""
        chosen = [name.strip() for name in self.args.peers.split(",") if name.strip()]
        if unknown := [name for name in chosen if name not in PEERS]:
            raise Failed(f"unknown peer: {', '.join(unknown)}; known: {', '.join(PEERS)}")
        if not (program := shutil.which(self.args.program)):
            raise Failed(f"there is no program {self.args.program}: run `cargo build --release`, or name it with --program")
        self.program = shutil.copy2(program, self.folder)  # a build meanwhile must not change it between two runs
        told = self.work("versions", packages=["numpy", "scipy", "pyarrow", "scikit-learn", "glum"])
        self.ours = [OURS, OURS + SAME_GAP] + ["gpu-logreg gpu", "gpu-logreg gpu" + SAME_GAP] * self.args.gpu
        self.peers = [name for name in chosen if PEERS[name].package in told["versions"]]
        program_version = measure([self.program, "--version"], self.folder)[0].strip()
        return {"date": str(datetime.date.today()), "machine": peers.machine(), "blas": told["blas"],
                "versions": [program_version, f"Python {platform.python_version()}",
                             *(f"{package} {version}" for package, version in told["versions"].items())],
                "left out": [PEERS[name].title for name in chosen if name not in self.peers], "unset": self.unset}  # fmt: skip

    def work(self, task: str, limit: float | None = None, **job: Any) -> dict[str, Any]:
        """Runs a worker: what it returns, with wall seconds and peak memory."""
        path = self.folder / "job.json"
        if limit and task == "tune":  # the limit of a fit, not of the worker
            job["limit"], limit = limit, None
        path.write_text(json.dumps({"task": task} | job))
        text, measured = measure([sys.executable, __file__, "--worker", str(path)], self.folder, limit, self.env)
        return json.loads(text.splitlines()[-1]) | measured


def medians(found: dict[str, Any]) -> dict[str, float] | None:
    """Median seconds, peak memory and the worst gap of a contestant's runs, if it has any."""
    runs = found.get("runs") if found.get("reached") else None
    if not runs:
        return None
    return {key: statistics.median(run[key] for run in runs) for key in ("wall", "fit", "peak")} | {
        "gap": max(run["gap"] for run in runs)
    }


def marked(text: str, mark: bool) -> str:
    return f"**{text}**" if mark else text


def gap_of(value: float) -> str:
    return f"{value:.0e}" if value >= 1e-12 else "< 1e-12"


def ratio(row: dict[str, Any], key: str, name: str = OURS) -> str:
    """The least time of scikit-learn's solvers over ours, as far as it is known; bold where it is below 1."""
    contestants = row["contestants"]
    mine, limit = medians(contestants[name]), [f["late"] for n, f in contestants.items() if n in PEERS and "late" in f]
    theirs = [m[key] for n, f in contestants.items() if n.startswith("sklearn") and (m := medians(f))]
    if mine and theirs:
        value = min(theirs) / mine[key]
        return marked(number(value), value < 1)
    if theirs and "late" in contestants[name]:
        return marked(f"< {min(theirs) / LONGEST:.2g}", True)
    return f"> {number(min(limit) / mine[key])}" if mine and limit else "–"


def memory(peak: float | None) -> str:
    """Megabytes; a child's peak is never below that of this process, which started it."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return "n/a" if peak is None else ("< " if peak < 1.1 * own else "") + f"{peak / 1e6:.0f}"


def cell(found: dict[str, Any], mine: dict[str, float] | None, unmeasured: str, asked: float) -> str:
    """Seconds of the whole process, and of the fit in brackets; bold where gpu-logreg takes longer, with a gap that is too
    large, but for threads that add in another order."""
    if theirs := medians(found):
        faster = {key: mine is not None and theirs[key] < mine[key] or unmeasured == "late" for key in ("wall", "fit")}
        times = f"{marked(number(theirs['wall']), faster['wall'])} ({marked(number(theirs['fit']), faster['fit'])})"
        return times + f", gap {gap_of(theirs['gap'])}" * (not theirs["gap"] <= 1.5 * asked)
    if "late" in found:
        return f"> {found['late']:.0f}"
    return "failed" if "failed" in found else "not reached" if "gap" in found else "–"


def report(machine: dict[str, Any], rows: list[dict[str, Any]], args: argparse.Namespace) -> str:
    """The figures as Markdown: a row a shape, then a line a contestant."""
    names = list(rows[0]["contestants"])
    title = {name: PEERS[name].title if name in PEERS else name for name in names}
    lines = [f"### {machine['machine']}", "", f"{machine['date']}. {', '.join(machine['versions'])}. BLAS of the peers: "
             f"{'; '.join(machine['blas'])}" + f" ({' and '.join(machine['unset'])} unset)" * bool(machine["unset"]) + ".",
             *(f"Left out, not installed: {name}." for name in machine["left out"]), "",
             f"Seconds of the whole process, and in brackets of the fit alone: medians of {args.runs} runs in turn. Bold: a "
             "peer is faster than gpu-logreg by default. The ratios are those of scikit-learn's quickest solver to gpu-logreg. "
             "Memory is the peak, of scikit-learn that of the quickest solver.", "",
             "| rows x features | columns | l2 | " + " | ".join(title[name] for name in names)
             + " | ratio, whole | ratio, fit | ratio, fit, same gap | MB | MB, scikit-learn |",
             "| --- | --- | --- " + "| ---: " * (len(names) + 5) + "|"]  # fmt: skip
    for row in rows:
        contestants = row["contestants"]
        mine = medians(contestants[OURS])
        unmeasured = "late" if "late" in contestants[OURS] else ""
        cells = [cell(found, None if name.startswith(OURS) else mine, "" if name not in PEERS else unmeasured, args.gap)
                 for name, found in contestants.items()]  # fmt: skip
        quickest = [m for n, f in contestants.items() if n.startswith("sklearn") and (m := medians(f))]
        peak = memory(min(quickest, key=lambda m: m["wall"])["peak"]) if quickest else "–"
        lines.append(f"| {row['shape']} | {row['variant']} | {row['l2']:.3g} | " + " | ".join(cells)
                     + f" | {ratio(row, 'wall')} | {ratio(row, 'fit')} | {ratio(row, 'fit', OURS + SAME_GAP)} | {memory(mine['peak']) if mine else '–'} | {peak} |")  # fmt: skip
    lines += ["", "A gap is the worst of the runs, as a part of what the optimum gains over the intercept alone; "
              f"{args.gap:g} is asked of the peers, and of gpu-logreg where it says \"same gap\".", "",
              "| rows x features | columns | contestant | tolerance | gap | whole process, s | fit, s | memory, MB |",
              "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for row in rows:
        for name, found in row["contestants"].items():
            start = f"| {row['shape']} | {row['variant']} | {title[name]} | "
            if name in PEERS:
                start += f"{found.get('tolerance', '–')}{', ' * ('precision' in found)}{found.get('precision', '')} | "
            else:
                start += f"{found.get('tolerance', 'default')} | "
            if middle := medians(found):
                runs = found["runs"]
                notes = {run["status"] for run in runs if "status" in run} - {"converged"}
                whole, alone = (spread([run[key] for run in runs]) for key in ("wall", "fit"))
                gap = ", ".join([gap_of(middle["gap"]), *sorted(notes)])
                lines.append(start + f"{gap} | {whole} | {alone} | {memory(middle['peak'])} |")
            elif "late" in found:
                lines.append(start + f"– | > {found['late']:.0f} | – | – |")
            elif "failed" in found:
                lines.append(start + f"failed: {found['failed'].replace('|', '/')[:80]} | – | – | – |")
            else:
                lines.append(start + f"not reached, {gap_of(found['gap'])} | – | – | – |")
    return "\n".join(lines)


def shape_of(text: str) -> Shape:
    """A shape of the table by its name, or another one that is written like them."""
    for shape in SHAPES:
        if str(shape) == text:
            return shape
    found = re.fullmatch(r"(\d+)x(\d+)(list)?", text)
    if not found or int(found[1]) < 20 or int(found[2]) < 3:
        raise Failed(f"`{text}` is no shape such as 400x4000 or 100000x768list, of 20 rows and 3 features at least; see --list")
    return Shape(int(found[1]), int(found[2]), bool(found[3]))


def compare(args: argparse.Namespace, folder: Path) -> None:
    bench = Bench(args, folder)
    shapes = [shape_of(text) for text in args.shapes] or SHAPES
    variants = [name for name in VARIANTS if getattr(args, name)] or list(VARIANTS)
    rows = [Row(bench, shape, variant) for shape in shapes for variant in variants]
    if args.make:
        for row in rows:
            row.data = str(Path(args.make) / f"{row.shape}-{row.variant}.parquet")
            job = {"rows": row.shape.rows, "features": row.shape.features, "as_list": row.shape.as_list}
            row.work("make", **job, condition=VARIANTS[row.variant], seed=args.seed)
            print(row.data)
        return
    machine, done = bench.contestants(), []
    say(f"{machine['machine']}; {'; '.join(machine['blas'])}")
    for row in rows:
        try:
            done.append(row.run())
        finally:
            row.remove()
        if args.markdown:
            Path(args.markdown).write_text(report(machine, done, args) + "\n")
        if args.json:
            Path(args.json).write_text(json.dumps({**machine, "gap": args.gap, "rows": done}, indent=1))
    print(report(machine, done, args))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("shapes", nargs="*", metavar="SHAPE", help="rows of the table by name, or other shapes [default: all]")
    add("--list", action="store_true", help="print the names, and do nothing")
    add("--independent", action="store_true", help="only independent columns")
    add("--correlated", action="store_true", help="only correlated columns")
    add("--l2", type=float, help="another penalty [default: 1 / rows; 1 for 200x20000]")
    add("--gap", type=float, default=1e-6, help="the part of the gain that may be missing [default: %(default)s]")
    add("--runs", type=int, default=3, help="timed runs of each, in turn [default: %(default)s]")
    add("--peers", metavar="LIST", default=",".join(PEERS), help="[default: %(default)s]")
    add("--gpu", action="store_true", help="gpu-logreg with --device gpu as well")
    add("--seed", type=int, default=0, help="of the tables [default: %(default)s]")
    add("--keep", metavar="FOLDER", help="keep tables and optima there, and take those that are there")
    add("--make", metavar="FOLDER", help="write the tables there, and do nothing else")
    add("--markdown", metavar="FILE", help="write what is printed to this file too, after each row")
    add("--json", metavar="FILE", help="write the figures of every run to this file, after each row")
    default = Path(__file__).resolve().parent.parent / "target" / "release" / "gpu-logreg"
    add("--program", default=str(default), help="[default: target/release/gpu-logreg of this checkout]")
    add("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        job = SimpleNamespace(**json.loads(Path(args.worker).read_text()))
        answer = TASKS[job.task](job)
        print("\n" + json.dumps(answer))
        return
    if args.list:
        for shape in SHAPES:
            print(shape if shape.l2 is None else f"{shape}  --l2 {shape.l2:g}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no worker stays behind, and no folder
    with tempfile.TemporaryDirectory(prefix="shapes-") as folder:
        try:
            compare(args, Path(folder))
        except Failed as error:
            raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
