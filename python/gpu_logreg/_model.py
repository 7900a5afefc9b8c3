"""A fitted model: what a statistician asks of it, and what it says of rows."""

from __future__ import annotations

import html
import json
import os
import warnings as python_warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from gpu_logreg import _core, _tables
from gpu_logreg._errors import DataError, FitWarning, UsageError
from gpu_logreg._progress import threads_of
from gpu_logreg._summary import Summary

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Floats = npt.NDArray[np.float64]

#: What the intercept is called among the estimates.
INTERCEPT = "(intercept)"


class Model:
    """A logistic regression as it was fitted or read, on the original scale of its columns.

    Two classes have one margin, the log odds of the positive class; more of them have one for each class.
    """

    def __init__(
        self,
        core: _core.Model,
        *,
        covariance: tuple[list[str], Floats] | None = None,
        rows: _core.Table | None = None,
    ) -> None:
        self._core = core
        self._covariance = covariance
        # The rows of the training, for pictures of them, as long as the model is in the process that made it, and unless they
        # are many in memory.
        self._rows = rows

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Model:
        """The model in a file of `save`, or of `gpu-logreg train -o`.

        Raises
        ------
        DataError
            If there is no model in it.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as cause:
            raise DataError(f"{path} is no model: {cause}") from cause
        return Model(_core.Model.from_json(text))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file that `load` and the program `gpu-logreg` read: the old one or the new one, never half of one. The
        covariance is no part of it."""
        self._core.write(Path(path))

    def to_json(self) -> str:
        """The text of that file."""
        return self._core.to_json()

    def __getstate__(self) -> dict[str, Any]:
        return {"json": self._core.to_json(), "covariance": self._covariance}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._core = _core.Model.from_json(state["json"])
        self._covariance = state["covariance"]
        self._rows = None

    # ---- what it is ----------------------------------------------------------------------------------------------

    @cached_property
    def info(self) -> dict[str, Any]:
        """Everything that the file says."""
        parsed: dict[str, Any] = json.loads(self._core.to_json())
        return parsed

    @property
    def training(self) -> dict[str, Any]:
        """How the model came about: rows, status, iterations, passes, times, notes, warnings."""
        of_training: dict[str, Any] = self.info["training"]
        return of_training

    @property
    def status(self) -> str:
        """How the solver ended: `converged`, or why it did not."""
        return str(self.training["status"])

    @property
    def converged(self) -> bool:
        """Whether it is within the tolerance of the optimum, or as near as the device's arithmetic comes."""
        return self.status in ("converged", "f32_limit")

    @property
    def notes(self) -> list[str]:
        """What there is to know."""
        return list(self.training["notes"])

    @property
    def warnings(self) -> list[str]:
        """What there is to worry about."""
        return list(self.training["warnings"])

    @property
    def label(self) -> str:
        """The name of the label's column."""
        return str(self.info["label"]["column"])

    @property
    def classes(self) -> list[bool | float | str]:
        """The classes in their order: the negative one and the positive one, or the reference first."""
        return list(self.info["label"]["classes"])

    @property
    def feature_names(self) -> list[str]:
        """The features: columns, then levels of categories as `city=Bonn`."""
        return [feature["name"] for feature in self.info["features"]]

    @property
    def _is_binary(self) -> bool:
        return "positive" in self.info["label"]

    @property
    def intercept(self) -> Floats:
        """The intercept of each margin, `[margins]`."""
        info = self.info
        return np.asarray(_floats([info["intercept"]] if self._is_binary else info["intercepts"]))

    @property
    def coef(self) -> Floats:
        """The coefficients of each margin, `[margins, features]`."""
        features = self.info["features"]
        of_each = [[f["coefficient"]] if self._is_binary else f["coefficients"] for f in features]
        margins = len(self.intercept)
        return np.asarray([_floats(values) for values in of_each], dtype=float).reshape(-1, margins).T

    # ---- inference -----------------------------------------------------------------------------------------------

    @cached_property
    def _estimates(self) -> list[tuple[int, str, dict[str, Any] | None, float]]:
        """Margin, name, what is inferred, and value of everything that was estimated."""
        info = self.info
        margins = range(len(self.intercept))
        # Nothing of the class that the others are told against was estimated.
        if not self._is_binary and self.training.get("identification") == "reference":
            margins = range(1, len(self.intercept))
        found: list[tuple[int, str, dict[str, Any] | None, float]] = []
        for margin in margins:
            if self.training["fit_intercept"]:
                if self._is_binary:
                    inferred = info.get("intercept_inference")
                else:
                    inferred = (info.get("intercepts_inference") or [None] * len(self.intercept))[margin]
                found.append((margin, INTERCEPT, inferred, float(self.intercept[margin])))
            for feature in info["features"]:
                if feature.get("aliased"):
                    continue
                if self._is_binary:
                    inferred, value = (feature if "standard_error" in feature else None), feature["coefficient"]
                else:
                    inferred = (feature.get("inference") or [None] * len(self.intercept))[margin]
                    value = feature["coefficients"][margin]
                found.append((margin, feature["name"], inferred, _float(value)))
        return found

    @property
    def param_names(self) -> list[str]:
        """Names of the estimates, margin by margin, the intercept first; of several classes `class: name`."""
        if self._is_binary:
            return [name for _, name, _, _ in self._estimates]
        classes = self.classes
        return [f"{classes[margin]}: {name}" for margin, name, _, _ in self._estimates]

    @property
    def params(self) -> Floats:
        """The estimates, in the order of `param_names`."""
        return np.asarray([value for *_, value in self._estimates])

    def _inferred(self, figure: str) -> Floats:
        if "inference" not in self.training:
            raise UsageError("the model has no standard errors\nSay `inference=True` when it is fitted.")
        return np.asarray([np.nan if of is None else _float(of[figure]) for _, _, of, _ in self._estimates])

    @property
    def bse(self) -> Floats:
        """Standard errors, in the order of `param_names`.

        Raises
        ------
        UsageError
            If the model was fitted without `inference`.
        """
        return self._inferred("standard_error")

    @property
    def zvalues(self) -> Floats:
        """Estimates over their standard errors."""
        return self._inferred("z")

    @property
    def pvalues(self) -> Floats:
        """Two-sided probabilities of such z if a coefficient were 0 (normal approximation)."""
        return self._inferred("p")

    def conf_int(self, alpha: float = 0.05) -> Floats:
        """Limits between which a coefficient lies with the probability `1 - alpha` (Wald), `[estimates, 2]`."""
        if not 0.0 < alpha < 1.0:
            raise UsageError(f"`alpha={alpha}` is no probability\nGive a number between 0 and 1, such as 0.05.")
        from statistics import NormalDist

        half = NormalDist().inv_cdf(1.0 - 0.5 * alpha) * self.bse
        return np.column_stack([self.params - half, self.params + half])

    def cov_params(self) -> Floats:
        """The covariance of the estimates, `[estimates, estimates]`, in the order of `param_names`.

        Raises
        ------
        UsageError
            If the model was fitted without `inference`, or read from a file, which does not have it.
        """
        if self._covariance is None:
            raise UsageError(
                "the model has no covariance\nSay `inference=True` when it is fitted; files of models do not have it."
            )
        return self._covariance[1].copy()

    def summary(self) -> Summary:
        """The model as a table, laid out as that of statsmodels."""
        return Summary(self)

    def to_frame(self) -> Any:
        """The estimates as a data frame of pandas: a row each, with what was inferred of it.

        Raises
        ------
        ImportError
            Without pandas.
        """
        import pandas

        columns: dict[str, Any] = {"coefficient": self.params}
        if "inference" in self.training:
            low, high = self.conf_int(1.0 - self.training["inference"]["confidence"]).T
            columns |= {"std_error": self.bse, "z": self.zvalues, "p": self.pvalues, "low": low, "high": high}
        return pandas.DataFrame(columns, index=self.param_names)

    # ---- rows ----------------------------------------------------------------------------------------------------

    def _predict(self, data: _tables.Data, output: str, threads: int | None) -> Floats:
        table = _tables.read(data)
        columns = 1 if self._is_binary else len(self.classes)
        predicted = np.empty((table.rows, columns))
        if table.rows > 0:
            _warn(self._core.predict_into(table, output, predicted, threads_of(threads)))
        return predicted

    def decision_function(self, data: _tables.Data, *, threads: int | None = None) -> Floats:
        """The log odds of the positive class, `[rows]`, or the margin of each class, `[rows, classes]`; NaN where a row has a
        missing value for which the model has no rule but to leave it out."""
        margins = self._predict(data, "margin", threads)
        return margins[:, 0] if self._is_binary else margins

    def predict_proba(self, data: _tables.Data, *, threads: int | None = None) -> Floats:
        """Probabilities of the classes, `[rows, classes]`; NaN as in `decision_function`."""
        if not self._is_binary:
            return self._predict(data, "probability", threads)
        margin = self._predict(data, "margin", threads)[:, 0]
        # Either to its own last digit: 1 - p of a p next to 1 has none.
        return np.column_stack([expit(-margin), expit(margin)])

    def predict(self, data: _tables.Data, *, threads: int | None = None) -> npt.NDArray[Any]:
        """The likeliest class of each row, `[rows]`.

        Raises
        ------
        DataError
            If a row has no prediction.
        """
        margins = self._predict(data, "margin", threads)
        if missing := int(np.isnan(margins).any(axis=1).sum()):
            raise DataError(
                f"{missing} of {len(margins)} rows have no prediction: a value is missing there\n"
                "`predict_proba` has NaN in their place."
            )
        best = (margins[:, 0] >= 0).astype(int) if self._is_binary else margins.argmax(axis=1)
        predicted: npt.NDArray[Any] = np.asarray(self.classes)[best]
        return predicted

    def predict_table(
        self,
        data: _tables.Data,
        *,
        keep: list[str] | None = None,
        output: str = "probability",
        threads: int | None = None,
    ) -> _core.Predictions:
        """Predictions beside columns of the table, as a stream of Arrow: `polars.DataFrame(...)`, `pyarrow.table(...)` and
        the like take it. `output` is `probability`, `margin` or `label`; a row without a prediction has null."""
        predicted, told = self._core.predict_stream(_tables.read(data), output, keep or [], threads_of(threads))
        _warn(told)
        return predicted

    def evaluate(
        self,
        data: _tables.Data,
        *,
        label: str | None = None,
        weight: str | None = None,
        threads: int | None = None,
    ) -> dict[str, Any]:
        """How good the probabilities are on a table that has the label: the figures of `gpu-logreg evaluate --json`."""
        table = _tables.read(data)
        figures, _, told = self._core.evaluate(table, label or self.label, weight, threads_of(threads))
        _warn(told)
        parsed: dict[str, Any] = json.loads(figures)
        return parsed

    def at_lambda(self, strength: float | str) -> Model:
        """The model at another strength of its path: a number, or `min` or `1se` of its cross-validation."""
        if isinstance(strength, str):
            chosen = (self.info.get("path") or {}).get("cv")
            if chosen is None or strength not in ("min", "1se"):
                raise UsageError(
                    f"`{strength}` is no strength of the model's path\nGive a number; or `min` or `1se`, if it was chosen by "
                    "cross-validation."
                )
            strength = float(chosen[f"lambda_{strength}"])
        return Model(self._core.at_lambda(strength), rows=self._rows)

    # ---- pictures ------------------------------------------------------------------------------------------------

    def report(
        self,
        path: str | os.PathLike[str] | None = None,
        data: _tables.Data | None = None,
        *,
        label: str | None = None,
        weight: str | None = None,
        threads: int | None = None,
    ) -> str:
        """The report: one page of HTML without scripts. Writes it to `path`, if one is given, and gives its text.

        With `data`, the pictures of probabilities are of those rows; without, of the rows of the training, as long as they are
        there: in the process that fitted the model, if they are in files or no more than four million cells."""
        table = self._rows if data is None else _tables.read(data)
        weight = weight if data is not None else self.training.get("weight")
        page = self._core.report(table, label or self.label, weight, data is None, threads_of(threads))
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page

    def _repr_html_(self) -> str:
        page = html.escape(self.report(), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:640px;border:1px solid #ccc"></iframe>'

    def __repr__(self) -> str:
        return f"<gpu_logreg.Model of {self.label}: {len(self.feature_names)} features, {self.status}>"

    def __str__(self) -> str:
        return self._core.text(False)

    def to_sklearn(self) -> Pipeline:
        """The same model of scikit-learn's own parts, for a data frame of pandas or polars: a pipeline of a `ColumnTransformer`
        and a `LogisticRegression` whose coefficients are set. It needs nothing of this package.

        Raises
        ------
        UsageError
            If the model has what they cannot do: offsets.
        """
        from gpu_logreg._sklearn import pipeline_of

        return pipeline_of(self)


def _float(number: float | None) -> float:
    """A number of a model; `null` stands for one that is not finite."""
    return np.nan if number is None else float(number)


def _floats(numbers: list[float | None]) -> list[float]:
    return [_float(number) for number in numbers]


def _warn(told: list[str]) -> None:
    for text in told:
        python_warnings.warn(text, FitWarning, stacklevel=4)
