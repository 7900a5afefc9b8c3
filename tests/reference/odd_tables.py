"""Odd tables, each with three odd things at once, read by pyarrow and fitted by Newton's method in double precision, against
the program: the same answer within 1e-4 standard errors, or a refusal of one of the kinds that are allowed, and the same bits
whether the rows lie in one file or in a folder of files with other row groups. Levels are sorted, and the first is the
reference; rows of weight 0 are no rows; a column of several widths is one column.

    odd_tables.py PROGRAM [--count N] [--seed N] [--only N]

Needs numpy and pyarrow. Every fifth table is fitted on an adapter too, if the program finds one. `.ci/run` starts it.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from decimal import Decimal
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

THINGS = ["names", "types", "widths", "nulls", "weights", "folders", "partitions", "groups", "index", "unused", "twins"]

# Refusals that are right, by a part of the message and of what was odd.
ALLOWED = [
    (r"two columns", {"twins"}, "a name that is used stands for two columns"),
    (r"`extra` is .* in .* and .* in|no column `extra`", {"unused"}, "a column that is used differs between files"),
    (r"category .* is missing .*", {"nulls", "widths", "partitions"}, "a text has no mean, and its missing values no rule"),
    (r"is missing .* in all rows|has no values|nothing but nulls", {"types", "nulls", "widths"}, "a column without values"),
]


# ---- reading, as pyarrow does -----------------------------------------------------------------------------------------

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def numbers(array):
    """A column in double precision, NaN where a value is missing; None for texts."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return numbers(array.dictionary_decode())
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan)
    if pa.types.is_decimal(kind):
        return np.array([np.nan if v is None else float(v) for v in array.to_pylist()])
    if pa.types.is_temporal(kind):
        unit = 1 if pa.types.is_date32(kind) else 86_400_000 if pa.types.is_date64(kind) else UNITS[kind.unit]
        bits = pa.int32() if pa.types.is_date32(kind) or pa.types.is_time32(kind) else pa.int64()
        return numbers(array.cast(bits)) / unit
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.array([np.nan if v is None else float(v) for v in array.to_pylist()])
    return None


def is_default(kind):
    """Whether a column is a feature although nobody names it."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return not (pa.types.is_temporal(kind) or pa.types.is_binary(kind))


def flattened(table, twins):
    """Columns by name, in order: structs by their leaves, lists by their elements. Twins are left out."""
    columns = {}
    for index, name in enumerate(table.column_names):
        array = table.column(index).combine_chunks() if table.num_rows else pa.array([], table.schema.field(index).type)
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0)
        if name in twins:
            continue
        if pa.types.is_struct(array.type):
            for place in range(array.type.num_fields):
                leaf = array.type.field(place)
                values = [None if row is None else row[leaf.name] for row in array.to_pylist()]
                columns["%s.%s" % (name, leaf.name)] = pa.array(values, leaf.type)
        elif pa.types.is_list(array.type):
            rows = array.to_pylist()
            for place in range(2):
                columns["%s[%d]" % (name, place)] = pa.array([row[place] for row in rows], array.type.value_type)
        else:
            columns[name] = array
    return columns


def partitions(path, base):
    """Keys and values of the folders on the way to a file; None is a null."""
    found = {}
    for part in os.path.relpath(path, base).split(os.sep)[:-1]:
        if "=" in part and not part.startswith("="):
            key, value = part.split("=", 1)
            found[unquote(key)] = None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
    return found


def is_number(text):
    """Whether a folder's value is a number that gives the same text back."""
    if re.fullmatch(r"0|-?[1-9][0-9]*", text):
        return abs(int(text)) < 2**53
    return re.fullmatch(r"-?(0|[1-9][0-9]*)\.[0-9]*[1-9]", text) is not None and repr(float(text)) == text


def read(base, twins=()):
    """What lies in a folder: name -> array of all rows (numbers or texts), and the names that pandas calls the index."""
    files = sorted(
        (os.path.join(at, name) for at, _, names in os.walk(base) for name in names if name.endswith(".parquet")),
        key=lambda path: path.split(os.sep))
    parts, index, keys = [], set(), []
    for path in files:
        file = pq.ParquetFile(path)
        footer = (file.metadata.metadata or {}).get(b"pandas")
        if footer:
            index.update(name for name in json.loads(footer)["index_columns"] if isinstance(name, str))
        of_path = partitions(path, base)
        keys = list(of_path)
        parts.append((flattened(file.read(), twins), file.metadata.num_rows, of_path))
    names = []
    for columns, _, _ in parts:
        names += [name for name in columns if name not in names]
    values, defaults = {}, {}
    for name in names:
        pieces = [columns[name] if name in columns else pa.nulls(rows) for columns, rows, _ in parts]
        as_numbers = [numbers(piece) for piece in pieces]
        typed = [piece for piece in pieces if not pa.types.is_null(piece.type)]
        if all(piece is not None for piece in as_numbers):
            values[name] = np.concatenate(as_numbers)
        else:
            values[name] = [value for piece in pieces for value in piece.to_pylist()]
        defaults[name] = all(is_default(piece.type) for piece in typed) and bool(typed)
    for key in keys:
        texts = [value for _, rows, of_path in parts for value in [of_path[key]] * rows]
        known = [of_path[key] for _, _, of_path in parts if of_path[key] is not None]
        if known and all(is_number(text) for text in known):
            values[key] = np.array([np.nan if text is None else float(text) for text in texts])
        else:
            values[key] = texts
        defaults[key] = True
    return values, defaults, index, files


# ---- the reference ----------------------------------------------------------------------------------------------------

class Unfit(Exception):
    """A table that asks nothing: without an estimate, or with columns that others explain."""


def newton(X, y, w):
    """Maximum likelihood, on columns that are centred and scaled; coefficients and standard errors, the intercept first."""
    W = w.sum()
    m = (w @ X) / W
    s = np.sqrt((w @ (X - m) ** 2) / W)
    if (s == 0).any():
        raise Unfit("a constant column")
    Z = np.column_stack([np.ones(len(y)), (X - m) / s])
    if np.linalg.svd(Z * np.sqrt(w / W)[:, None], compute_uv=False)[-1] < 1e-2:
        raise Unfit("columns that explain each other")
    b = np.zeros(Z.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-Z @ b))
        H = (Z * (w * p * (1 - p))[:, None]).T @ Z
        if np.linalg.cond(H) > 1e8:
            raise Unfit("separated")
        step = np.linalg.solve(H, Z.T @ (w * (p - y)))
        b = b - step
        if np.abs(step).max() < 1e-12:
            break
    else:
        raise Unfit("no estimate")
    if np.abs(Z @ b).max() > 12:
        raise Unfit("nearly separated")
    T = np.zeros((len(b), len(b)))
    T[0, 0], T[0, 1:], T[1:, 1:] = 1, -m / s, np.diag(1 / s)
    return T @ b, np.sqrt(np.diag(T @ np.linalg.inv(H) @ T.T))


def reference(values, label, features, weight, nulls):
    """Names of the features, coefficients and standard errors, the intercept first."""
    rows = len(values[label])
    w = values[weight] if weight else np.ones(rows)
    keep = w > 0
    missing = lambda column: np.isnan(column) if isinstance(column, np.ndarray) else np.array([v is None for v in column])
    if nulls == "drop-row":
        for name in features:
            keep = keep & ~missing(values[name])
    names, columns, levels = [], [], []
    for name in features:
        column = values[name]
        gone = missing(column)[keep]
        if isinstance(column, np.ndarray):
            live = column[keep].copy()
            if gone.any():
                if nulls not in ("mean", "indicator") or gone.all():
                    raise Unfit("missing values")
                live[gone] = np.average(live[~gone], weights=w[keep][~gone])
            names.append(name)
            columns.append(live)
            if gone.any() and nulls == "indicator":
                names.append(name + " is missing")
                columns.append(gone.astype(float))
        else:
            if gone.any() and nulls != "indicator":
                raise Unfit("a text with missing values")
            live = [value for value, kept in zip(column, keep) if kept]
            found = sorted({value for value in live if value is not None}, key=lambda text: text.encode())
            if len(found) < 2:
                raise Unfit("a text of one level")
            for level in found[1:] + ([None] if gone.any() else []):
                levels.append(("%s=%s" % (name, "(null)" if level is None else level), [float(v == level) for v in live]))
    names += [name for name, _ in levels]
    columns += [np.array(column) for _, column in levels]
    y = values[label][keep]
    return names, *newton(np.column_stack(columns), (y > min(y)).astype(float), w[keep])


# ---- making -----------------------------------------------------------------------------------------------------------

ODD_NAMES = ["a,b", " c", "d ", 'q"uote', "it's", "ünï", "Σ", "X", "a=b", "two words", "tab\tname", "*", "a*", "x?", "[1]", "`tick`",
             "--dash", "%41", "50%", "#", "a;b", "<b>", "Null", "true", "$HOME", "back\\slash", "数", "e\u0301"]

ODD_TEXTS = [["a", "b", "c"], ["a", "a ", " a"], ["1", "01", "1.0"], ["x=y", "x,y", "x"], ["ä", "a\u0308", "z"], ["", "b", "null"],
             ["true", "false", "TRUE"], ["(null)x", "b", "c"]]


def of_time(seconds, kind):
    """Whole seconds as times of a type."""
    bits = "int32" if pa.types.is_time32(kind) else "int64"
    return pa.array((seconds * UNITS[kind.unit]).astype(bits)).cast(kind)


def some_type(random, rows, z):
    """A column of some type that follows `z`, numbers of one size."""
    whole = np.round(40 * z).astype(int)
    low = whole - whole.min()
    kinds = [
        lambda: pa.array(np.clip(whole, -128, 127), pa.int8()), lambda: pa.array(whole, pa.int16()),
        lambda: pa.array(whole, pa.int32()), lambda: pa.array(whole * 10**10, pa.int64()),
        lambda: pa.array(np.clip(low, 0, 255), pa.uint8()), lambda: pa.array(low, pa.uint16()),
        lambda: pa.array(low * 10**7, pa.uint32()), lambda: pa.array(low * 2**52 // 100, pa.uint64()),
        lambda: pa.array(z.astype("float16"), pa.float16()), lambda: pa.array(z.astype("float32"), pa.float32()),
        lambda: pa.array(z * 1e-30, pa.float64()), lambda: pa.array(z * 1e200 if random.random() < 0.2 else z * 1e30, pa.float64()),
        lambda: pa.array([Decimal(int(v)).scaleb(-2) for v in whole], pa.decimal128(9, 2)),
        lambda: pa.array([Decimal(int(v)).scaleb(-5) for v in whole], pa.decimal128(18, 5)),
        lambda: pa.array([Decimal(int(v) * 10**20).scaleb(-3) for v in whole], pa.decimal128(38, 3)),
        lambda: pa.array([Decimal(int(v) * 10**30).scaleb(-30) for v in whole], pa.decimal256(60, 30)),
        lambda: pa.array(z > 0.2), lambda: pa.array(whole.astype("int32"), pa.date32()),
        lambda: pa.array(whole * 1000, pa.timestamp("s")), lambda: pa.array(whole * 1000, pa.timestamp("ms", "UTC")),
        lambda: pa.array(1_700_000_000_000_000 + whole * 10**9, pa.timestamp("us", "Europe/Berlin")),
        lambda: pa.array(whole * 10**9, pa.timestamp("ns")),
        lambda: pa.array(whole, pa.duration("s")), lambda: pa.array(whole * 1000, pa.duration("ms")),
        lambda: pa.array(whole * 10**6, pa.duration("us")), lambda: pa.array(whole * 10**9, pa.duration("ns")),
        lambda: of_time(low, pa.time32("s")), lambda: of_time(low, pa.time32("ms")),
        lambda: of_time(low, pa.time64("us")), lambda: of_time(low, pa.time64("ns")),
        lambda: pa.array(np.where(z > 0.3, "hi", np.where(z > -0.5, "mid", "lo"))).dictionary_encode(),
        lambda: pa.array(np.where(z > 0, "p", "q"), pa.large_string()),
        lambda: pa.array(["p" if v > 0 else "q" for v in z], pa.dictionary(pa.int8(), pa.string())),
        lambda: pa.array(np.column_stack([z, random.normal(size=rows)]).tolist(), pa.list_(pa.float32())),
        lambda: pa.array([{"a": float(v), "b": int(u)} for v, u in zip(z, whole)], pa.struct([("a", pa.float64()), ("b", pa.int32())])),
        lambda: pa.nulls(rows),
    ]
    return kinds[random.integers(len(kinds))]()


# One column in two widths: the type in the first files, and that in the others.
WIDTHS = [
    (pa.int32(), pa.int64()), (pa.int64(), pa.int32()), (pa.int64(), pa.float64()), (pa.float32(), pa.float64()),
    (pa.float64(), pa.float32()), (pa.int8(), pa.uint16()), (pa.uint32(), pa.int32()), (pa.int16(), pa.float32()),
    (pa.decimal128(7, 3), pa.decimal128(18, 3)), (pa.decimal128(9, 5), pa.decimal128(9, 3)), (pa.decimal128(9, 2), pa.float64()),
    (pa.int32(), pa.decimal128(12, 2)), (pa.bool_(), pa.int8()), (pa.int8(), pa.bool_()), (pa.null(), pa.int64()), (pa.float64(), pa.null()),
    (pa.timestamp("ms"), pa.timestamp("us")), (pa.timestamp("ns"), pa.timestamp("ms")), (pa.duration("ns"), pa.duration("us")),
    (pa.string(), pa.large_string()), (pa.string(), pa.dictionary(pa.int32(), pa.string())), (pa.float16(), pa.float64()),
    (pa.date32(), pa.date32()), (pa.time32("ms"), pa.time64("us")),
]


def of_width(kind, small):
    """Whole numbers from 0 to 60 in a type."""
    if pa.types.is_null(kind):
        return pa.nulls(len(small))
    if pa.types.is_boolean(kind):
        return pa.array(small > 30)
    if pa.types.is_decimal(kind):
        return pa.array([Decimal(int(v)).quantize(Decimal(1).scaleb(-kind.scale)) for v in small], kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return pa.array(["%d" % (v // 25) for v in small]).cast(kind) if not pa.types.is_dictionary(kind) else \
            pa.array(["%d" % (v // 25) for v in small]).dictionary_encode()
    if pa.types.is_date32(kind):
        return pa.array(small.astype("int32"), kind)
    if pa.types.is_time(kind):
        return of_time(small, kind)
    if pa.types.is_temporal(kind):
        return pa.array(small * UNITS[kind.unit], kind)
    return pa.array(small.astype("float16" if pa.types.is_float16(kind) else "float64" if pa.types.is_floating(kind) else "int64"), kind)


KEYS = [["007", "07", "7"], ["1", "2", "10"], ["2024-01-05", "2024-02-01", "2023-12-31"], ["a b", "a/b", "ü"], ["1", "2", None],
        ["9007199254740993", "9007199254740992", "9007199254740994"], ["1e5", "1e6", "2e5"], ["true", "false", "x"], ["-1", "0", "1"],
        ["1.5", "2", "3"], ["a", None, "b"], ["nan", "1", "2"], ["+1", "1", "2"]]


def quoted(name):
    """A name in a list of the command line, as in CSV."""
    return '"%s"' % name.replace('"', '""') if name != name.strip() or re.search('[,"]', name) else name


class Made:
    """A table as it was written, and what the program is asked."""

    def __init__(self, folder, seed, attempt):
        random = self.random = np.random.default_rng([seed, attempt])
        self.folder, self.arguments, self.things = folder, [], []
        self.things = things = list(random.choice(THINGS, 3, replace=False))
        rows = self.rows = int(random.integers(240, 600))
        x, z = random.normal(size=rows), random.normal(size=rows)
        k = random.integers(0, 61, rows)
        words = ODD_TEXTS[random.integers(len(ODD_TEXTS))] if "types" in things or "names" in things else ["u", "v", "w"]
        g = random.integers(0, 3, rows)
        odds = 0.7 * x - 0.5 * z + 0.02 * (k - 30) + 0.6 * (g == 1)
        y = random.random(rows) < 1 / (1 + np.exp(-odds))
        columns = {"y": pa.array(y), "x": pa.array(x), "k": pa.array(k), "g": pa.array([words[code] for code in g])}
        self.weight = None
        nulls = None
        parts = int(random.integers(2, 5))
        cuts = [0, *sorted(random.choice(np.arange(20, rows - 20), parts - 1, replace=False).tolist()), rows]
        spans = list(zip(cuts, cuts[1:]))
        self.explicit = random.random() < 0.6 or "unused" in things
        if "types" in things:
            for place in range(int(random.integers(1, 4))):
                columns["t%d" % place] = some_type(random, rows, random.normal(size=rows))
        if "nulls" in things:
            nulls = ["drop-row", "mean", "indicator"][random.integers(3)]
            gone = random.random(rows) < 0.1
            values = [None if gone[row] else float("nan") if row % 17 == 3 else v for row, v in enumerate(x)]
            columns["x"] = pa.array(values, pa.float64())
            if nulls != "mean" or random.random() < 0.2:
                columns["g"] = pa.array([None if random.random() < 0.08 else words[code] for code in g], pa.string())
        if "weights" in things:
            w = random.integers(0, 4, rows)
            self.weight = "w"
            columns["w"] = pa.array(w) if random.random() < 0.5 else pa.array(w.astype(float) / 2)
            columns["x"] = pa.array([(1e7 * v if v is not None else None) if w[row] == 0 else v
                                     for row, v in enumerate(columns["x"].to_pylist())], pa.float64())
            columns["g"] = pa.array(["0 never" if w[row] == 0 and row % 3 == 0 else v for row, v in enumerate(columns["g"].to_pylist())],
                                    pa.string())
        files = [{name: array.slice(first, last - first) for name, array in columns.items()} for first, last in spans]
        if "widths" in things:
            for place in range(int(random.integers(1, 3))):
                first, others = WIDTHS[random.integers(len(WIDTHS))]
                small = random.integers(0, 61, rows)
                if pa.types.is_null(first) or pa.types.is_null(others):
                    nulls = nulls or ["drop-row", "mean", "indicator"][random.integers(3)]
                for number, (start, end) in enumerate(spans):
                    files[number]["h%d" % place] = of_width(others if number else first, small[start:end])
            if random.random() < 0.3:
                files[-1]["y"] = files[-1]["y"].cast(pa.int8())
        features = [name for name in files[0] if name not in ("y", "w")]
        twins = []
        if "unused" in things:
            for number, file in enumerate(files):
                start, end = spans[number]
                if number or random.random() < 0.5:
                    file["extra"] = pa.array(random.integers(0, 9, end - start)) if number % 2 else pa.array(["t"] * (end - start))
        renamed = {}
        if "names" in things:
            # A name is a pattern too, where features are named.
            odd = [name for name in ODD_NAMES if not self.explicit or not re.search("[*?]", name)]
            chosen = random.choice(len(odd), len(features) + 1, replace=False)
            renamed = {name: odd[place] for name, place in zip([*features, "y"], chosen) if random.random() < 0.7}
        # Files, each with its folder.
        keys = [""] * parts
        if "partitions" in things:
            of_files = KEYS[random.integers(len(KEYS))]
            names = ["part", "ein ort", "k=1"][:2]
            key = names[random.integers(len(names))]
            for number in range(parts):
                value = of_files[number % len(of_files)]
                shown = "__HIVE_DEFAULT_PARTITION__" if value is None else quote(value, safe=" +")
                keys[number] = "%s=%s" % (key, shown)
            if None in of_files[:parts]:
                nulls = nulls or ["drop-row", "indicator"][random.integers(2)]
            features.append(key)
        for number in range(parts):
            where = keys[number]
            if "folders" in things:
                where = os.path.join(["deep er/2024", "a.parquet.d", "Ω"][random.integers(3)], where)
            os.makedirs(os.path.join(folder, where), exist_ok=True)
            self.write(os.path.join(folder, where, "%d part.parquet" % number), files[number], renamed, number)
        if "folders" in things:
            open(os.path.join(folder, "_SUCCESS"), "w").close()
            open(os.path.join(folder, "notes.txt"), "w").close()
        if "twins" in things:
            twins = ["twin"]
        self.twins, self.nulls = twins, nulls
        self.label = renamed.get("y", "y")
        self.features = [renamed.get(name, name) for name in features]

    def write(self, path, file, renamed, number):
        """One file, with what is odd about it."""
        random, things = self.random, self.things
        names, arrays = [renamed.get(name, name) for name in file], list(file.values())
        if "twins" in things:
            names += ["twin", "twin"]
            arrays += [pa.array(random.normal(size=len(arrays[0]))), pa.array(["z"] * len(arrays[0]))]
        metadata = None
        if "index" in things and number % 2 == 0:
            name = ["__index_level_0__", "when"][self.rows % 2]
            names.append(name)
            arrays.append(pa.array(np.argsort(np.array(arrays[0].to_pylist()), kind="stable")))
            metadata = {"pandas": json.dumps({"index_columns": [name], "column_indexes": [], "columns": [], "pandas_version": "2.2.3"})}
        order = random.permutation(len(names)) if random.random() < 0.3 and not number else range(len(names))
        table = pa.Table.from_arrays([arrays[place] for place in order], names=[names[place] for place in order])
        if metadata:
            table = table.replace_schema_metadata(metadata)
        how = {"compression": str(random.choice(["none", "snappy", "zstd"])), "use_dictionary": bool(random.random() < 0.5),
               "write_page_checksum": bool(random.random() < 0.5), "data_page_version": str(random.choice(["1.0", "2.0"]))}
        if "groups" not in things:
            pq.write_table(table, path, row_group_size=int(random.integers(30, 300)), **how)
            return
        with pq.ParquetWriter(path, table.schema, **how) as writer:
            middle = len(table) // 2
            for piece in [table.slice(0, 0), table.slice(0, middle), table.slice(0, 0), table.slice(middle), table.slice(0, 0)]:
                writer.write_table(piece)
        empty = os.path.join(os.path.dirname(path), "%d empty.parquet" % number)
        pq.write_table(table.slice(0, 0), empty)

    def one_file(self, path):
        """The rows of the folder in one file, each column in one type."""
        files = read(self.folder, self.twins)[3]
        parts = [(pq.ParquetFile(file).read(), partitions(file, self.folder)) for file in files]
        names, columns = [], []
        first = parts[0][0]
        for name in first.column_names:
            if name in self.twins or name in names or (self.explicit and name == "extra"):
                continue
            if name in ("__index_level_0__", "when"):
                continue
            pieces = [piece for table, _ in parts for piece in (table.column(name).chunks if name in table.column_names else [])]
            kinds = {piece.type for piece in pieces if not pa.types.is_null(piece.type)}
            kinds = {kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds}
            if not kinds:
                wide = pa.null()
            elif len(kinds) == 1:
                wide = kinds.pop()
            elif any(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in kinds):
                wide = pa.string()
            elif all(pa.types.is_temporal(kind) for kind in kinds):
                finest = max(kinds, key=lambda kind: UNITS[kind.unit])
                wide = finest
            else:
                wide = pa.float64()
            def widened(piece):
                if pa.types.is_dictionary(piece.type):
                    piece = piece.dictionary_decode()
                if piece.type == wide:
                    return piece
                if pa.types.is_null(piece.type):
                    return pa.nulls(len(piece), wide)
                if wide == pa.float64():
                    return pa.array(numbers(piece), pa.float64(), from_pandas=True)
                return piece.cast(wide)
            names.append(name)
            columns.append(pa.chunked_array([widened(piece) for piece in pieces], wide))
        for key in parts[0][1]:
            texts = [value for table, of_path in parts for value in [of_path[key]] * len(table)]
            known = {text for text in texts if text is not None}
            names.append(key)
            if known and all(is_number(text) for text in known):
                columns.append(pa.array([None if text is None else float(text) for text in texts], pa.float64()))
            else:
                columns.append(pa.array(texts, pa.string()))
        pq.write_table(pa.Table.from_arrays(columns, names=names), path, row_group_size=int(self.random.integers(50, 900)))

    def flags(self, features):
        """What the program is asked."""
        flags = ["--label=" + self.label]
        if self.explicit:
            flags.append("--features=" + ",".join(quoted(name) for name in features))
        if self.weight:
            flags += ["--weight", self.weight]
        if self.nulls:
            flags += ["--nulls", self.nulls]
        return flags


# ---- against the program ----------------------------------------------------------------------------------------------

def fault(names, coefficients, errors, model):
    """What is wrong with a model; None if nothing is."""
    status = model["training"]["status"]
    if status != "converged":
        return "the status is " + status
    found = {feature["name"]: feature["coefficient"] for feature in model["features"]}
    if sorted(found) != sorted(names) or len(model["features"]) != len(names):
        return "the features are %s, not %s" % (sorted(found), sorted(names))
    for name, expected, error in zip([None, *names], coefficients, errors):
        value = model["intercept"] if name is None else found[name]
        if value is None or not abs(value - expected) <= 1e-4 * error:
            return "%s is %s, expected %s, %.2g standard errors off" % (name or "the intercept", value, expected, abs(value - expected) / error)
    return None


def numbers_as_text(output):
    """The intercept and the coefficients, digit by digit."""
    return re.findall(r'"(?:intercept|coefficient)": ([^,\s]+)', output)


def ask(program, data, flags, device):
    run = subprocess.run([program, "train", data, *flags, "--device", device, "--json", "--quiet"], capture_output=True, text=True, timeout=120)
    return run.returncode, run.stdout, run.stderr


def allowed(message, things):
    for pattern, wanted, why in ALLOWED:
        if re.search(pattern, message) and wanted & set(things):
            return why
    return None


def check(program, seed, has_adapter, seen):
    """One table; what is wrong with the program's answer, or None."""
    folder = tempfile.mkdtemp(prefix="odd")
    try:
        return checked(program, seed, has_adapter, seen, folder, *drawn(folder, seed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def drawn(folder, seed):
    """A table that can be fitted, its features as the program names them, and its answer; no answer if it must be refused."""
    for attempt in range(200):
        shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
        made = Made(os.path.join(folder, "data"), seed, attempt)
        values, defaults, index, _ = read(made.folder, made.twins)
        beside = {made.label, made.weight, *index}
        if made.explicit:
            features = [leaf for name in made.features for leaf in values
                        if leaf == name or leaf.startswith((name + ".", name + "["))]
        else:
            features = [name for name in values if name not in beside and defaults[name]]
        if not made.explicit and {"twins", "unused"} & set(made.things):
            return made, features, None
        try:
            return made, features, reference(values, made.label, features, made.weight, made.nulls)
        except Unfit as reason:
            # Must be refused: a table now and then.
            if str(reason) == "a text with missing values" and made.random.random() < 0.1:
                return made, features, None
    raise SystemExit("%d: no table can be fitted" % seed)


def checked(program, seed, has_adapter, seen, folder, made, features, answer):
    what = "%d (%s%s)" % (seed, ", ".join(made.things), ", default" if not made.explicit else "")
    code, output, errors_printed = ask(program, made.folder, made.flags(features), "cpu")
    if code in (2, 3):
        message = json.loads(output)["error"]["message"]
        why = allowed(message, made.things)
        seen.setdefault("refused: " + (why or "not allowed"), []).append(seed)
        return None if why else "%s: refused: %s" % (what, message)
    if code != 0:
        return "%s: exit code %d: %s%s" % (what, code, output, errors_printed)
    if answer is None:
        return "%s: fitted, which cannot be right" % what
    names, coefficients, errors = answer
    wrong = fault(names, coefficients, errors, json.loads(output))
    if wrong:
        return "%s: %s" % (what, wrong)
    seen.setdefault("answers", []).append(seed)
    if not seen.get("controlled"):
        control(names, coefficients, errors, output)
        seen["controlled"] = [seed]
    one = os.path.join(folder, "one.parquet")
    made.one_file(one)
    code, other, errors_printed = ask(program, one, made.flags(features), "cpu")
    if code != 0:
        return "%s: as one file: %s%s" % (what, other, errors_printed)
    names_of = lambda output: [feature["name"] for feature in json.loads(output)["features"]]
    order = sorted(names_of(output)) == sorted(names_of(other))
    if not order or (names_of(output) == names_of(other) and numbers_as_text(output) != numbers_as_text(other)):
        return "%s: as one file %s instead of %s" % (what, numbers_as_text(other), numbers_as_text(output))
    if names_of(output) == names_of(other):
        seen.setdefault("the same bits as one file", []).append(seed)
    if has_adapter and seed % 5 == 0:
        code, output, errors_printed = ask(program, made.folder, made.flags(features), "gpu")
        wrong = fault(names, coefficients, errors, json.loads(output)) if code == 0 else output + errors_printed
        if wrong:
            return "%s: on an adapter: %s" % (what, wrong)
        seen.setdefault("answers on an adapter", []).append(seed)
    return None


def control(names, coefficients, errors, output):
    """The comparison sees an answer that is a thousandth of a standard error off, a name that is another, another digit."""
    model = json.loads(output)
    assert fault(names, coefficients, errors, model) is None
    for place in range(len(errors)):
        other = coefficients.copy()
        other[place] += 1e-3 * errors[place]
        assert fault(names, other, errors, model), "control: number %d may be another" % place
        other[place] = np.nan
        assert fault(names, other, errors, model), "control: number %d may be none" % place
    assert fault([name + "x" for name in names], coefficients, errors, model), "control: names may be others"
    assert len(numbers_as_text(output)) == len(errors), "control: %d numbers as text" % len(numbers_as_text(output))
    first = numbers_as_text(output)[0]
    assert numbers_as_text(output.replace(first, first[:-1] + ("1" if first[-1] != "1" else "2"), 1)) != numbers_as_text(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    given = parser.parse_args()
    devices = subprocess.run([given.program, "devices", "--json"], capture_output=True, text=True)
    has_adapter = any(device["usable"] for device in json.loads(devices.stdout)["devices"])
    if not has_adapter:
        print("SKIPPED: no adapter, so nothing was checked on a GPU")
    seeds = [given.only] if given.only is not None else range(given.seed, given.seed + given.count)
    seen, faults = {}, []
    for seed in seeds:
        wrong = check(os.path.abspath(given.program), seed, has_adapter, seen)
        if wrong:
            faults.append(wrong)
    for what, which in sorted(seen.items()):
        print("%4d %s" % (len(which), what))
    if faults:
        print("%d of %d tables are wrong:" % (len(faults), len(seeds)))
        print("\n".join("  " + wrong for wrong in faults))
        sys.exit(1)
    if given.only is None and len(seen.get("answers", [])) < len(seeds) // 2:
        sys.exit("only %d of %d tables were answered" % (len(seen.get("answers", [])), len(seeds)))


if __name__ == "__main__":
    main()
