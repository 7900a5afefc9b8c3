"""Tables from wherever they are: the same bits as from a Parquet file of the same rows."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys

import duckdb
import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest
from gpu_logreg import LogisticRegression, fit_parquet, fit_table

ROWS = 1_500
CHANCE = np.random.default_rng(11)
NUMBERS = CHANCE.integers(0, 100, ROWS)
Y = (NUMBERS + CHANCE.normal(size=ROWS) * 40 > 50).astype(np.int64)
OTHER = CHANCE.normal(size=ROWS)
HOLES = CHANCE.random(ROWS) < 0.1
CITIES = np.array(["Köln", "Bonn", "", "Aa'\"chen"])[NUMBERS % 4]


def with_nulls(values, arrow_type) -> pyarrow.Array:
    return pyarrow.array([None if hole else value for value, hole in zip(values.tolist(), HOLES, strict=True)], arrow_type)


DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(days=int(n)) for n in NUMBERS]

#: Columns by their types, as Arrow has them.
COLUMNS: dict[str, pyarrow.Array] = {
    **{
        name: pyarrow.array(NUMBERS.astype(name))
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "float16")
    },
    "bool": pyarrow.array(NUMBERS > 60),
    "nulls": with_nulls(NUMBERS.astype(float), pyarrow.float64()),
    "integers with nulls": with_nulls(NUMBERS, pyarrow.int32()),
    "string": pyarrow.array(CITIES.tolist()),
    "large_string": pyarrow.array(CITIES.tolist(), pyarrow.large_string()),
    "string_view": pyarrow.array(CITIES.tolist(), pyarrow.string_view()),
    "strings with nulls": with_nulls(CITIES, pyarrow.string()),
    "dictionary": pyarrow.array(CITIES.tolist()).dictionary_encode(),
    "date": pyarrow.array(DAYS),
    "timestamp": pyarrow.array(DAYS).cast(pyarrow.timestamp("us")),
    "decimal": pyarrow.array(NUMBERS.tolist(), pyarrow.int64()).cast(pyarrow.decimal128(23, 2)),
}

MISSING = {"nulls", "integers with nulls", "strings with nulls"}
TIMES = {"date", "timestamp"}


def table_of(kind: str) -> pyarrow.Table:
    return pyarrow.table({"y": Y, "x": COLUMNS[kind], "other": OTHER})


def to_pandas(table: pyarrow.Table) -> pandas.DataFrame:
    return table.to_pandas()


def to_pandas_arrow(table: pyarrow.Table) -> pandas.DataFrame:
    return table.to_pandas(types_mapper=pandas.ArrowDtype)


def to_dict(table: pyarrow.Table) -> dict[str, list[object]]:
    return table.to_pydict()


CONTAINERS = {
    "pyarrow": lambda table: table,
    "pyarrow in batches": lambda table: pyarrow.Table.from_batches(table.to_batches(max_chunksize=333)),
    "a reader of pyarrow": lambda table: table.to_reader(max_chunksize=100),
    "pandas": to_pandas,
    "pandas with an index": lambda table: to_pandas(table).set_index(np.arange(len(table))[::-1]),
    "pandas of Arrow": to_pandas_arrow,
    "polars": polars.from_arrow,
    "polars in pieces": lambda table: polars.concat(
        [polars.from_arrow(table[first : first + 400]) for first in range(0, ROWS, 400)], rechunk=False
    ),
    "a query of polars": lambda table: polars.from_arrow(table).lazy(),
    "duckdb": lambda table: duckdb.from_arrow(table),
    "a dict of lists": to_dict,
    "a dict of arrays": lambda table: {name: table[name].to_numpy() for name in table.column_names},
}

#: What a container does not have, or has otherwise.
LACKS = {
    "pandas": {"date", "decimal"},
    "pandas with an index": {"date", "decimal"},
    "pandas of Arrow": {"float16", "string_view"},
    "polars": {"decimal"},
    "polars in pieces": {"decimal"},
    "a query of polars": {"decimal"},
    "duckdb": {"float16", "string_view"},
    "a dict of lists": MISSING | TIMES | {"decimal", "float16"},
    "a dict of arrays": MISSING | TIMES | {"decimal"},
}


def bits_of(model) -> str:
    """Everything that a model says but for what differs from run to run."""
    info = json.loads(model.to_json())
    for name in ("seconds", "files", "command", "program"):
        info["training"].pop(name, None)
    return json.dumps(info)


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The bits of the model of a Parquet file, by the type of a column."""
    models = {}

    def of(kind: str) -> str:
        if kind not in models:
            path = tmp_path_factory.mktemp("tables") / "table.parquet"
            pyarrow.parquet.write_table(table_of(kind), path)
            models[kind] = bits_of(fit_parquet(path, label="y", **settings_of(kind)))
        return models[kind]

    return of


def settings_of(kind: str) -> dict[str, object]:
    features = {"features": ["x", "other"]} if kind in TIMES else {}
    return {"nulls": "indicator", "inference": True, "device": "cpu", **features}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_bits_are_those_of_a_file(container, kind, reference):
    if kind in LACKS.get(container, set()):
        pytest.skip(f"{container} has no {kind}, or has it as another type")
    made = CONTAINERS[container](table_of(kind))
    assert bits_of(fit_table(made, label="y", **settings_of(kind))) == reference(kind)


def test_the_comparison_of_bits_sees_a_number():
    """The control: one number of 3,000 that is off by a billionth is seen."""
    changed = OTHER.copy()
    changed[7] += 1e-9
    models = [
        fit_table({"y": Y, "x": NUMBERS, "other": other}, label="y", device="cpu", refine=True) for other in (OTHER, changed)
    ]
    assert bits_of(models[0]) != bits_of(models[1])


MATRIX = np.column_stack([OTHER, NUMBERS.astype(float), OTHER**2, np.sqrt(NUMBERS), CHANCE.normal(size=ROWS)])


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "float16"]
)
def test_arrays_are_read_in_any_order(dtype):
    matrix = (np.abs(MATRIX) * 20).astype(dtype)
    blank = np.zeros((2 * ROWS, 3 * matrix.shape[1]), dtype=dtype)
    strided = blank[::2, ::3]
    strided[:] = matrix
    swapped = matrix.astype(matrix.dtype.newbyteorder(">"))
    unaligned = np.frombuffer(b"\0" + matrix.tobytes(), dtype=dtype, offset=1).reshape(matrix.shape)
    read_only = matrix.copy()
    read_only.flags.writeable = False
    orders = {
        "C": np.ascontiguousarray(matrix),
        "F": np.asfortranarray(matrix),
        "strided": strided,
        "reversed": np.ascontiguousarray(matrix[::-1, ::-1])[::-1, ::-1],
        "another order of bytes": swapped,
        "unaligned": unaligned,
        "read-only": read_only,
        "lists": matrix.tolist(),
    }
    expected = None
    for order, X in orders.items():
        model = LogisticRegression(device="cpu").fit(X, Y)
        found = (model.coef_.tobytes(), model.intercept_.tobytes())
        expected = expected or found
        # A list of booleans is an array of them, and of other numbers one of 64 bits: halves and the like have no shorter way.
        assert found == expected, order


@pytest.mark.parametrize(
    "container", ["pandas", "pandas of Arrow", "polars", "polars in pieces", "pyarrow", "pyarrow in batches"]
)
def test_frames_of_the_estimator_are_arrays_with_names(container):
    table = pyarrow.table({f"column {place}": MATRIX[:, place] for place in range(MATRIX.shape[1])})
    frame = CONTAINERS[container](table)
    of_frame, of_array = (LogisticRegression(device="cpu").fit(X, Y) for X in (frame, MATRIX))
    assert np.array_equal(of_frame.coef_, of_array.coef_)
    assert list(of_frame.feature_names_in_) == table.column_names == of_frame.model_.feature_names
    if not isinstance(frame, pyarrow.Table):
        # Sums of numpy depend on the order in which an array lies.
        assert np.allclose(of_frame.predict_proba(frame), of_array.predict_proba(MATRIX), rtol=0, atol=1e-14)


def test_columns_may_have_the_names_of_the_label_and_of_patterns():
    names = ["y", "sample_weight", "*", "fold", "x?"]
    frame = pandas.DataFrame(dict(zip(names, MATRIX.T, strict=True)))
    weights = np.where(HOLES, 2.0, 1.0)
    of_frame = LogisticRegression(device="cpu").fit(frame, pandas.Series(Y, name="y"), sample_weight=weights)
    of_array = LogisticRegression(device="cpu").fit(MATRIX, Y, sample_weight=weights)
    assert np.array_equal(of_frame.coef_, of_array.coef_)
    assert of_frame.model_.feature_names == names


def test_columns_are_read_where_they_lie():
    """Nothing is copied of columns of 80 MB, of a frame or of an array whose columns lie next to each other; in the other order
    all of them are."""
    script = """
import resource, numpy, polars
from gpu_logreg import _core, _tables
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frame = polars.DataFrame({f"x{k}": numpy.random.default_rng(k).normal(size=10_000_000) for k in range(4)})
pieces = polars.concat([frame[: 10**6], frame[10**6 :]], rechunk=False)
assert set(pieces.n_chunks("all")) == {2}
arrays = [numpy.ones((10_000_000, 4), order=order) for order in "FC"]
marks = [peak()]
for add in (
    lambda columns: _tables.add_frame(columns, frame),
    lambda columns: _tables.add_frame(columns, pieces),
    lambda columns: columns.add_array(list("abcd"), arrays[0], 2),
    lambda columns: columns.add_array(list("abcd"), arrays[1], 2),
):
    columns = _core.Columns()
    add(columns)
    table = columns.finish()
    marks.append(peak())
print(*numpy.diff(marks))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    of_frame, of_pieces, of_columns, of_rows = (int(kilobytes) for kilobytes in done.stdout.split())
    assert max(of_frame, of_pieces, of_columns) < 20_000, done.stdout
    assert of_rows > 300_000, done.stdout


def test_rows_are_chosen():
    table = table_of("int32")
    chosen = fit_table(table, label="y", where="x >= 20 and x < 90", device="cpu")
    kept = (NUMBERS >= 20) & (NUMBERS < 90)
    assert chosen.training["rows"] == kept.sum()
    by_hand = fit_table(table.filter(pyarrow.array(kept)), label="y", device="cpu")
    assert bits_of(chosen) == bits_of(by_hand)
    assert fit_table(table, label="y", limit=100, device="cpu").training["rows"] == 100
    assert 600 < fit_table(table, label="y", sample=0.5, seed=3, device="cpu").training["rows"] < 900
