#!/usr/bin/env python3
"""Compares gpu-logreg with its peers, end to end: from the same Parquet file to coefficients of the same quality.

    pip install -r benches/requirements.txt
    python benches/peers.py                                     # 2,000,000 x 28 synthetic rows
    python benches/peers.py data.parquet --label y --json figures.json

Each fit runs in a fresh process. A tolerance means something else to each program, so all are stopped by one measure
instead: how far the mean log loss of the coefficients is above its optimum. For each contestant the tolerance goes
down from its default, ten times tighter each time, until that gap is reached. Only then are the runs timed, with all
contestants in turn, so that a disturbance of the machine meets them alike.

This process imports only the standard library, on purpose: on Linux the peak memory of a child includes that of the
process that started it. What needs numpy runs in a worker: this same file, started again with --worker.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, NamedTuple

RUNGS = 6  # tolerances tried for each precision
LATER_READS = 4  # repeated reads of the decode comparison
STAGES = ("import", "read", "fit")
clock = time.perf_counter


class Peer(NamedTuple):
    """A contestant; the second precision of the features is tried where the first does not reach the gap."""

    title: str
    package: str = ""
    exponent: int = 4  # its default tolerance is 10 ** -exponent
    precisions: tuple[str, ...] = ("float32",)


PEERS = {
    "sklearn-lbfgs": Peer("scikit-learn lbfgs", "scikit-learn", 4, ("float32", "float64")),
    "sklearn-newton": Peer("scikit-learn newton-cholesky", "scikit-learn", 4, ("float32", "float64")),
    "glum": Peer("glum", "glum", 4, ("float32", "float64")),
    "statsmodels": Peer("statsmodels Logit", "statsmodels", 8, ("float64",)),
    "torch": Peer("PyTorch L-BFGS", "torch", 7),
}

# ---- The workers. Each runs in a process of its own. First the peers: imported here, fitted by what is returned.


SOLVERS = {"sklearn-newton": "newton-cholesky"}  # of scikit-learn, where its name is not that of the peer


def importer(name: str, l2: float = 0, scaling: float = 100) -> Callable:
    """A function of features, label and tolerance that gives weights, intercept and device.

    `l2` is the strength of a penalty on the mean loss, `l2 / 2` times the squared weights, for scikit-learn and glum only.
    liblinear penalises the intercept too, by `scaling` squared less.
    """
    if name == "torch":
        return torch()
    if name == "statsmodels":  # computes the covariance of the estimates as well
        import statsmodels.api as sm

        def fit(x, y, tolerance: float):
            model = sm.Logit(y, sm.add_constant(x, has_constant="add")).fit(tol=tolerance, maxiter=100, disp=0)
            return model.params[1:], model.params[0], "CPU"

        return fit
    if name == "glum":
        from glum import GeneralizedLinearRegressor as Model

        options, tolerance_name = {"family": "binomial", "alpha": l2, "max_iter": 1000}, "gradient_tol"
    else:
        from sklearn.linear_model import LogisticRegression as Model

        solver = SOLVERS.get(name, name.removeprefix("sklearn-"))
        options, tolerance_name = {"solver": solver, "max_iter": 10_000}, "tol"
        if solver in ("sag", "saga", "liblinear", "liblinear-dual"):  # rows in an order by chance
            options["random_state"] = 0
        if solver.startswith("liblinear"):
            options |= {"solver": "liblinear", "dual": solver == "liblinear-dual", "intercept_scaling": scaling}

    def fit(x, y, tolerance: float):
        if name.startswith("sklearn"):
            options["C"] = 1 / (l2 * len(y)) if l2 else float("inf")
        model = Model(**options, **{tolerance_name: tolerance}).fit(x, y)
        return model.coef_.ravel(), model.intercept_.item(), "CPU"

    return fit


def torch() -> Callable:
    """Full-batch L-BFGS over standardised features, on a CUDA device if there is one."""
    import torch

    def fit(x, y, tolerance: float):
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        x, y = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
        scale, mean = torch.std_mean(x, dim=0)
        scale[scale == 0] = 1
        x = (x - mean) / scale
        w = torch.zeros(x.shape[1], device=device, requires_grad=True)
        b = torch.zeros(1, device=device, requires_grad=True)
        # tolerance / 100: the ratio of the defaults
        optimizer = torch.optim.LBFGS([w, b], max_iter=1000, tolerance_grad=tolerance,
                                      tolerance_change=tolerance / 100, line_search_fn="strong_wolfe")  # fmt: skip

        def closure():
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(x @ w + b, y)
            loss.backward()
            return loss

        optimizer.step(closure)
        weights = (w.detach() / scale).cpu().double()
        name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
        return weights, b.item() - float(weights @ mean.cpu().double()), name

    return fit


def fit_peer(job: SimpleNamespace) -> dict[str, Any]:
    """Imports, reads and fits as a user would, and times the three."""
    start = clock()
    import numpy as np
    import pyarrow.parquet as pq

    fit = importer(job.task)
    imported = clock()
    table = pq.read_table(job.data, columns=[*job.features, job.label])
    x = np.empty((table.num_rows, len(job.features)), dtype=job.precision, order="F")  # the quickest to fill
    for j, name in enumerate(job.features):
        x[:, j] = table.column(name).cast(job.precision, safe=False).to_numpy()
    y = (table.column(job.label).to_numpy() > 0).astype(job.precision)
    del table
    read = clock()
    weights, intercept, device = fit(x, y, float(job.tolerance))
    seconds = dict(zip(STAGES, (imported - start, read - imported, clock() - read)))
    return {"weights": [float(w) for w in weights], "intercept": float(intercept), "device": device, **seconds}


def describe(job: SimpleNamespace) -> dict[str, Any]:
    """What the file is, and its features: all numbers and booleans, as gpu-logreg takes them."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyarrow import types

    file = pq.ParquetFile(job.data)
    schema, meta = file.schema_arrow, file.metadata
    if job.label not in schema.names:
        raise SystemExit(f"{job.data} has no column `{job.label}`; its columns are: {', '.join(schema.names)}")
    classes = pc.unique(pq.read_table(job.data, columns=[job.label]).column(0)).to_pylist()
    if set(classes) not in ({0, 1}, {-1, 1}):
        raise SystemExit(f"the label `{job.label}` must be boolean, 0/1 or -1/1 without nulls; it has {classes[:5]}")
    kinds = (types.is_floating, types.is_integer, types.is_decimal, types.is_boolean)
    features = [f.name for f in schema if f.name != job.label and any(kind(f.type) for kind in kinds)]
    codecs = {meta.row_group(0).column(j).compression.lower() for j in range(meta.num_columns)}
    return {"rows": meta.num_rows, "features": features, "bytes": os.path.getsize(job.data), "codecs": sorted(codecs),
            "row groups": meta.num_row_groups, "types": sorted({str(schema.field(f).type) for f in features})}


def batches(job: SimpleNamespace):
    """The file in float64, a batch at a time, so that memory stays bounded."""
    import numpy as np
    import pyarrow.parquet as pq

    columns = [*job.features, job.label]
    for batch in pq.ParquetFile(job.data).iter_batches(max(1024, 2**21 // len(columns)), columns=columns):
        x = np.column_stack([batch.column(f).cast("float64", safe=False).to_numpy(False) for f in job.features])
        if not np.isfinite(x).all():
            raise SystemExit(f"{job.data} has nulls, NaN or infinities; the peers need a file without")
        yield x, batch.column(job.label).to_numpy(False) > 0


def optimum(job: SimpleNamespace) -> dict[str, Any]:
    """The smallest mean log loss, by Newton's method in float64 over standardised features."""
    import numpy as np

    n, mean, square = 0, 0.0, 0.0
    for x, _ in batches(job):  # mean and variance, merged batch by batch
        shift, m = x.mean(axis=0) - mean, len(x)
        square = square + m * x.var(axis=0) + shift**2 * (n * m / (n + m))
        n, mean = n + m, mean + shift * (m / (n + m))
    scale = np.sqrt(square / n)
    scale[scale == 0] = 1

    def derivatives(w):
        loss, gradient, hessian = 0.0, 0.0, 0.0
        for x, y in batches(job):
            z = np.column_stack([np.ones(len(x)), (x - mean) / scale])
            margin = z @ w
            p = np.exp(-np.logaddexp(0, -margin))
            loss += (np.logaddexp(0, margin) - y * margin).sum()
            gradient += z.T @ (p - y)
            z *= np.sqrt(p * (1 - p))[:, None]
            hessian += z.T @ z
        return loss / n, gradient / n, hessian / n

    w = np.zeros(len(job.features) + 1)
    loss, gradient, hessian = derivatives(w)
    for iteration in range(1, 26):
        step = np.linalg.lstsq(hessian, gradient)[0]  # an answer also where columns are collinear
        ahead = gradient @ step / 2  # how far the loss is above its optimum, to second order
        if ahead < 1e-15 and loss > 1e-6:
            return {"loss": loss, "ahead": ahead, "iterations": iteration}
        for _ in range(10):
            trial = derivatives(w - step)
            if trial[0] <= loss + 1e-15:
                break
            step = step / 2
        w, (loss, gradient, hessian) = w - step, trial
    raise SystemExit("Newton's method found no optimum in 25 iterations: the classes may be separated")


def evaluate(job: SimpleNamespace) -> dict[str, Any]:
    """The mean log loss of given coefficients, in float64 over the file."""
    import numpy as np

    loss, n = 0.0, 0
    for x, y in batches(job):
        margin = x @ np.array(job.weights) + job.intercept
        loss, n = loss + float((np.logaddexp(0, margin) - y * margin).sum()), n + len(x)
    return {"loss": loss / n}


def decode(job: SimpleNamespace) -> dict[str, Any]:
    """Seconds of pyarrow's reading alone: first in a process, then again."""
    import pyarrow.parquet as pq

    seconds = []
    for _ in range(1 + LATER_READS):
        start = clock()
        table = pq.read_table(job.data, columns=[*job.features, job.label])
        seconds.append(clock() - start)
        del table
    return {"first": seconds[0], "later": seconds[1:]}


def rewrite(job: SimpleNamespace) -> dict[str, Any]:
    """Writes a file anew, as users of pyarrow and pandas would have it."""
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(job.plain), job.data, compression=job.codec)
    return {}


# ---- The parent.


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Failed(Exception):
    """A process that ended with an error: its name and what it said last."""


class Late(Failed):
    """A process that was ended at its limit."""


def measure(command: list[str], folder: Path, limit: float | None = None,
            env: dict[str, str] | None = None) -> tuple[str, dict[str, Any]]:  # fmt: skip
    """Runs a command: its stdout, and wall and processor seconds with the peak of resident memory in bytes.

    It is ended after `limit` seconds. Windows tells the wall seconds only.
    """
    with open(folder / "stdout", "w") as out, open(folder / "stderr", "w") as err:
        start, peak, cpu = clock(), None, None
        process = subprocess.Popen(command, stdout=out, stderr=err, env=env)
        late = threading.Event()
        timer = threading.Timer(limit or 0, lambda: (late.set(), process.kill()))
        timer.daemon = True
        try:
            if limit:
                timer.start()
            if hasattr(os, "wait4"):
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
                cpu = usage.ru_utime + usage.ru_stime
            process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        wall = clock() - start
    text, error = (folder / "stdout").read_text(), (folder / "stderr").read_text().strip()
    if process.returncode and late.is_set():
        raise Late(f"ended after {limit:g} s")
    if process.returncode:
        if text.startswith("{") and "error" in json.loads(text):  # gpu-logreg --json
            error = " ".join(json.loads(text)["error"]["message"].split())
        raise Failed(error.splitlines()[-1] if error else f"exit code {process.returncode}")
    return text, {"wall": wall, "peak": peak, "cpu": cpu}


class Bench:
    """What all runs share."""

    def __init__(self, args: argparse.Namespace, folder: Path):
        self.program, self.gap, self.folder, self.adapter = args.program, args.gap, folder, ""
        self.file: dict[str, Any] = {"data": args.data, "label": args.label, "features": []}

    def work(self, task: str, **job: Any) -> dict[str, Any]:
        """Runs a worker: what it returns, with wall seconds and peak memory."""
        path = self.folder / "job.json"
        path.write_text(json.dumps(self.file | {"task": task} | job))
        text, measured = measure([sys.executable, __file__, "--worker", str(path)], self.folder)
        return json.loads(text.splitlines()[-1]) | measured

    def fit(self, name: str, tolerance: str, precision: str) -> dict[str, Any]:
        """One fit of a contestant, in a fresh process."""
        if name in PEERS:
            return self.work(name, tolerance=tolerance, precision=precision)
        device = self.adapter if name == "gpu-logreg gpu" else "cpu"
        command = [self.program, "train", self.file["data"], "--label", self.file["label"], "--device", device,
                   "--tolerance", tolerance, "--json", "--no-progress"]  # fmt: skip
        text, measured = measure(command, self.folder)
        model = json.loads(text)
        training, weights = model["training"], {f["name"]: f["coefficient"] for f in model["features"]}
        return {"weights": [weights.get(f, 0.0) for f in self.file["features"]], "intercept": model["intercept"],
                "device": training["device"], "read": training["seconds"]["read"],
                "fit": training["seconds"]["upload"] + training["seconds"]["solve"], **measured}  # fmt: skip

    def ladder(self, name: str, best: float) -> dict[str, Any]:
        """The first tolerance whose coefficients are within the gap of the optimum, or the best of all."""
        peer, found, steps = PEERS.get(name, Peer(name)), {"gap": float("inf")}, []
        for precision in peer.precisions:
            for exponent in range(peer.exponent, peer.exponent + RUNGS):
                step: dict[str, Any] = {"tolerance": f"1e-{exponent}", "precision": precision}
                try:
                    step |= self.fit(name, **step)
                    loss = self.work("evaluate", weights=step["weights"], intercept=step["intercept"])["loss"]
                except Failed as error:
                    say(f"  {name} at {step['tolerance']}, {precision} failed: {error}")
                    if not steps:
                        found = step | {"gap": float("inf"), "failed": str(error)}
                    break
                step["gap"] = loss - best
                say(f"  {name} at {step['tolerance']}, {precision}: gap {step['gap']:.1e}, {step['wall']:.2f} s")
                steps.append(step)
                if step["gap"] <= self.gap:
                    return step | {"reached": True, "steps": steps}
                if step["gap"] < found["gap"] or len(steps) == 1:
                    found = step
        return found | {"reached": False, "steps": steps}


def machine() -> str:
    """The machine, from what any system tells without packages."""
    model, memory, system = platform.processor() or platform.machine(), "", platform.platform()
    try:
        if sys.platform == "darwin":
            model = subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
            system = f"macOS {platform.mac_ver()[0]}"
        else:
            lines = Path("/proc/cpuinfo").read_text().splitlines()
            model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
            system = platform.freedesktop_os_release()["PRETTY_NAME"]
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (OSError, KeyError, ValueError, AttributeError):
        pass  # what is known so far
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores{memory}, {system}"


def number(value: float | None, missing: str = "–") -> str:
    if value is None:
        return missing
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value < 0.01 else f"{value:.{2 if value >= 1 else 3}f}"


def spread(values: list[float]) -> str:
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def median(runs: list[dict[str, Any]], key: str) -> float | None:
    values = [run.get(key) for run in runs]
    return statistics.median(values) if values and None not in values else None


def report(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    data, runs = figures["data"], figures["runs"]
    lines = [
        f"### {figures['machine']}; GPU adapters: {', '.join(figures['adapters']) or 'none'}", "",
        f"{figures['date']}. {', '.join(figures['versions'])}.", *figures["left out"], "",
        f"{data['rows']:,} rows, {len(data['features'])} features ({', '.join(data['types'])}), "
        f"{data['bytes'] / 1e6:.1f} MB of Parquet ({', '.join(data['codecs'])}; row groups: {data['row groups']}), in "
        "the page cache. Peers take the features as they are, PyTorch standardised; in float32 if not said otherwise. "
        f"Optimum: mean log loss {figures['optimum']['loss']:.12f}; all are stopped within {figures['gap']:g} of it. "
        + f"Median (min–max) of {figures['rounds']} runs in turn, default threads; stages and memory: median."
        * bool(runs), "",
        "| contestant | tolerance | gap | whole process, s | import | read | fit | peak memory, MB "
        "| time / gpu-logreg cpu | memory / gpu-logreg cpu |", "| --- | --- " + "| ---: " * 8 + "|",
    ]  # fmt: skip
    base = {key: median(runs.get("gpu-logreg cpu", []), key) for key in ("wall", "peak")}
    for name, found in figures["ladder"].items():
        title = PEERS.get(name, Peer(name)).title + (f" ({found.get('device')})" if name == "torch" else "")
        row = [title, found["tolerance"] + (", float64" if found["precision"] == "float64" else "")]
        if "failed" in found:
            row.append("failed: " + found["failed"].replace("|", "/"))
        else:
            gap = f"{found['gap']:.1e}" if not found["gap"] < 1e-15 else "< 1e-15"
            row.append(gap if found["reached"] else f"not reached, best {gap}")
        if mine := runs.get(name):
            wall, peak = median(mine, "wall"), median(mine, "peak")
            row += [spread([run["wall"] for run in mine]), *(number(median(mine, stage)) for stage in STAGES)]
            row += [number(peak and peak / 1e6, "n/a"), number(base["wall"] and wall / base["wall"])]
            row += [number(peak and base["peak"] and peak / base["peak"], "n/a")]
        lines.append("| " + " | ".join(row + ["–"] * (10 - len(row))) + " |")
    if reads := figures["decode"]:
        rows = {"pyarrow `read_table`, first in a process": [read["first"] for read in reads],
                "pyarrow `read_table`, again in the same process": [s for read in reads for s in read["later"]]}
        rows |= {f"{name}, its `seconds.read`: decoded, checked, centred and scaled": [run["read"] for run in mine]
                 for name, mine in runs.items() if name not in PEERS}  # fmt: skip
        lines += ["", "| reading the same columns | s |", "| --- | ---: |"]
        lines += [f"| {title} | {spread(seconds)} |" for title, seconds in rows.items()]
    return "\n".join(lines)


def compare(args: argparse.Namespace, folder: Path) -> None:
    """Makes the file if none is given, finds the tolerances, times the runs and prints the report."""
    chosen = [name.strip() for name in args.peers.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in PEERS]:
        raise Failed(f"unknown peer: {', '.join(unknown)}; known: {', '.join(PEERS)}")
    if not (program := shutil.which(args.program)):
        raise Failed(f"there is no program {args.program}: run `cargo build --release`, or name it with --program")
    args.program = shutil.copy2(program, folder)  # a build meanwhile must not change it between two runs
    versions = {}
    for package in ("numpy", "pyarrow", *(PEERS[name].package for name in chosen)):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            if package in ("numpy", "pyarrow"):
                raise Failed(f"{package} is needed: pip install -r benches/requirements.txt") from None
    bench = Bench(args, folder)
    adapters = json.loads(measure([args.program, "devices", "--json"], folder)[0])["devices"]
    names = ["gpu-logreg cpu", *(name for name in chosen if PEERS[name].package in versions)]
    if hardware := [adapter for adapter in adapters if adapter["usable"] and not adapter["software"]]:
        bench.adapter = str(hardware[0]["index"])
        names.insert(1, "gpu-logreg gpu")
    if args.data is None:
        say(f"making a file of {args.rows:,} x {args.features}, {args.codec}")
        plain, bench.file["data"], bench.file["label"] = str(folder / "plain"), str(folder / "data.parquet"), "y"
        size = ["--rows", str(args.rows), "--features", str(args.features)]
        measure([args.program, "synth", "-o", plain, *size, "--json", "--no-progress"], folder)
        bench.work("rewrite", plain=plain, codec=args.codec)
        os.remove(plain)
    elif not os.path.isfile(args.data):
        raise Failed(f"there is no file {args.data}")
    figures: dict[str, Any] = {
        "date": str(datetime.date.today()), "machine": machine(),
        "adapters": [a["name"] + (" (software, not used)" if a["software"] else "") for a in adapters],
        "versions": [measure([args.program, "--version"], folder)[0].strip(), f"Python {platform.python_version()}",
                     *(f"{package} {version}" for package, version in versions.items())],
        "left out": [f"{PEERS[name].title} is left out: {PEERS[name].package} is not installed."
                     for name in chosen if PEERS[name].package not in versions],
        "data": bench.work("describe"), "gap": args.gap, "rounds": args.runs, "ladder": {}, "runs": {}, "decode": [],
    }  # fmt: skip
    say("\n".join([*figures["left out"], "looking for the optimum"]))
    bench.file["features"] = figures["data"]["features"]
    figures["optimum"] = bench.work("optimum")
    say(f"mean log loss {figures['optimum']['loss']:.12f}; looking for the tolerances")
    for name in names:
        found = figures["ladder"][name] = bench.ladder(name, figures["optimum"]["loss"])
        if "failed" in found and name not in PEERS:
            raise Failed(f"{name}: {found['failed']}")
    for turn in range(args.runs + 1 if args.runs > 0 else 0):
        say(f"run {turn} of {args.runs}" if turn else "warm-up")
        for name in (name for name in names if figures["ladder"][name]["reached"]):
            found = figures["ladder"][name]
            try:
                run = bench.fit(name, found["tolerance"], found["precision"])
            except Failed as error:  # threads that add in another order can turn a fit that is near singular
                say(f"  {name} failed: {error}")
                found |= {"reached": False, "failed": str(error)}
                figures["runs"].pop(name, None)
                continue
            say(f"  {name}: {run['wall']:.2f} s")
            if turn:
                figures["runs"].setdefault(name, []).append(run)
        reads = bench.work("decode")
        if turn:
            figures["decode"].append(reads)
    print(report(figures))
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("data", nargs="?", metavar="DATA", help="a Parquet file [default: one made by `gpu-logreg synth`]")
    add("--label", default="y", help="its label: boolean, 0/1 or -1/1 [default: y]")
    add("--rows", type=int, default=2_000_000, help="rows of the made file [default: %(default)s]")
    add("--features", type=int, default=28, help="features of the made file [default: %(default)s]")
    add("--codec", default="snappy", help="compression of the made file [default: %(default)s]")
    add("--runs", type=int, default=5, help="timed rounds; 0: only find the tolerances [default: %(default)s]")
    add("--gap", type=float, default=1e-9, help="mean log loss above its optimum [default: %(default)s]")
    add("--peers", metavar="LIST", default=",".join(PEERS), help="[default: %(default)s]")
    default = Path(__file__).resolve().parent.parent / "target" / "release" / "gpu-logreg"
    add("--program", default=str(default), help="[default: target/release/gpu-logreg of this checkout]")
    add("--json", metavar="FILE", help="write the figures of every run to this file")
    add("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        job = SimpleNamespace(**json.loads(Path(args.worker).read_text()))
        tasks = {task.__name__: task for task in (describe, optimum, evaluate, decode, rewrite)}
        print("\n" + json.dumps(tasks.get(job.task, fit_peer)(job)))
        return
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        try:
            compare(args, Path(folder))
        except Failed as error:
            raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
