"""How runs behave among threads, processes and interrupts."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from gpu_logreg import InternalError, LogisticRegression, _core, fit_table
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.model_selection import GridSearchCV

X, Y = load_breast_cancer(return_X_y=True)


def coefficients(seed: int) -> bytes:
    """What a process makes of a table."""
    X, y = make_classification(20_000, 10, random_state=seed)
    return LogisticRegression(device="cpu", n_jobs=2).fit(X, y).coef_.tobytes()


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_processes_fit_whatever_their_parent_did(way):
    """A pool of threads that is shared would be gone in the child of a fork, and its first fit would wait for ever."""
    here = [coefficients(seed) for seed in range(4)]
    with multiprocessing.get_context(way).Pool(2) as pool:
        there = pool.map_async(coefficients, range(4)).get(timeout=120)
    assert here == there


def test_threads_fit_at_the_same_time():
    here = [coefficients(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(coefficients, range(4), timeout=120)) == here


def test_other_threads_go_on_during_a_fit():
    turns, done = 0, threading.Event()

    def turn() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            time.sleep(0.001)

    chance = np.random.default_rng(0)
    table = {"y": chance.integers(0, 2, 1_000_000), **{f"x{k}": chance.normal(size=1_000_000) for k in range(8)}}
    other = threading.Thread(target=turn)
    other.start()
    start = time.monotonic()
    fit_table(table, label="y", device="cpu", refine=True)
    taken = time.monotonic() - start
    done.set()
    other.join()
    assert turns > 100 * taken, f"{turns} turns in {taken:.2f} s"


def test_a_panic_is_an_exception():
    for threads in (1, 2, None):
        with pytest.raises(InternalError, match="on purpose"):
            _core.run_that_panics(threads)
    # The next run is none the worse for it.
    assert LogisticRegression(device="cpu").fit(X, Y).status_ == "converged"


def test_threads_are_as_many_as_asked_for(monkeypatch):
    def used(**settings) -> str:
        return LogisticRegression(device="cpu", **settings).fit(X, Y).model_.training["device"]

    assert used(n_jobs=1) == "CPU, 1 thread"
    assert used(n_jobs=3) == "CPU, 3 threads"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert used() == "CPU, 3 threads"
    assert used(n_jobs=1) == "CPU, 1 thread"
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0))
    assert used(n_jobs=-1) == used() == f"CPU, {cores} thread{'s' if cores > 1 else ''}"
    with pytest.raises(ValueError, match="n_jobs=0"):
        used(n_jobs=0)


def test_workers_of_joblib_share_the_cores():
    search = GridSearchCV(Reporting(device="cpu"), {"C": [0.1, 1.0]}, cv=2, n_jobs=2, scoring=threads_of).fit(X, Y)
    cores = len(os.sched_getaffinity(0))
    assert set(search.cv_results_["mean_test_score"]) == {float(max(1, cores // 2))}


class Reporting(LogisticRegression):
    """An estimator of a process of its own."""


def threads_of(estimator, X, y) -> float:
    return float(estimator.model_.training["device"].split()[1])


FIT = """
import os, sys, threading, time
import numpy as np
import gpu_logreg

def threads():
    return sum(open(f"/proc/self/task/{{task}}/comm").read().startswith("gpu-logreg") for task in os.listdir("/proc/self/task"))

chance = np.random.default_rng(0)
n, d = {rows}, {columns}
table = {{"y": chance.integers(0, 2, n), **{{f"x{{k}}": chance.normal(size=n).astype(np.float32) for k in range(d)}}}}
print("ready", flush=True)
try:
    while True:
        gpu_logreg.fit_table(table, label="y", device="cpu", {settings})
except KeyboardInterrupt:
    ended = time.time()
    # The kernel lists a thread for a moment after it was joined.
    time.sleep(0.02)
    print(ended, threads(), flush=True)
"""


def interrupted(rows: int, columns: int, settings: str, after: float) -> float:
    """How long a run takes to end when it is interrupted."""
    script = FIT.format(rows=rows, columns=columns, settings=settings)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(after)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        ended, threads = process.communicate(timeout=60)[0].split()
    assert process.returncode == 0 and int(threads) == 0, "the threads of the run have ended"
    return float(ended) - sent


@pytest.mark.parametrize("after", [0.0, 0.05, 0.3, 0.7, 1.1])
@pytest.mark.parametrize(
    ("rows", "columns", "settings"),
    [(2_000_000, 20, "refine=True"), (20_000, 400, "l1=0.001"), (100_000, 20, "folds=5"), (5_000, 900, "inference=True")],
)
def test_interrupts_end_a_run(rows, columns, settings, after):
    assert interrupted(rows, columns, settings, after) <= 1.0


def test_interrupts_of_a_predict_end_it():
    script = """
import numpy as np, time, gpu_logreg
chance = np.random.default_rng(0)
table = {"y": chance.integers(0, 2, 3_000_000), **{f"x{k}": chance.normal(size=3_000_000) for k in range(8)}}
model = gpu_logreg.fit_table(table, label="y", device="cpu", limit=10_000)
print("ready", flush=True)
try:
    while True:
        model.predict_proba(table)
except KeyboardInterrupt:
    print(time.time(), flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        ended = float(process.communicate(timeout=60)[0])
    assert ended - sent <= 1.0


def test_progress_is_told(capsys):
    stages = []
    chance = np.random.default_rng(0)
    table = {"y": chance.integers(0, 2, 2_000_000), **{f"x{k}": chance.normal(size=2_000_000) for k in range(8)}}
    columns = _core.Columns()
    for name, values in table.items():
        columns.add_array([name], values, 1)
    _core.train(columns.finish(), {"label": "y", "device": "cpu", "refine": True}, {}, None, lambda *stage: stages.append(stage))
    assert stages[0][0] == "plan" and "MB in memory" in stages[0][3]
    assert len(stages) > 1 and all(total is None or 0 <= done <= total for _, done, total, _ in stages)

    def raises(*stage: object) -> None:
        raise RuntimeError("enough")

    columns = _core.Columns()
    for name, values in table.items():
        columns.add_array([name], values, 1)
    with pytest.raises(RuntimeError, match="enough"):
        _core.train(columns.finish(), {"label": "y", "device": "cpu", "refine": True}, {}, None, raises)
    fit_table(table, label="y", device="cpu", refine=True, progress=True)
    said = capsys.readouterr().err
    assert "%|" in said and "2000000 rows x 8 features" in said


def test_the_program_is_beside_the_interpreter():
    """Native, and at once: no interpreter starts for it."""
    import sysconfig

    program = Path(sysconfig.get_path("scripts")) / "gpu-logreg"
    assert program.read_bytes()[:4] == b"\x7fELF"
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert printed.split()[1] == _core.__version__


def test_an_import_does_not_wait_for_scikit_learn():
    script = "import sys, gpu_logreg; print('sklearn' in sys.modules, 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split() == [
        "False",
        "False",
    ]
