"""How far a run is, for whoever waits for it."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any


class Progress:
    """What a run is going to do, memory and all, and a bar of tqdm for each stage, if tqdm is there and that is wanted; in a notebook
    a bar of the notebook. A run that is over at once says nothing."""

    def __init__(self, wanted: bool) -> None:
        self._make: Any = None
        self._bar: Any = None
        self._stage: str | None = None
        if wanted:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return
            self._make = tqdm

    @property
    def listener(self) -> Progress | None:
        """What the core tells where it stands."""
        return None if self._make is None else self

    def __call__(self, stage: str, done: int, total: int | None, message: str) -> None:
        if stage == "plan":
            self._make.write(message, file=sys.stderr)
            return
        if stage != self._stage or (self._bar is not None and done < self._bar.n):
            self._end()
            self._stage = stage
            self._bar = self._make(total=total, desc=stage, unit_scale=True, leave=False)
        self._bar.update(done - self._bar.n)
        if message:
            self._bar.set_postfix_str(message)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._end()


def threads_of(n_jobs: int | None) -> int | None:
    """Threads of a run, as joblib counts them: -1 for all cores, -2 for all but one. Without a number as many as
    `OMP_NUM_THREADS` says, which joblib sets for its workers, or `None` for all cores."""
    if n_jobs is None:
        text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        return int(text) if text.isdigit() and int(text) > 0 else None
    if n_jobs == 0:
        raise ValueError("`n_jobs=0` has no meaning: give the number of threads, -1 for all cores, or None")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return n_jobs if n_jobs > 0 else max(1, cores + 1 + n_jobs)
