"""What a statistician asks of a model, beside statsmodels and the program itself."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest
import statsmodels.api as sm
from gpu_logreg import DataError, LogisticRegression, Model, UsageError, fit_parquet, fit_table
from sklearn.datasets import load_iris
from statsmodels.datasets import spector

SPECTOR = spector.load_pandas().data
FEATURES = ["GPA", "TUCE", "PSI"]


@pytest.fixture(scope="module")
def logit():
    return sm.Logit(SPECTOR["GRADE"], sm.add_constant(SPECTOR[FEATURES])).fit(disp=0, tol=1e-12, method="newton")


@pytest.fixture(scope="module")
def ours() -> Model:
    return fit_table(SPECTOR, label="GRADE", inference=True, refine=True, device="cpu")


def test_figures_are_those_of_statsmodels(ours, logit):
    assert ours.param_names == ["(intercept)", *FEATURES]
    for mine, theirs in [
        (ours.params, logit.params),
        (ours.bse, logit.bse),
        (ours.zvalues, logit.tvalues),
        (ours.pvalues, logit.pvalues),
        (ours.conf_int(), logit.conf_int()),
        (ours.conf_int(0.2), logit.conf_int(0.2)),
        (ours.cov_params(), logit.cov_params()),
    ]:
        assert np.allclose(mine, theirs, rtol=1e-6, atol=1e-12)
    assert np.isclose(ours.training["log_likelihood"], logit.llf, rtol=1e-12)


def test_the_summary_has_the_figures_of_statsmodels(ours, logit):
    text = str(ours.summary())
    for row in logit.summary().tables[1].data[1:]:
        name = "(intercept)" if row[0] == "const" else row[0]
        line = next(line for line in text.splitlines() if line.startswith(name))
        assert line[len(name) :].split() == [cell.strip() for cell in row[1:]]
    assert f"{logit.llr_pvalue:.4g}" in text and f"{logit.prsquared:.4g}" in text and f"{logit.llf:.5g}" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "<table>" in ours.summary()._repr_html_()


def test_several_classes_are_those_of_statsmodels():
    X, y = load_iris(return_X_y=True, as_frame=True)
    y = np.where(np.random.default_rng(4).random(150) < 0.3, np.random.default_rng(5).integers(0, 3, 150), y)
    logit = sm.MNLogit(y, sm.add_constant(X)).fit(disp=0, method="newton", tol=1e-12)
    ours = fit_table(X.assign(y=y), label="y", multinomial=True, inference=True, refine=True, device="cpu")
    assert ours.param_names[0] == "1: (intercept)" and len(ours.param_names) == 10
    assert np.allclose(ours.params, logit.params.to_numpy().T.ravel(), rtol=1e-6)
    assert np.allclose(ours.bse, logit.bse.to_numpy().T.ravel(), rtol=1e-6)
    assert np.allclose(ours.cov_params(), logit.cov_params(), rtol=1e-5, atol=1e-9)
    assert np.allclose(ours.conf_int(), logit.conf_int().to_numpy(), rtol=1e-5, atol=1e-6)


def test_without_inference_there_are_no_standard_errors():
    model = fit_table(SPECTOR, label="GRADE", device="cpu")
    for asked in (lambda: model.bse, lambda: model.conf_int(), lambda: model.cov_params()):
        with pytest.raises(UsageError, match="inference"):
            asked()
    assert "GPA" in str(model.summary()) and list(model.to_frame().columns) == ["coefficient"]


def test_a_model_is_saved_loaded_and_pickled(ours, tmp_path):
    ours.save(tmp_path / "model.json")
    loaded = Model.load(tmp_path / "model.json")
    assert loaded.to_json() == ours.to_json() == (tmp_path / "model.json").read_text()
    with pytest.raises(UsageError, match="covariance"):
        loaded.cov_params()
    pickled = pickle.loads(pickle.dumps(ours))
    assert pickled.to_json() == ours.to_json() and np.array_equal(pickled.cov_params(), ours.cov_params())
    estimator = pickle.loads(pickle.dumps(LogisticRegression(device="cpu").fit(SPECTOR[FEATURES], SPECTOR["GRADE"])))
    assert estimator.predict(SPECTOR[FEATURES]).shape == (32,)
    for content in ("", "{}", "no model", '{"format": "gpu-logreg/model"}'):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(DataError):
            Model.load(tmp_path / "other.json")


def test_a_model_goes_between_processes(ours):
    script = "import pickle, sys; m = pickle.load(sys.stdin.buffer); print(m.predict_proba({'GPA': [3.0], 'TUCE': [20.0], 'PSI': [1.0]})[0, 1])"
    printed = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(ours), capture_output=True, check=True).stdout
    assert float(printed) == ours.predict_proba({"GPA": [3.0], "TUCE": [20.0], "PSI": [1.0]})[0, 1]


#: A table with all that a model can hold: numbers of odd scales, missing values, texts, a numeric category.
def odd_table(rows: int = 3_000) -> pyarrow.Table:
    chance = np.random.default_rng(21)
    big, small = chance.normal(1e9, 3e8, rows), chance.normal(0, 1e-6, rows)
    city = chance.choice(["Köln", "O'Hara", "", 'a"b'], rows)
    code = chance.choice([10, 20, 30], rows)
    margin = (big - 1e9) / 3e8 + small * 1e6 + (city == "Köln") - 0.5 * (code == 20)
    y = np.where(margin + chance.logistic(size=rows) > 0, "yes", "no")
    holes = chance.random(rows) < 0.1
    return pyarrow.table(
        {
            "y": y.tolist(),
            "big": pyarrow.array(big, mask=holes),
            "small": small,
            "city": city.tolist(),
            "code": code,
            "flag": chance.random(rows) < 0.4,
        }
    )


@pytest.fixture(scope="module")
def odd():
    table = odd_table()
    return table, fit_table(table, label="y", nulls="indicator", categorical=["code"], device="cpu")


def program() -> str:
    return str(Path(sysconfig.get_path("scripts")) / "gpu-logreg")


def test_predictions_are_those_of_the_program(odd, tmp_path):
    table, model = odd
    pyarrow.parquet.write_table(table, tmp_path / "table.parquet")
    model.save(tmp_path / "model.json")
    subprocess.run(
        [program(), "predict", "-m", tmp_path / "model.json", tmp_path / "table.parquet", "-o", tmp_path / "out.parquet"],
        check=True,
        capture_output=True,
    )
    theirs = pyarrow.parquet.read_table(tmp_path / "out.parquet")["probability"].to_numpy()
    assert np.abs(model.predict_proba(table)[:, 1] - theirs).max() <= 1e-15
    stream = polars.DataFrame(model.predict_table(table, keep=["code", "city"]))
    assert stream.columns == ["code", "city", "probability"] and np.array_equal(stream["probability"].to_numpy(), theirs)
    labels = pyarrow.table(model.predict_table(table, output="label"))["label"].to_pylist()
    assert labels == model.predict(table).tolist() and set(labels) == {"no", "yes"}
    figures = model.evaluate(table)
    said = subprocess.run(
        [program(), "evaluate", "-m", tmp_path / "model.json", tmp_path / "table.parquet", "--json"],
        check=True,
        capture_output=True,
    )
    assert figures == json.loads(said.stdout)["metrics"]


def test_the_same_model_of_scikit_learn(odd):
    table, model = odd
    frame = table.to_pandas()
    pipeline = model.to_sklearn()
    assert np.abs(pipeline.predict_proba(frame) - model.predict_proba(table)).max() <= 1e-13
    assert pipeline.predict(frame).tolist() == model.predict(table).tolist()
    assert b"gpu_logreg" not in pickle.dumps(pipeline)
    # What it cannot tell it does not guess.
    with pytest.raises(ValueError, match="unknown categories"):
        pipeline.predict(frame.assign(city="Ulm"))
    several = fit_table(frame, label="city", features=["big", "small", "flag"], nulls="mean", device="cpu")
    assert np.abs(several.to_sklearn().predict_proba(frame) - several.predict_proba(table)).max() <= 1e-13


def test_the_same_model_of_scikit_learn_has_no_offsets():
    with pytest.raises(UsageError, match="offset"):
        fit_table(SPECTOR.assign(TUCE=SPECTOR["TUCE"] / 100), label="GRADE", offset="TUCE", device="cpu").to_sklearn()


def test_rows_without_a_prediction_are_told():
    table = {"y": [0, 1, 0, 1, 0, 1, 1, 0], "a": [1.0, 2.0, 3.0, 4.0, 5.0, 2.5, np.nan, 3.5]}
    model = fit_table(table, label="y", nulls="drop-row", device="cpu")
    assert np.isnan(model.predict_proba(table)).any(axis=1).tolist() == [False] * 6 + [True, False]
    with pytest.raises(DataError, match="1 of 8 rows"):
        model.predict(table)
    with pytest.raises(DataError, match="row 6"):
        fit_table({"y": table["y"][:6], "a": table["a"][:6]}, label="y", device="cpu").predict(table)


def test_reports_are_pages(ours, odd, tmp_path):
    page = ours.report(tmp_path / "report.html")
    assert page == (tmp_path / "report.html").read_text() and page.startswith("<!DOCTYPE html>") and "<svg" in page
    assert "in-sample" in page and "The cost and the way down" in page
    assert ours._repr_html_().startswith("<iframe srcdoc=")
    # A model that was read has no rows, unless some are given.
    ours.save(tmp_path / "model.json")
    read = Model.load(tmp_path / "model.json")
    assert "in-sample" not in read.report() and "on these rows" in read.report(data=SPECTOR)
    estimator = LogisticRegression(device="cpu").fit(SPECTOR[FEATURES], SPECTOR["GRADE"])
    assert "<iframe" in estimator._repr_html_() and "<iframe" not in LogisticRegression()._repr_html_()


def test_large_tables_are_not_held(tmp_path):
    chance = np.random.default_rng(0)
    table = {"y": chance.integers(0, 2, 600_000), **{f"x{k}": chance.normal(size=600_000) for k in range(7)}}
    held = sys.getrefcount(table["x0"])
    model = fit_table(table, label="y", device="cpu")
    holders = sys.getrefcount(table["x0"])
    assert holders == held and "in-sample" not in model.report()
    small = fit_table({name: values[:1000] for name, values in table.items()}, label="y", device="cpu")
    assert "in-sample" in small.report()
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "table.parquet")
    assert "in-sample" in fit_parquet(tmp_path / "table.parquet", label="y", device="cpu").report()


def test_paths_and_their_cross_validation(tmp_path):
    table = odd_table(2_000)
    model = fit_table(table, label="y", nulls="mean", folds=5, alpha=0.9, seed=3, device="cpu")
    assert len(model.info["path"]["lambdas"]) > 10
    weaker, stronger = model.at_lambda("min"), model.at_lambda("1se")
    assert np.count_nonzero(stronger.coef) <= np.count_nonzero(weaker.coef)
    assert np.array_equal(weaker.coef, model.coef)
    with pytest.raises(UsageError, match="strength"):
        model.at_lambda("best")
    with pytest.raises(UsageError, match="path"):
        fit_table(table, label="y", nulls="mean", device="cpu").at_lambda(0.1)


def test_files_are_as_large_as_they_are(tmp_path):
    """A file that does not fit what the table may take has the same bits."""
    pyarrow.parquet.write_table(odd_table(60_000), tmp_path / "table.parquet", row_group_size=10_000)
    settings = {"label": "y", "nulls": "indicator", "device": "cpu"}
    whole, streamed = fit_parquet(tmp_path / "table.parquet", **settings), fit_parquet(tmp_path, host_memory=1 << 20, **settings)
    assert np.array_equal(whole.params, streamed.params)


def test_settings_reach_the_core():
    table = odd_table(2_000)
    given = {"label": "y", "nulls": "mean", "device": "cpu"}
    base = fit_table(table, **given)
    for settings, changed in [
        ({"positive": "no"}, lambda m: m.classes == ["yes", "no"]),
        ({"features": ["small"]}, lambda m: m.feature_names == ["small"]),
        ({"ignore": ["c*"]}, lambda m: m.feature_names == ["big", "small", "flag"]),
        ({"categorical": ["code"]}, lambda m: "code=20" in m.feature_names),
        ({"reference": {"city": "Köln"}}, lambda m: "city=" in m.feature_names),
        (
            {"categorical": ["code"], "reference": {"code": 20}},
            lambda m: "code=10" in m.feature_names and "code=20" not in m.feature_names,
        ),
        ({"weight": "code"}, lambda m: m.training["weight"] == "code"),
        ({"weight": "code", "weight_kind": "sampling"}, lambda m: m.training["weight_kind"] == "sampling"),
        ({"class_weight": {"yes": 3.0}}, lambda m: m.training["class_weight"] == [1.0, 3.0]),
        ({"class_weight": "balanced"}, lambda m: len(m.training["class_weight"]) == 2),
        ({"offset": "small"}, lambda m: "small" not in m.feature_names),
        ({"fit_intercept": False}, lambda m: m.intercept[0] == 0),
        ({"l2": 0.5}, lambda m: np.abs(m.coef[0, -1]) < np.abs(base.coef[0, -1])),
        ({"l1": 0.1}, lambda m: (m.coef == 0).any()),
        ({"l1": 0.01, "penalty_factor": {"flag": np.inf}}, lambda m: m.coef[0, m.feature_names.index("flag")] == 0),
        ({"l2": 1e-6, "bounds": {"big": (-1.0, 0.0)}}, lambda m: m.coef[0, 0] == 0),
        ({"l2": 1e-6, "nonnegative": True}, lambda m: (m.coef >= 0).all()),
        ({"lambdas": [0.1, 0.01]}, lambda m: m.info["path"]["lambdas"] == [0.1, 0.01]),
        ({"path": 5, "full_path": True}, lambda m: len(m.info["path"]["lambdas"]) == 5),
        ({"solver": "newton"}, lambda m: m.training["solver"] == "newton"),
        ({"max_iterations": 1}, lambda m: m.status == "max_iterations"),
        ({"inference": 0.8}, lambda m: m.training["inference"]["confidence"] == 0.8),
        ({"robust": True}, lambda m: "robust" in m.training["inference"]["kind"]),
        ({"verify": True}, lambda m: "verified" in m.training),
        ({"refine": True}, lambda m: "verified" in m.training),
    ]:
        if settings == {"max_iterations": 1}:
            with pytest.warns(UserWarning, match="max_iterations"):
                model = fit_table(table, **given, **settings)
        else:
            model = fit_table(table, **given, **settings)
        assert changed(model), settings
    assert str(base).startswith("model") and repr(base).startswith("<gpu_logreg.Model of y")


def test_frames_of_figures(ours):
    frame = ours.to_frame()
    assert isinstance(frame, pandas.DataFrame) and frame.loc["GPA", "std_error"] == ours.bse[1]
