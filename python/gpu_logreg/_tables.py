"""Tables of the core out of what Python has them in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from gpu_logreg import _core


@runtime_checkable
class ArrowStream(Protocol):
    """What hands its columns over by the Arrow PyCapsule interface: tables of pyarrow, polars, pandas, duckdb, ibis."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


PathLike: TypeAlias = str | os.PathLike[str]
Data: TypeAlias = ArrowStream | PathLike | Sequence[PathLike] | Mapping[str, Any]


def is_path(data: object) -> bool:
    """Whether it names a file, a folder or a pattern."""
    return isinstance(data, (str, os.PathLike))


def read(data: Data) -> _core.Table:
    """The table of a file, of a table in memory, or of columns by their names.

    Raises
    ------
    TypeError
        If it is none of them.
    DataError
        If a file cannot be read.
    """
    if is_path(data):
        return _core.Table.open([Path(os.fspath(data))])  # type: ignore[arg-type]
    if isinstance(data, Mapping):
        columns = _core.Columns()
        for name, values in data.items():
            add_column(columns, str(name), values)
        return columns.finish()
    if isinstance(data, (list, tuple)) and data and all(is_path(path) for path in data):
        return _core.Table.open([Path(os.fspath(path)) for path in data])
    columns = _core.Columns()
    add_frame(columns, data)
    return columns.finish()


def frame_of(data: object) -> object:
    """A table with `__arrow_c_stream__`, of what has one or can be brought to have one.

    Raises
    ------
    TypeError
        If it is no table.
    """
    # A query of polars that was not run yet.
    if type(data).__module__.startswith("polars") and type(data).__name__ == "LazyFrame":
        return data.collect(engine="streaming")  # type: ignore[attr-defined]
    # An index is no column.
    if type(data).__module__.startswith("pandas") and type(data).__name__ == "DataFrame":
        return data.reset_index(drop=True)  # type: ignore[attr-defined]
    if hasattr(data, "__arrow_c_stream__"):
        return data
    raise TypeError(
        f"{type(data).__name__} is no table: give a path, a data frame of pandas or polars, a table of pyarrow, "
        "a relation of duckdb, whatever else has `__arrow_c_stream__`, or a dict of columns"
    )


def parts_of(frame: Any) -> list[object]:
    """Parts of a table one after the other, each of which gives its columns where they lie: those of a frame of polars that lies in
    several pieces, as one that was read from a file does, which polars would first copy into one."""
    if not (type(frame).__module__.startswith("polars") and type(frame).__name__ == "DataFrame"):
        return [frame]
    pieces = [series.get_chunks() for series in frame.get_columns()]
    lengths = {tuple(len(piece) for piece in of_column) for of_column in pieces}
    if len(lengths) != 1 or len(pieces[0]) < 2:
        return [frame]
    return [type(frame)(list(part)) for part in zip(*pieces, strict=True)]


def add_frame(columns: _core.Columns, data: object, *, by_columns: bool = True) -> list[str]:
    """Adds the columns of a table, and gives their names. pandas without pyarrow has no stream: then they are added one by one, or
    that is an `ImportError`."""
    frame = frame_of(data)
    try:
        names: list[str] = []
        for part in parts_of(frame):
            names = columns.add_stream(part)
        return names
    except ImportError:
        if not by_columns:
            raise
        # pandas hands its columns over with the help of pyarrow alone.
        names = [str(name) for name in frame.columns]  # type: ignore[attr-defined]
        for position, name in enumerate(names):
            add_column(columns, name, frame.iloc[:, position])  # type: ignore[attr-defined]
        return names


def add_column(columns: _core.Columns, name: str, values: Any) -> None:
    """Adds a column of numbers, booleans or texts.

    Raises
    ------
    TypeError
        If it is of another type.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise TypeError(f"column `{name}` has {array.ndim} dimensions")
    if array.dtype.kind in "fiub":
        add_numbers(columns, [name], array)
        return
    texts = array.tolist()
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(
            f"column `{name}` is of type {array.dtype}: numbers, booleans and texts are taken as they are, and whatever else "
            "a table of pyarrow or polars can hold, dates and missing texts among it, from there"
        )
    classes, codes = np.unique(np.asarray(texts, dtype=object), return_inverse=True)
    columns.add_label(name, codes.reshape(-1), [str(text) for text in classes])


def add_numbers(columns: _core.Columns, names: Sequence[str], array: np.ndarray[Any, Any], threads: int | None = None) -> None:
    """Adds an array of numbers or booleans, `[rows]` or `[rows, names]`: by its address where it can be."""
    if columns.add_array(names, array, threads):
        return
    # Half floats, and another order of bytes: no number is lost in the next wider one.
    wider = np.float32 if array.dtype == np.float16 else array.dtype.newbyteorder("=")
    if not columns.add_array(names, array.astype(wider), threads):
        columns.add_array(names, array.astype(np.float64), threads)


def unique_name(wanted: str, taken: Iterable[str]) -> str:
    """A name that no other column has."""
    others = set(taken)
    while wanted in others:
        wanted += "_"
    return wanted
