"""Writes the small files with page checksums of tests/reference/damage, which tests/damage.rs damages: the Parquet writer of
the tests' own crate knows no checksums. Needs numpy and pyarrow. `bare.parquet` is one of them without checksums.
An argument is another folder."""
import os
import sys
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "damage")
FOLDER = sys.argv[1] if len(sys.argv) > 1 else HERE
ROWS = 120


def table(seed, nulls):
    random = np.random.default_rng(seed)
    x, f, k = random.normal(size=ROWS), random.normal(size=ROWS).astype("float32"), random.integers(-50, 50, ROWS)
    g = random.choice(["red", "green", "blue"], ROWS)
    cents = random.integers(0, 100_000, ROWS)
    y = random.random(ROWS) < 1 / (1 + np.exp(-(0.5 * x - 0.3 * f + 0.01 * k + 0.4 * (g == "red"))))
    some = lambda values, every: [None if nulls and row % every == 3 else value for row, value in enumerate(values)]
    return pa.table({
        "y": pa.array(y),
        "x": pa.array(some(x.tolist(), 11), pa.float64()),
        "f": pa.array(f),
        "k": pa.array(some(k.tolist(), 7), pa.int32()),
        "big": pa.array(k * 10_000_000_000 + cents, pa.int64()),
        "g": pa.array(some(g.tolist(), 13)),
        "b": pa.array(random.random(ROWS) < 0.4),
        "d": pa.array([Decimal(int(c)).scaleb(-2) for c in cents], pa.decimal128(9, 2)),
        "t": pa.array(1_600_000_000_000 + cents * 1000, pa.timestamp("ms")),
    })


def write(name, data, **how):
    how = {"row_group_size": 50, "write_page_checksum": True, "store_schema": True, **how}
    pq.write_table(data, os.path.join(FOLDER, name + ".parquet"), **how)


write("plain", table(1, False), compression="none", use_dictionary=False)
write("dictionary", table(2, True), compression="snappy")
write("second", table(3, True), compression="zstd", use_dictionary=False, data_page_version="2.0", column_encoding={
    "x": "BYTE_STREAM_SPLIT", "f": "BYTE_STREAM_SPLIT", "k": "DELTA_BINARY_PACKED", "big": "DELTA_BINARY_PACKED",
    "g": "DELTA_BYTE_ARRAY", "b": "RLE", "d": "PLAIN", "t": "DELTA_BINARY_PACKED"})
lists = table(4, False).append_column("v", pa.array(np.random.default_rng(5).normal(size=(ROWS, 2)).tolist(), pa.list_(pa.float64())))
write("lists", lists, compression="gzip", data_page_size=200)
write("bare", table(6, True), compression="none", write_page_checksum=False)
