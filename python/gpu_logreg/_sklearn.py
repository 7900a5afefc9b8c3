"""Estimators of scikit-learn, and models as scikit-learn's own parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, column_or_1d, compute_class_weight
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from gpu_logreg import _core, _tables
from gpu_logreg._errors import InternalError, UsageError
from gpu_logreg._fit import confidence_of, run, tell
from gpu_logreg._model import Floats, Model
from gpu_logreg._progress import threads_of
from gpu_logreg._summary import Summary

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: What scikit-learn calls the settings of the core.
WORDS = {
    "alpha": "l1_ratio",
    "l1": "C",
    "l2": "C",
    "label": "y",
    "lambda": "C",
    "max-iterations": "max_iter",
    "path": "Cs",
    "folds": "cv",
    "tolerance": "tol",
    "weight": "sample_weight",
}

#: Up to so many cells the answer is that of double precision unless somebody says otherwise: it costs a few passes more.
REFINED_CELLS = 4_000_000

#: Coefficients up to which that has a Hessian of all of them.
REFINED_PARAMETERS = 1_024


@dataclass
class _Rows:
    """What a fit is given: columns of the core, and what they are called there."""

    table: _core.Table
    names: list[str]
    label: str
    weight: str | None
    fold: str | None
    #: The classes in ascending order, and as the core has them.
    classes: npt.NDArray[Any]
    values: list[bool] | list[float] | list[str]
    #: The factor of each class, `[classes]`.
    factors: Floats
    #: The sum of the weights, those of the classes included.
    total: float


#: Whole numbers that lie so close are told apart by a table, and the others by sorting them.
CLOSE = 1 << 16


def _classes_of(y: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """The classes in ascending order, and the place of each row's among them."""
    if y.dtype.kind in "biu" and len(y) > 0:
        low, high = int(y.min()), int(y.max())
        if high - low < CLOSE:
            # Without a sign differences of numbers of any width are what they are.
            unsigned = np.dtype(f"u{y.dtype.itemsize}")
            lowest = np.asarray(low, dtype=y.dtype).view(unsigned)
            places = (y.view(unsigned) - lowest).astype(np.int64)
            present = np.bincount(places, minlength=high - low + 1) > 0
            codes = (np.cumsum(present, dtype=np.int32) - 1)[places]
            return (np.flatnonzero(present).astype(unsigned) + lowest).view(y.dtype), codes
    classes, inverse = np.unique(y, return_inverse=True)
    return classes, inverse.reshape(-1).astype(np.int32)


def _values_of(classes: npt.NDArray[Any]) -> list[bool] | list[float] | list[str]:
    """Classes as booleans, numbers or texts, so that a model says what they are; as their places if they are none of these."""
    listed: list[Any] = classes.tolist()
    if all(isinstance(value, bool) for value in listed):
        return listed
    if all(isinstance(value, Real) for value in listed):
        numbers = [float(value) for value in listed]
        if len(set(numbers)) == len(listed) and np.isfinite(numbers).all():
            return numbers
    if all(isinstance(value, str) for value in listed):
        return [str(value) for value in listed]
    return [float(place) for place in range(len(listed))]


def _add_frame(columns: _core.Columns, X: Any) -> list[str] | None:
    """Adds the columns of a data frame where they lie, if all of them are numbers or booleans and go by different names."""
    if not hasattr(X, "__arrow_c_stream__") or len(getattr(X, "shape", ())) != 2:
        return None
    try:
        names = _tables.add_frame(columns, X, by_columns=False)
    except (ImportError, TypeError, ValueError):
        # Without pyarrow pandas has no stream; and of anything else scikit-learn says what is wrong with it.
        return None
    return names if len(set(names)) == len(names) and columns.has_numbers_alone() else None


def _add_array(columns: _core.Columns, names: list[str], X: Any, threads: int | None) -> None:
    """Adds the columns of an array or of a sparse matrix."""
    if issparse(X):
        by_column = X.tocsc(copy=True)
        by_column.sum_duplicates()
        columns.add_sparse(names, X.shape[0], by_column.data.astype(float), by_column.indices, by_column.indptr)
    else:
        _tables.add_numbers(columns, names, X, threads)


class LogisticRegression(ClassifierMixin, BaseEstimator):
    """Logistic regression on a graphics card or the CPU, with scikit-learn's contract.

    It minimises scikit-learn's objective, `C * sum of losses + penalty`, to the distance to the optimum that double precision
    allows where the data are small, and to a ten-thousandth of a standard error where they are large.

    Parameters
    ----------
    C
        Inverse of the strength of the penalty; infinite for maximum likelihood.
    l1_ratio
        Share of L1 in the penalty, from 0 (ridge) to 1 (lasso).
    fit_intercept
        Whether to fit an intercept, which is not penalised.
    class_weight
        `balanced`, or factors by class.
    tol
        Distance to the optimum in standard errors that counts as converged; `None` for the default of the program.
    max_iter
        Iterations at most; `None` for the default of the program.
    device
        `auto`, `gpu`, `cpu`, or the number or a part of the name of one of `gpu_logreg.devices()`.
    refine
        The answer of double precision, by a few more passes: `auto` for up to four million numbers.
    inference
        Standard errors and limits: `True`, or the confidence of the limits.
    n_jobs
        Threads; `None` for as many as `OMP_NUM_THREADS` says, or all cores; -1 for all cores.
    verbose
        Bars of tqdm, if it is not 0.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
    n_iter_ : ndarray of shape (1,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,), where the columns have names
    model_ : Model
        The model itself, with what a statistician asks of it. Its classes are those of `classes_`, as booleans, numbers or
        texts; its coefficients without a penalty are told against the first of several classes, those of `coef_` add up to 0.
    status_ : str
        How the solver ended.
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        tol: float | None = None,
        max_iter: int | None = None,
        device: str = "auto",
        refine: bool | Literal["auto"] = "auto",
        inference: bool | float = False,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.refine = refine
        self.inference = inference
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ---- fitting -------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fits the model.

        Parameters
        ----------
        X : array, data frame or sparse matrix of shape (n_samples, n_features)
            Data frames of pandas and polars and tables of pyarrow are read where they lie, arrays of numpy too if their
            columns lie next to each other (`order="F"`). A sparse matrix is made dense as it is stored.
        y : array of shape (n_samples,)
        sample_weight : array of shape (n_samples,), optional
            A row of weight 2 counts as if it were there twice.
        """
        self._check_penalty(self.C, self.l1_ratio)
        rows = self._rows(X, y, sample_weight)
        self._fit_at(rows, self.C, self.l1_ratio)
        return self

    @staticmethod
    def _check_penalty(C: Any, l1_ratio: Any) -> None:
        if not isinstance(C, Real) or isinstance(C, bool) or not float(C) > 0:
            raise UsageError(f"`C={C!r}` is no inverse of a strength\nGive a positive number, or `numpy.inf` for none.")
        if not isinstance(l1_ratio, Real) or isinstance(l1_ratio, bool) or not 0 <= float(l1_ratio) <= 1:
            raise UsageError(f"`l1_ratio={l1_ratio!r}` is no share of L1\nGive a number from 0 (ridge) to 1 (lasso).")

    def _rows(self, X: Any, y: Any, sample_weight: Any, folds: npt.NDArray[Any] | None = None) -> _Rows:
        """What a fit is given, checked as scikit-learn checks it."""
        threads = threads_of(self.n_jobs)
        columns = _core.Columns()
        names = _add_frame(columns, X)
        label = getattr(y, "name", None)
        if names is None:
            columns = _core.Columns()
            X, y = validate_data(self, X, y, accept_sparse=True, dtype="numeric")
            names = [str(name) for name in getattr(self, "feature_names_in_", [])]
            if len(set(names)) != X.shape[1]:
                names = [f"x{place}" for place in range(X.shape[1])]
            _add_array(columns, names, X, threads)
        else:
            validate_data(self, X, skip_check_array=True)
            if y is None:
                raise ValueError("y should be a 1d array, got None instead.")
            y = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name="y"), warn=True)
            check_consistent_length(X, y)
        # Of whole numbers and booleans there is nothing to check, and a sort of all rows to save.
        if y.dtype.kind not in "biu":
            check_classification_targets(y)
        classes, codes = _classes_of(y)
        if len(classes) < 2:
            raise ValueError(
                "This solver needs samples of at least 2 classes in the data, but the data contains only one class: "
                f"{classes[0]!r}"
            )
        values = _values_of(classes)
        taken = list(names)
        label = _tables.unique_name(label if isinstance(label, str) and label else "y", taken)
        taken.append(label)
        columns.add_label(label, codes, values)
        weight, weights = None, None
        if sample_weight is not None:
            weights = _weights_of(sample_weight, X, len(codes))
            weight = _tables.unique_name("sample_weight", taken)
            taken.append(weight)
            columns.add_array([weight], weights, threads)
        fold = None
        if folds is not None:
            fold = _tables.unique_name("fold", taken)
            columns.add_array([fold], folds.astype(np.int64), threads)
        factors = _factors_of(self.class_weight, classes, y, weights)
        total = float((factors * np.bincount(codes, weights, minlength=len(classes))).sum())
        self.classes_ = classes
        return _Rows(columns.finish(), names, label, weight, fold, classes, values, factors, total)

    def _settings(self, rows: _Rows) -> dict[str, object]:
        """Settings of the core but for the penalty."""
        is_binary = len(rows.classes) == 2
        texts = [_text_of(value) for value in rows.values]
        has_factors = bool((rows.factors != 1.0).any())
        return {
            "label": rows.label,
            "positive": texts[1] if is_binary else None,
            "multinomial": not is_binary,
            "reference": {} if is_binary else {rows.label: texts[0]},
            "weight": rows.weight,
            "class_weight": dict(zip(texts, rows.factors.tolist(), strict=True)) if has_factors else None,
            "fit_intercept": bool(self.fit_intercept),
            "penalty_scale": "original",
            "max_levels": None,
            "tolerance": self.tol,
            "max_iterations": self.max_iter,
            "device": self.device,
        }

    def _is_refined(self, rows: _Rows) -> bool:
        if self.refine != "auto":
            return bool(self.refine)
        parameters = (len(rows.names) + 1) * (1 if len(rows.classes) == 2 else len(rows.classes))
        return rows.table.rows * len(rows.names) <= REFINED_CELLS and parameters <= REFINED_PARAMETERS

    def _fit_at(self, rows: _Rows, C: float, l1_ratio: float) -> None:
        """Fits the model with a penalty, and takes what it says."""
        strength = 1.0 / (float(C) * rows.total) if rows.total > 0 else 0.0
        l1 = float(l1_ratio) * strength
        settings = self._settings(rows) | {
            "l1": l1,
            "l2": strength - l1,
            "inference": confidence_of(self.inference),
            "refine": self._is_refined(rows),
        }
        if rows.fold is not None:
            settings["ignore"] = [rows.fold]
        if l1 > 0:
            # Such a run ends by what is left to gain.
            del settings["tolerance"]
            settings["gap_tolerance"] = self.tol
        model = run(rows.table, settings, words=WORDS, threads=threads_of(self.n_jobs), progress=bool(self.verbose))
        tell(model, stacklevel=4)
        self._take(model, rows)

    def _take(self, model: Model, rows: _Rows) -> None:
        """Takes the coefficients of a model in the order of the classes and columns."""
        if model.feature_names != rows.names:
            raise InternalError("the model has other features than the columns that it was fitted to")
        coef, intercept = model.coef, model.intercept
        if len(rows.classes) > 2:
            order = [model.classes.index(value) for value in rows.values]
            coef, intercept = coef[order], intercept[order]
            if model.training.get("identification") == "reference":
                coef, intercept = coef - coef.mean(axis=0), intercept - intercept.mean()
        self.model_ = model
        self.status_ = model.status
        self.coef_ = coef
        self.intercept_ = intercept
        self.n_iter_ = np.array([model.training["iterations"]], dtype=np.int32)

    # ---- predictions ---------------------------------------------------------------------------------------------

    def decision_function(self, X: Any) -> Floats:
        """Log odds of the second class, `[rows]`, or margins of the classes, `[rows, classes]`."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        margins = safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_
        margins = np.asarray(margins, dtype=float)
        return margins.ravel() if margins.shape[1] == 1 else margins

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likeliest class of each row."""
        margins = self.decision_function(X)
        best = (margins > 0).astype(int) if margins.ndim == 1 else margins.argmax(axis=1)
        predicted: npt.NDArray[Any] = self.classes_[best]
        return predicted

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities of the classes, `[rows, classes]`."""
        margins = self.decision_function(X)
        if margins.ndim == 1:
            return np.column_stack([expit(-margins), expit(margins)])
        of_classes: Floats = softmax(margins, axis=1)
        return of_classes

    def predict_log_proba(self, X: Any) -> Floats:
        """Their logarithms."""
        margins = self.decision_function(X)
        if margins.ndim == 1:
            return np.column_stack([log_expit(-margins), log_expit(margins)])
        of_classes: Floats = log_softmax(margins, axis=1)
        return of_classes

    # ---- what a statistician asks --------------------------------------------------------------------------------

    def summary(self) -> Summary:
        """The model as a table, laid out as that of statsmodels."""
        check_is_fitted(self)
        return self.model_.summary()

    def conf_int(self, alpha: float = 0.05) -> Floats:
        """Confidence limits of `model_.param_names`, `[estimates, 2]`; with `inference`."""
        check_is_fitted(self)
        return self.model_.conf_int(alpha)

    def report(self, path: Any = None) -> str:
        """The report as a page of HTML, written to `path` if one is given."""
        check_is_fitted(self)
        return self.model_.report(path)

    def _repr_html_inner(self) -> str:
        """The picture of the estimator, and behind it the report once it is fitted."""
        diagram: str = super()._repr_html_inner()
        return diagram + (self.model_._repr_html_() if hasattr(self, "model_") else "")


def _weights_of(sample_weight: Any, X: Any, rows: int) -> Floats:
    """Weights of rows, one for each."""
    if isinstance(sample_weight, Real):
        sample_weight = np.full(rows, float(sample_weight))
    weights = check_array(
        sample_weight, accept_sparse=False, ensure_2d=False, dtype=np.float64, order="C", input_name="sample_weight"
    )
    if weights.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weights.ndim}D array.")
    if len(weights) != rows:
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(rows,)}!")
    if rows > 0 and not weights.any():
        raise ValueError(
            "Sample weights must contain at least one non-zero number: a row of weight 0 is no row, and none is left."
        )
    checked: Floats = weights
    return checked


def _factors_of(class_weight: Any, classes: npt.NDArray[Any], y: npt.NDArray[Any], weights: Floats | None) -> Floats:
    """Factors of the classes, `[classes]`."""
    if class_weight is None:
        return np.ones(len(classes))
    factors: Floats = compute_class_weight(class_weight, classes=classes, y=y, sample_weight=weights)
    return np.asarray(factors, dtype=float)


def _text_of(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(float(value))


#: Scores of scikit-learn by which a strength can be chosen, the core's names, and how the core's figures become them.
SCORINGS: dict[str, tuple[str, Any]] = {
    "neg_log_loss": ("deviance", lambda mean: -0.5 * mean),
    "neg_brier_score": ("brier", lambda mean: -mean),
    "accuracy": ("error", lambda mean: 1.0 - mean),
    "roc_auc": ("auc", lambda mean: mean),
}


class LogisticRegressionCV(LogisticRegression):
    """Logistic regression whose penalty is chosen by cross-validation: all strengths of all folds in a few dozen passes.

    Parameters
    ----------
    Cs
        How many inverse strengths, on a logarithmic scale from 1e-4 to 1e4 as scikit-learn has them; or which.
    l1_ratios
        Shares of L1 that are tried.
    cv
        Folds: how many, a splitter, or splits. Each row is held back once.
    scoring
        `neg_log_loss`, `neg_brier_score`, `accuracy` or `roc_auc`.
    select
        `min` for the best mean, `1se` for the strongest penalty within a standard error of it.
    fit_intercept, class_weight, tol, max_iter, device, refine, n_jobs, verbose
        As those of `LogisticRegression`. `tol` is what may be left to gain, a share of the null deviance.

    Attributes
    ----------
    C_, l1_ratio_ : float
        The penalty that was chosen. A fold has the strength `1 / (C * weights of all rows)` on its mean loss, as glmnet has it:
        scikit-learn divides by the weights of its training rows.
    Cs_ : ndarray of shape (n_Cs,)
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
    mean_scores_, se_scores_ : ndarray of shape (n_l1_ratios, n_Cs)
        Means over the folds by the weights of their rows, and their standard errors.
    path_models_ : list of Model
        Of each share of L1 the model with all its strengths: `path_models_[0].report()` has the curve.

    The other attributes are those of `LogisticRegression`.
    """

    def __init__(
        self,
        Cs: int | Iterable[float] = 10,
        *,
        l1_ratios: Iterable[float] = (0.0,),
        cv: Any = None,
        scoring: str = "neg_log_loss",
        select: Literal["min", "1se"] = "min",
        fit_intercept: bool = True,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        tol: float | None = None,
        max_iter: int | None = None,
        device: str = "auto",
        refine: bool | Literal["auto"] = "auto",
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.cv = cv
        self.scoring = scoring
        self.select = select
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.refine = refine
        self.n_jobs = n_jobs
        self.verbose = verbose

    #: Standard errors of a model whose penalty was chosen by the same rows would say too little.
    inference = False

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Chooses a penalty, and fits the model with it; parameters as those of `LogisticRegression.fit`."""
        Cs, l1_ratios = self._grid()
        if self.scoring not in SCORINGS:
            raise UsageError(f"`scoring={self.scoring!r}` is none of {', '.join(map(repr, SCORINGS))}")
        if self.select not in ("min", "1se"):
            raise UsageError(f"`select={self.select!r}` is neither 'min' nor '1se'")
        rows = self._rows(X, y, sample_weight, self._folds(X, y))
        metric, score_of = SCORINGS[self.scoring]
        strengths = 1.0 / (Cs[::-1] * rows.total) if rows.total > 0 else np.ones(len(Cs))
        # Both ways of telling them ascend in C.
        descending = np.sort(strengths)[::-1]
        models, scores, means, errors, chosen = [], [], [], [], []
        for l1_ratio in l1_ratios:
            settings = self._settings(rows) | {
                "lambdas": descending.tolist(),
                "alpha": float(l1_ratio),
                "full_path": True,
                "fold_column": rows.fold,
                "cv_metric": metric,
                "select": self.select,
                "verify_folds": self._is_refined(rows),
            }
            settings["gap_tolerance"] = settings.pop("tolerance")
            model = run(rows.table, settings, words=WORDS, threads=threads_of(self.n_jobs), progress=bool(self.verbose))
            of_path = model.info["path"]
            curve = of_path["cv"]["curves"][0]
            models.append(model)
            scores.append(score_of(np.asarray(curve["by_fold"], dtype=float)))
            means.append(score_of(np.asarray(curve["mean"], dtype=float)))
            errors.append(np.abs(score_of(np.asarray(curve["se"], dtype=float)) - score_of(0.0)))
            chosen.append(int(np.argmin(np.abs(np.log(np.asarray(of_path["lambdas"]) / of_path["selected"])))))
        best = int(np.argmax([mean[place] for mean, place in zip(means, chosen, strict=True)]))
        self.Cs_, self.l1_ratios_ = Cs, l1_ratios
        self.scores_ = np.stack(scores, axis=1)
        self.mean_scores_, self.se_scores_ = np.stack(means), np.stack(errors)
        self.path_models_ = models
        self.C_, self.l1_ratio_ = float(Cs[chosen[best]]), float(l1_ratios[best])
        self._fit_at(rows, self.C_, self.l1_ratio_)
        return self

    def _grid(self) -> tuple[Floats, Floats]:
        """Inverse strengths, ascending, and shares of L1."""
        if isinstance(self.Cs, Integral):
            if int(self.Cs) < 1:
                raise UsageError(f"`Cs={self.Cs}` is no number of strengths\nGive one from 1 on, or the strengths.")
            Cs = np.logspace(-4, 4, int(self.Cs))
        else:
            Cs = np.unique(np.asarray(list(cast("Iterable[float]", self.Cs)), dtype=float))
        if len(Cs) == 0 or not (np.isfinite(Cs).all() and (Cs > 0).all()):
            raise UsageError("`Cs` are no inverses of strengths\nGive positive numbers; without a penalty there is no path.")
        l1_ratios = np.asarray(list(self.l1_ratios), dtype=float)
        if len(l1_ratios) == 0 or not ((l1_ratios >= 0) & (l1_ratios <= 1)).all():
            raise UsageError("`l1_ratios` are no shares of L1\nGive numbers from 0 (ridge) to 1 (lasso).")
        return Cs, l1_ratios

    def _folds(self, X: Any, y: Any) -> npt.NDArray[np.int64]:
        """The fold that each row is held back in."""
        labels = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name="y")) if y is not None else None
        if labels is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        check_consistent_length(X, labels)
        splits = list(check_cv(self.cv, labels, classifier=True).split(np.zeros((len(labels), 1)), labels))
        folds = np.full(len(labels), -1, dtype=np.int64)
        for place, (kept, held_back) in enumerate(splits):
            if len(kept) + len(held_back) != len(labels) or (folds[held_back] >= 0).any():
                folds[:] = -1
                break
            folds[held_back] = place
        if (folds < 0).any():
            raise UsageError(
                "`cv` does not hold each row back once\nGive a number of folds, or a splitter such as StratifiedKFold; what "
                "splits otherwise goes with GridSearchCV."
            )
        return folds


def pipeline_of(model: Model) -> Pipeline:
    """See `Model.to_sklearn`."""
    import pandas
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.linear_model import LogisticRegression as Linear
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    info = model.info
    if any(info.get(name) for name in ("offset", "offsets")):
        raise UsageError("scikit-learn's models have no offsets")
    parts: list[tuple[str, Any, list[str]]] = []
    row: dict[str, Any] = {}
    columns = [feature for feature in info["features"] if "category" not in feature]
    for place, feature in enumerate(columns):
        if feature["kind"] == "time":
            raise UsageError(f"`{feature['name']}` is a date or a time, which scikit-learn does not take for a number")
        name = feature.get("indicates") or feature["name"]
        row.setdefault(name, 0.0)
        if "indicates" in feature:
            part: Any = MissingIndicator(features="all")
        else:
            part = FunctionTransformer(np.asarray, kw_args={"dtype": float})
            if feature.get("fill") is not None:
                part = make_pipeline(part, SimpleImputer(strategy="constant", fill_value=float(feature["fill"])))
        parts.append((f"column {place}", part, [name]))
    for place, category in enumerate(info.get("categories", [])):
        levels = [np.nan if level is None and category["kind"] == "numeric" else level for level in category["levels"]]
        listed = np.asarray(levels, dtype=object if category["kind"] != "numeric" else float)
        # scikit-learn wants numbers sorted; their order here is that of the coefficients.
        row[category["column"]] = levels[0]
        encoder = OneHotEncoder(categories=[listed], drop=[levels[0]], sparse_output=False)
        parts.append((f"category {place}", encoder, [category["column"]]))
    transformer = ColumnTransformer(parts, sparse_threshold=0.0)
    transformer.fit(pandas.DataFrame([row]))
    linear = Linear()
    linear.classes_ = np.asarray(model.classes)
    linear.coef_, linear.intercept_ = model.coef, model.intercept
    linear.n_features_in_ = linear.coef_.shape[1]
    linear.n_iter_ = np.array([model.training["iterations"]], dtype=np.int32)
    return Pipeline([("columns", transformer), ("model", linear)])
