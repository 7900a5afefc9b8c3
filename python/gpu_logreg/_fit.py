"""Fits of tables and of Parquet files, with all that the program `gpu-logreg train` can do."""

from __future__ import annotations

import os
import warnings as python_warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from gpu_logreg import _core, _tables
from gpu_logreg._errors import FitWarning
from gpu_logreg._model import Model
from gpu_logreg._progress import Progress, threads_of

#: Cells of a table in memory that a model keeps, for the pictures of its report: nobody expects a model to hold what is large.
KEPT_CELLS = 4_000_000


def run(
    table: _core.Table,
    settings: Mapping[str, object],
    *,
    is_file: bool = False,
    words: Mapping[str, str] | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Model:
    """Fits a model with settings of the core; those that are `None` have the default of the program."""
    given = {name: value for name, value in settings.items() if value is not None}
    with Progress(progress) as shown:
        core = _core.train(table, given, words or {}, threads, shown.listener)
    covariance = core.covariance()
    is_kept = is_file or table.rows * len(table.columns) <= KEPT_CELLS
    return Model(
        core,
        covariance=None if covariance is None else (covariance[0], np.asarray(covariance[1], dtype=float)),
        rows=table if is_kept else None,
    )


def tell(model: Model, stacklevel: int) -> None:
    """Warns of what there is to worry about."""
    if not model.converged:
        from sklearn.exceptions import ConvergenceWarning

        said = " ".join(model.warnings) or "the solver stopped before the tolerance was met"
        said = said if said.startswith(model.status) else f"{model.status}: {said}"
        python_warnings.warn(said, ConvergenceWarning, stacklevel=stacklevel)
        return
    for text in model.warnings:
        python_warnings.warn(text, FitWarning, stacklevel=stacklevel)


def fit_table(
    data: _tables.Data,
    *,
    label: str,
    positive: object = None,
    multinomial: bool = False,
    features: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    categorical: Sequence[str] = (),
    reference: Mapping[str, object] | None = None,
    max_levels: int | None = None,
    nulls: Literal["error", "drop-row", "mean", "indicator"] = "error",
    weight: str | None = None,
    weight_kind: Literal["count", "sampling"] | None = None,
    class_weight: Literal["balanced"] | Mapping[Any, float] | None = None,
    offset: str | Mapping[object, str] | None = None,
    fit_intercept: bool = True,
    where: str | None = None,
    sample: float | None = None,
    limit: int | None = None,
    seed: int = 0,
    l1: float = 0.0,
    l2: float = 0.0,
    penalty_scale: Literal["standardized", "original"] = "standardized",
    penalty_factor: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    nonnegative: bool = False,
    path: int | None = None,
    lambdas: Sequence[float] | None = None,
    lambda_min_ratio: float | None = None,
    alpha: float = 1.0,
    full_path: bool = False,
    folds: int | None = None,
    fold_column: str | None = None,
    fold_groups: str | None = None,
    fold_blocks: bool = False,
    verify_folds: bool = False,
    cv_metric: Literal["deviance", "auc", "error", "brier"] | None = None,
    select: float | Literal["min", "1se"] | None = None,
    inference: bool | float = False,
    robust: bool = False,
    verify: bool = False,
    refine: bool = False,
    solver: Literal["cg", "newton", "lbfgs", "gradient-descent", "generative"] | None = None,
    preconditioner: Literal["none", "diagonal", "hessian", "subsample", "bound"] | None = None,
    tolerance: float | None = None,
    gradient_tolerance: float | None = None,
    gap_tolerance: float | None = None,
    max_iterations: int | None = None,
    device: str = "auto",
    host_memory: int | None = None,
    device_memory: int | None = None,
    scratch: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Model:
    """Fits a logistic regression to a table: maximum likelihood unless a penalty is named.

    Parameters
    ----------
    data
        A data frame of pandas or polars, a table of pyarrow, a relation of duckdb, whatever else has `__arrow_c_stream__`, a
        dict of columns; or the path of a Parquet file, of a folder or pattern of them, or a list of paths. Columns of Arrow
        are read where they lie.
    label
        The column that says what happened. Two values make a logistic model, more of them a softmax.
    positive
        The value that counts as positive, of two.
    multinomial
        A softmax over the values of the label, however many there are.
    features, ignore, categorical
        Names or patterns (`*`, `?`): the features in place of all other columns, columns to leave out, and numbers that are
        categories. Columns of text are categories anyway.
    reference
        Levels that the others of a category are told against, by the name of the column; and the class, by that of the label.
    nulls
        What is done about missing values: they are an error, their rows are dropped, the mean of the column stands in, or the
        mean and a feature that says where.
    weight, weight_kind
        The column of row weights. A `count` of 2 is the row twice; a `sampling` weight says for how many of a population a row
        stands, and standard errors are those of the sandwich.
    class_weight
        `balanced`, or factors by class.
    offset
        The column that adds to the log odds with a coefficient of 1; of several classes one by class.
    where, sample, limit, seed
        Rows: those that meet a condition such as `"age >= 18 and city in ('Bonn', 'Köln')"`, then about this part of them by
        chance, then so many at most.
    l1, l2
        Penalties on the mean loss. scikit-learn's C is `1 / (l2 * sum of weights)` with `penalty_scale="original"`.
    penalty_scale
        The scale of the weights that is penalised: of standardised columns, or of the columns as they are.
    penalty_factor, bounds, nonnegative
        Factors of the penalty (0: not penalised, infinite: left out) and limits of coefficients, by feature, category or pattern.
    path, lambdas, lambda_min_ratio, alpha, full_path
        Elastic nets of many strengths: how many, or which; `alpha` is the share of L1.
    folds, fold_column, fold_groups, fold_blocks, verify_folds, cv_metric, select
        Cross-validation of the path, and the strength that the model has: `min`, `1se` or a number.
    inference, robust
        Standard errors, with limits of 95 % or of the confidence that is given; those of the sandwich.
    verify, refine
        A pass, or a few, in double precision over the rows as they are: to see the distance to the optimum, or to close it.
    tolerance, gradient_tolerance, gap_tolerance, max_iterations
        When the solver ends: the distance to the optimum in standard errors; the largest component of the gradient; with an
        L1 penalty what is left to gain, a share of the null deviance.
    device
        `auto` (a graphics card if there is one, else the CPU), `gpu`, `cpu`, or the number or a part of the name of one of
        `gpu_logreg.devices()`.
    host_memory, device_memory, scratch
        Bytes that the table may take in memory and on the device, and the folder of the file that holds the rest.
    threads
        As joblib's `n_jobs`: `None` for as many as `OMP_NUM_THREADS` says, or all cores.
    progress
        Bars of tqdm.

    Raises
    ------
    UsageError, DataError
        Both a `ValueError`: settings that make no sense, data that cannot be used.
    DeviceError
        A device that is missing or has failed.
    KeyboardInterrupt
        Ctrl-C: the run has ended then.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If the solver did not get where it should, or the classes are separated: `status` of the model says it.
    """
    settings = {
        "label": label,
        "positive": None if positive is None else text_of(positive),
        "multinomial": multinomial,
        "features": None if features is None else list(features),
        "ignore": list(ignore),
        "categorical": list(categorical),
        "reference": {column: text_of(level) for column, level in (reference or {}).items()},
        "max_levels": max_levels,
        "nulls": nulls,
        "weight": weight,
        "weight_kind": weight_kind,
        "class_weight": factors_of(class_weight),
        "offset": offsets_of(offset),
        "fit_intercept": fit_intercept,
        "l1": l1,
        "l2": l2,
        "penalty_scale": penalty_scale,
        "penalty_factor": list((penalty_factor or {}).items()),
        "bounds": [(name, list(limits)) for name, limits in (bounds or {}).items()],
        "nonnegative": nonnegative,
        "path": path,
        "lambdas": None if lambdas is None else [float(strength) for strength in lambdas],
        "lambda_min_ratio": lambda_min_ratio,
        "alpha": alpha,
        "full_path": full_path,
        "folds": folds,
        "fold_column": fold_column,
        "fold_groups": fold_groups,
        "fold_blocks": fold_blocks,
        "verify_folds": verify_folds,
        "cv_metric": cv_metric,
        "select": select,
        "seed": seed,
        "inference": confidence_of(inference),
        "robust": robust,
        "verify": verify,
        "refine": refine,
        "solver": solver,
        "preconditioner": preconditioner,
        "tolerance": tolerance,
        "gradient_tolerance": gradient_tolerance,
        "gap_tolerance": gap_tolerance,
        "max_iterations": max_iterations,
        "device": device,
        "host_memory": host_memory,
        "device_memory": device_memory,
        "scratch": scratch,
    }
    table = _tables.read(data)
    if where is not None or sample is not None or limit is not None:
        table = table.select(where, sample, limit, seed)
    is_file = _tables.is_path(data) or isinstance(data, (list, tuple))
    model = run(table, settings, is_file=is_file, threads=threads_of(threads), progress=progress)
    tell(model, stacklevel=3)
    return model


def fit_parquet(path: _tables.PathLike | Sequence[_tables.PathLike], *, label: str, **settings: Any) -> Model:
    """Fits a logistic regression to a Parquet file, a folder or pattern of them, or several: `fit_table` of a path.

    The file may be larger than memory. All settings are those of `fit_table`.

    Raises
    ------
    TypeError
        If `path` is no path.
    """
    paths = path if isinstance(path, (list, tuple)) else [path]
    if not paths or not all(_tables.is_path(one) for one in paths):
        raise TypeError(f"{type(path).__name__} is no path of a Parquet file: `fit_table` takes tables")
    model = fit_table(path, label=label, **settings)
    return model


def text_of(value: object) -> str:
    """A class or level as the core takes it: numbers with all their digits."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, float, np.integer, np.floating)):
        return repr(float(value))
    return str(value)


def factors_of(class_weight: str | Mapping[Any, float] | None) -> str | dict[str, float] | None:
    """Weights of classes as the core takes them."""
    if class_weight is None or isinstance(class_weight, str):
        return class_weight
    return {text_of(value): float(factor) for value, factor in class_weight.items()}


def offsets_of(offset: str | Mapping[object, str] | None) -> list[str]:
    """Columns of offsets as the core takes them."""
    if offset is None:
        return []
    if isinstance(offset, str):
        return [offset]
    return [f"{value}={column}" for value, column in offset.items()]


def confidence_of(inference: bool | float) -> float | None:
    """The confidence of limits, if some are wanted."""
    if inference is False:
        return None
    return 0.95 if inference is True else float(inference)
