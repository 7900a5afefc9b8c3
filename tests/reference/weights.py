"""Writes a table with row weights and offsets, weights.parquet, another one to predict, weights_new.parquet, and what
statsmodels and scikit-learn make of them, weights.json, beside itself.

    python tests/reference/weights.py

Weights are frequencies: the fit with whole ones is checked here against one on rows that are repeated. Needs numpy,
pandas, pyarrow, scikit-learn and statsmodels.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import statsmodels.api as sm
from metrics import binary
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(20240617)
FOLDER = Path(__file__).parent
FEATURES = ["x", "k", "f"]
NOT_GIVEN = object()


def table(rows):
    """A float, an integer and a boolean; whole weights, some of them 0, and fractional ones; offsets; a rare label."""
    x = np.round(rng.normal(1.0, 2.0, rows), 3)
    k = rng.integers(0, 12, rows)
    f = rng.random(rows) < 0.3
    o = np.round(rng.normal(0.0, 0.8, rows), 3)
    z = 0.4 * x - 0.15 * k + 0.9 * f + o - 1.0
    return pa.table(
        {
            "x": x,
            "k": pa.array(k, pa.int16()),
            "f": f,
            "w": pa.array(rng.integers(0, 4, rows), pa.int32()),
            "v": np.round(rng.exponential(1.5, rows), 3),
            "o": o,
            "y": rng.random(rows) < 1 / (1 + np.exp(-z)),
        }
    )


for name, rows in [("weights", 900), ("weights_new", 400)]:
    pq.write_table(table(rows), FOLDER / f"{name}.parquet", row_group_size=rows // 3)
known, new = (pd.read_parquet(FOLDER / f"{name}.parquet").astype("float64") for name in ["weights", "weights_new"])
design = sm.add_constant(known[FEATURES])


def of_glm(weights=None, offset=None, fit=NOT_GIVEN):
    """Coefficients, the intercept first, and what is inferred of them."""
    if fit is NOT_GIVEN:
        fit = glm(design, known["y"], weights, offset).fit(tol=1e-14, maxiter=100)
    assert fit.converged
    return {
        "coefficients": fit.params.tolist(),
        "standard_errors": fit.bse.tolist(),
        "log_likelihood": fit.llf,
        "deviance": fit.deviance,
    }


def glm(x, y, weights=None, offset=None):
    return sm.GLM(y, x, family=sm.families.Binomial(), freq_weights=weights, offset=offset)


def classes(class_weight, weights=None, c=np.inf):
    """As scikit-learn has it. Its penalty is on the sum of the losses, the program's on their mean."""
    model = LogisticRegression(C=c, class_weight=class_weight, solver="newton-cholesky", tol=1e-13, max_iter=200)
    model.fit(known[FEATURES], known["y"], sample_weight=weights)
    ones = np.ones(len(known)) if weights is None else weights
    if class_weight == "balanced":
        factors = [ones.sum() / (2 * ones[known["y"] == label].sum()) for label in [0, 1]]
    else:
        factors = [class_weight[label] for label in [0, 1]]
    total = (ones * np.where(known["y"] == 1, factors[1], factors[0])).sum()
    return {
        "coefficients": [*model.intercept_.tolist(), *model.coef_[0].tolist()],
        "factors": factors,
        "l2": 0.0 if np.isinf(c) else 1 / (c * total),
    }


w, v, o = known["w"], known["v"], known["o"]
repeated = known.loc[np.repeat(known.index, w.astype(int))]
on_repeated = glm(sm.add_constant(repeated[FEATURES]), repeated["y"])
robust = of_glm(fit=on_repeated.fit(tol=1e-14, maxiter=100, cov_type="HC0"))
weighted = of_glm(w)
assert np.allclose(weighted["coefficients"], robust["coefficients"], rtol=0, atol=1e-11)
both = glm(design, known["y"], v, o).fit(tol=1e-14, maxiter=100)
margins = both.predict(sm.add_constant(new[FEATURES]), offset=new["o"], which="linear").to_numpy()


def measured(weights):
    """How good the model of both is on the new rows."""
    case = binary("", "margin", new["y"].astype(int).to_numpy(), margins, weights, threshold=0.3)
    return case["expected"]


result = {
    "features": FEATURES,
    "fits": {
        "weight w": weighted,
        "weight v": of_glm(v),
        "offset o": of_glm(None, o),
        "weight v, offset o": of_glm(fit=both),
        "weight w, robust": robust,
    },
    "classes": {
        "false=1,true=4.5": classes({0: 1.0, 1: 4.5}),
        "balanced": classes("balanced"),
        "balanced, weight v": classes("balanced", v.to_numpy()),
        "false=0.25,true=2, weight v, penalty": classes({0: 0.25, 1: 2.0}, v.to_numpy(), c=0.02),
    },
    "margins": margins.tolist(),
    "metrics": {"w": measured(new["w"].to_numpy()), "v": measured(new["v"].to_numpy()), "none": measured(None)},
}
text = json.dumps(result, indent=1, default=lambda number: number.item())
(FOLDER / "weights.json").write_text(text + "\n")
