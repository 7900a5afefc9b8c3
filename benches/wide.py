#!/usr/bin/env python3
"""Compares what reading takes on files with many columns with `pyarrow.parquet.read_table`.

    pip install -r benches/requirements.txt
    python benches/wide.py                    # all shapes
    python benches/wide.py 20000x200          # those whose name has this in it

Both run in fresh processes, in turn. Ours is the whole process, from its start to the answer, less the seconds of the
solver; of pyarrow it is the first call alone, without the start of Python and its imports.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Columns, rows, type, row groups; the lists are one column.
SHAPES = [
    (1_000, 20_000, "float32", 1),
    (1_000, 20_000, "float64", 4),
    (4_000, 400, "float32", 1),
    (4_000, 2_000, "float64", 4),
    (20_000, 200, "float32", 1),
    (20_000, 200, "float32", 4),
    (768, 100_000, "list", 1),
    (768, 100_000, "fixed-size list", 1),
]

PYARROW = """
import sys, time
import pyarrow.parquet as pq
begin = time.perf_counter()
pq.read_table(sys.argv[1])
print(time.perf_counter() - begin)
"""


def write(path: Path, columns: int, rows: int, kind: str, groups: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(1)
    if "list" in kind:
        values = pa.array(random.normal(size=rows * columns).astype(np.float32))
        ends = pa.array(np.arange(rows + 1, dtype=np.int32) * columns)
        fixed = kind == "fixed-size list"
        lists = pa.FixedSizeListArray.from_arrays(values, columns) if fixed else pa.ListArray.from_arrays(ends, values)
        table = {"e": lists}
    else:
        table = {f"x{j}": random.normal(size=rows).astype(kind) for j in range(columns)}
    table["y"] = (random.random(rows) < 0.5).astype(np.int8)
    pq.write_table(pa.table(table), path, row_group_size=-(-rows // groups))


def ours(program: str, path: Path) -> float:
    command = [program, "train", str(path), "--label", "y", "--device", "cpu", "--l2", "1", "--solver", "lbfgs"]
    command += ["--max-iterations", "1", "--quiet", "--json"]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - begin
    return seconds - json.loads(done.stdout)["training"]["seconds"]["solve"]


def theirs(path: Path) -> float:
    done = subprocess.run([sys.executable, "-c", PYARROW, str(path)], check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", help="parts of names of shapes")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, in turn")
    parser.add_argument("--program", default=shutil.which("gpu-logreg") or "target/release/gpu-logreg")
    args = parser.parse_args()
    print("| columns x rows | type | row groups | gpu-logreg, seconds | pyarrow, seconds | ratio |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for columns, rows, kind, groups in SHAPES:
        name = f"{columns}x{rows} {kind} {groups}"
        if args.shapes and not any(part in name for part in args.shapes):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "wide.parquet"
            write(path, columns, rows, kind, groups)
            pairs = [(ours(args.program, path), theirs(path)) for _ in range(args.runs)]
        cells = []
        for runs in zip(*pairs):
            cells.append(f"{statistics.median(runs):.3f} ({min(runs):.3f}–{max(runs):.3f})")
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"| {columns:,} x {rows:,} | {kind} | {groups} | {' | '.join(cells)} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
