"""Bad input: the exceptions of scikit-learn, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_logreg import DataError, LogisticRegression, LogisticRegressionCV, UsageError, fit_parquet, fit_table
from sklearn.linear_model import LogisticRegression as Theirs

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.arange(40) % 2


def with_value(value: float) -> np.ndarray:
    changed = X.copy()
    changed[3, 1] = value
    return changed


BAD = {
    "no rows": (X[:0], Y[:0], {}),
    "no columns": (X[:, :0], Y, {}),
    "one class": (X, np.zeros(40, dtype=int), {}),
    "NaN": (with_value(np.nan), Y, {}),
    "infinite": (with_value(np.inf), Y, {}),
    "NaN in y": (X, np.where(Y == 0, np.nan, 1.0), {}),
    "continuous y": (X, np.linspace(0, 1, 40), {}),
    "y of two columns": (X, np.column_stack([Y, Y]), {}),
    "fewer labels": (X, Y[:30], {}),
    "no labels": (X, None, {}),
    "one dimension": (X[:, 0], Y, {}),
    "three dimensions": (X[None], Y, {}),
    "objects": (np.array([["a", "b"]] * 40, dtype=object), Y, {}),
    "texts": (np.array([["a", "b"]] * 40), Y, {}),
    "complex": (X + 1j, Y, {}),
    "ragged": ([[1.0, 2.0], [1.0]] * 20, Y, {}),
    "fewer weights": (X, Y, {"sample_weight": np.ones(30)}),
    "weights of two dimensions": (X, Y, {"sample_weight": np.ones((40, 2))}),
    "NaN among weights": (X, Y, {"sample_weight": np.where(Y == 0, np.nan, 1.0)}),
    "negative C": (X, Y, {"C": -1.0}),
    "C of 0": (X, Y, {"C": 0.0}),
    "C as a text": (X, Y, {"C": "1"}),
    "l1_ratio of 2": (X, Y, {"l1_ratio": 2.0}),
    "weights of an unknown kind": (X, Y, {"class_weight": "heavy"}),
}


@pytest.mark.parametrize("case", BAD)
def test_exceptions_are_of_the_type_of_scikit_learn(case):
    features, labels, settings = BAD[case]
    weight = {"sample_weight": settings["sample_weight"]} if "sample_weight" in settings else {}
    of_estimator = {name: value for name, value in settings.items() if name != "sample_weight"}
    with pytest.raises(Exception) as theirs:
        Theirs(solver="saga", **of_estimator).fit(features, labels, **weight)
    made_of_both = [LogisticRegression(device="cpu", **of_estimator)]
    if not of_estimator:
        made_of_both.append(LogisticRegressionCV(device="cpu", cv=3))
    for made in made_of_both:
        with pytest.raises(Exception) as ours:
            made.fit(features, labels, **weight)
        expected = next(kind for kind in (ValueError, TypeError) if isinstance(theirs.value, kind))
        assert isinstance(ours.value, expected), f"{ours.value!r} in place of {theirs.value!r}"
        assert str(ours.value), "it says why"


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="-1"):
        LogisticRegression(device="cpu").fit(X, Y, sample_weight=np.where(Y == 0, -1.0, 1.0))


@pytest.mark.parametrize(
    "settings",
    [{"Cs": 0}, {"Cs": [-1.0, 1.0]}, {"Cs": []}, {"l1_ratios": [2.0]}, {"scoring": "r2"}, {"select": "max"}, {"cv": 100}],
)
def test_settings_of_the_cross_validation_are_checked(settings):
    with pytest.raises(ValueError):
        LogisticRegressionCV(device="cpu", **settings).fit(X, Y)


def test_splits_that_are_no_partition_are_refused():
    from sklearn.model_selection import ShuffleSplit

    with pytest.raises(UsageError, match="hold each row back once"):
        LogisticRegressionCV(device="cpu", cv=ShuffleSplit(3, random_state=0)).fit(X, Y)


def test_frames_are_checked_like_arrays():
    import pandas
    import polars

    for kind in (pandas, polars):
        holes = kind.DataFrame({"a": [1.0, None, 3.0, 4.0] * 10, "b": X[:, 0]})
        with pytest.raises(ValueError, match="a"):
            LogisticRegression(device="cpu").fit(holes, Y)
        texts = kind.DataFrame({"a": ["x", "y"] * 20, "b": X[:, 0]})
        with pytest.raises(ValueError):
            LogisticRegression(device="cpu").fit(texts, Y)
        frame = kind.DataFrame({"a": X[:, 0], "b": X[:, 1]})
        with pytest.raises(ValueError, match="[Ff]ound input variables with inconsistent numbers of samples"):
            LogisticRegression(device="cpu").fit(frame, Y[:30])
        fitted = LogisticRegression(device="cpu").fit(frame, Y)
        with pytest.raises(ValueError, match="feature names"):
            fitted.predict(frame[["b", "a"]])


def test_tables_are_refused_with_a_way_out(tmp_path):
    table = {"y": Y, "a": X[:, 0]}
    with pytest.raises(DataError, match="z"):
        fit_table(table, label="z")
    with pytest.raises(UsageError, match="l2"):
        fit_table(table, label="y", l2=-1.0)
    with pytest.raises(UsageError, match="folds"):
        fit_table(table, label="y", path=10, select="min")
    with pytest.raises(UsageError, match='"drop-row"'):
        fit_table(table, label="y", nulls="drop")
    with pytest.raises(TypeError):
        fit_table(table, label="y", lambdaa=3)
    with pytest.raises(TypeError, match="no table"):
        fit_table(3, label="y")
    with pytest.raises(TypeError, match="2 dimensions"):
        fit_table({"y": Y, "a": X}, label="y")
    with pytest.raises(ValueError, match="40 rows, and 30 values of `a`"):
        fit_table({"y": Y, "a": X[:30, 0]}, label="y")
    with pytest.raises(DataError, match="nowhere.parquet"):
        fit_parquet(tmp_path / "nowhere.parquet", label="y")
    with pytest.raises(TypeError, match="fit_table"):
        fit_parquet(table, label="y")
    # Settings are called what Python calls them.
    with pytest.raises(DataError) as told:
        fit_table({"y": Y, "a": np.where(Y == 0, np.nan, 1.0)}, label="y")
    assert "--" not in str(told.value) and "⟦" not in str(told.value) and "nulls" in str(told.value)
