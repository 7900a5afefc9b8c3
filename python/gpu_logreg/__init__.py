"""Logistic regression on any GPU or the CPU, from data frames, arrays and Parquet files, with coefficients to trust.

`LogisticRegression` and `LogisticRegressionCV` are estimators of scikit-learn. `fit_table` and `fit_parquet` take tables with
missing values, categories and weights, and give a `Model` with standard errors, a summary and a report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpu_logreg._core import __version__, devices
from gpu_logreg._errors import (
    DataError,
    DeviceError,
    FitWarning,
    GpuLogregError,
    InternalError,
    OutputError,
    UsageError,
)
from gpu_logreg._fit import fit_parquet, fit_table
from gpu_logreg._model import Model

if TYPE_CHECKING:
    from gpu_logreg._sklearn import LogisticRegression, LogisticRegressionCV

__all__ = [
    "DataError",
    "DeviceError",
    "FitWarning",
    "GpuLogregError",
    "InternalError",
    "LogisticRegression",
    "LogisticRegressionCV",
    "Model",
    "OutputError",
    "UsageError",
    "__version__",
    "devices",
    "fit_parquet",
    "fit_table",
]


def __getattr__(name: str) -> Any:
    # scikit-learn takes a second to import: whoever fits files does not wait for it.
    if name in ("LogisticRegression", "LogisticRegressionCV"):
        from gpu_logreg import _sklearn

        return getattr(_sklearn, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
