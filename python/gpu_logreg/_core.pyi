from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, final

__all__ = [
    "Columns",
    "Model",
    "Predictions",
    "Table",
    "__version__",
    "available_memory",
    "devices",
    "run_that_panics",
    "train",
]

__version__: str

@final
class Table:
    rows: int
    columns: list[tuple[str, str]]
    @staticmethod
    def open(paths: Sequence[str | PathLike[str]]) -> Table: ...
    def select(
        self, condition: str | None, sample: float | None, limit: int | None, seed: int
    ) -> Table: ...

@final
class Columns:
    def __init__(self) -> None: ...
    def add_stream(self, stream: object) -> list[str]: ...
    def has_numbers_alone(self) -> bool: ...
    def add_array(self, names: Sequence[str], array: object, threads: int | None) -> bool: ...
    def add_sparse(
        self, names: Sequence[str], rows: int, data: object, indices: object, indptr: object
    ) -> None: ...
    def add_label(
        self, name: str, codes: object, classes: Sequence[bool] | Sequence[float] | Sequence[str]
    ) -> None: ...
    def finish(self) -> Table: ...

@final
class Predictions:
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any: ...
    def __len__(self) -> int: ...

@final
class Model:
    plan: str | None
    @staticmethod
    def from_json(text: str) -> Model: ...
    def to_json(self) -> str: ...
    def write(self, path: str | PathLike[str]) -> None: ...
    def covariance(self) -> tuple[list[str], list[list[float]]] | None: ...
    def at_lambda(self, strength: float) -> Model: ...
    def text(self, all: bool) -> str: ...
    def predict_into(
        self, table: Table, output_name: str, array: object, threads: int | None
    ) -> list[str]: ...
    def predict_stream(
        self, table: Table, output_name: str, keep: Sequence[str], threads: int | None
    ) -> tuple[Predictions, list[str]]: ...
    def evaluate(
        self, table: Table, label: str, weight: str | None, threads: int | None
    ) -> tuple[str, str, list[str]]: ...
    def report(
        self,
        table: Table | None,
        label: str,
        weight: str | None,
        is_training: bool,
        threads: int | None,
    ) -> str: ...

def train(
    table: Table,
    settings: Mapping[str, object],
    words: Mapping[str, str],
    threads: int | None,
    listener: Callable[[str, int, int | None, str], object] | None,
) -> Model: ...
def devices() -> list[tuple[str, str]]: ...
def available_memory() -> int: ...
def run_that_panics(threads: int | None) -> None: ...
