"""Writes what statsmodels, and for several classes the formulas, make of sampling weights and of weights of classes on the
table weights.parquet, weight_kinds.json, beside itself.

    python tests/reference/weight_kinds.py

Sampling weights and factors of classes are factors of a row's gradient: statsmodels' `var_weights`, whose HC0 has their
squares. Counts are rows that are there so many times, so the table is repeated. Needs numpy, pandas, pyarrow, scipy and
statsmodels.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import log_softmax

FOLDER = Path(__file__).parent
known = pd.read_parquet(FOLDER / "weights.parquet").astype("float64")


def glm(rows, factors=None, cov_type="HC0"):
    """A fit whose rows have these factors, with White's sandwich."""
    x = sm.add_constant(rows[["x", "k", "f"]])
    model = sm.GLM(rows["y"], x, family=sm.families.Binomial(), var_weights=factors)
    fit = model.fit(tol=1e-14, maxiter=100, cov_type=cov_type)
    assert fit.converged
    return fit


def log_likelihood(y, p, weights):
    return float(np.sum(weights * np.where(y == 1, np.log(p), np.log1p(-p))))


def deviances(y, p, weights):
    """Of the fit, and of the mean of the label alone."""
    mean = np.sum(weights * y) / np.sum(weights)
    return [-2 * log_likelihood(y, q, weights) for q in (p, np.full(len(y), mean))]


def described(rows, factors, weights, times=1.0):
    """A fit with `factors`, and the deviances of the sample with `weights`."""
    fit = glm(rows, factors)
    residual, null = deviances(rows["y"].to_numpy(), fit.fittedvalues.to_numpy(), weights)
    return {
        "coefficients": fit.params.tolist(),
        "standard_errors": (np.sqrt(times) * fit.bse).tolist(),
        "residual_deviance": residual,
        "null_deviance": null,
    }


def factor_of_class(rows, of_true, of_false):
    return np.where(rows["y"] == 1, of_true, of_false)


def balanced(rows, weights):
    share = weights.sum() / 2
    return factor_of_class(rows, *(share / weights[rows["y"] == label].sum() for label in (1, 0)))


def softmax(weights, factors, times, scale):
    """The 12 classes of k by x and f: Newton's method, and the sandwich row by row."""
    y = known["k"].to_numpy().astype(int)
    x = sm.add_constant(known[["x", "f"]]).to_numpy()
    classes, size = y.max() + 1, x.shape[1]
    w = weights * factors
    hot = np.eye(classes)[y]
    b = np.zeros((classes - 1, size))
    for _ in range(50):
        logs = log_softmax(np.column_stack([np.zeros(len(y)), x @ b.T]), axis=1)
        p = np.exp(logs)
        scores = np.einsum("nm,nj->nmj", (p - hot)[:, 1:], x).reshape(len(y), -1)
        blocks = np.einsum("nm,mk->nmk", p[:, 1:], np.eye(classes - 1)) - np.einsum("nm,nk->nmk", p[:, 1:], p[:, 1:])
        hessian = np.einsum("n,nmk,ni,nj->mikj", w, blocks, x, x, optimize=True).reshape(2 * [b.size])
        step = np.linalg.solve(hessian, w @ scores)
        b -= step.reshape(b.shape)
    assert np.abs(step).max() < 1e-12
    # Counts are observed so many times, whatever is a factor of the gradient once.
    squares = (weights if scale is None else weights**2) * factors**2
    inverse = np.linalg.inv(hessian)
    meat = np.einsum("n,na,nb->ab", squares, scores, scores)
    errors = np.sqrt(times * np.diag(inverse @ meat @ inverse)).reshape(b.shape)
    of_sample = weights * (1.0 if scale is None else scale)
    shares = np.array([of_sample[y == label].sum() for label in range(classes)]) / of_sample.sum()
    return {
        "coefficients": b.tolist(),
        "standard_errors": errors.tolist(),
        "residual_deviance": float(-2 * of_sample @ logs[np.arange(len(y)), y]),
        "null_deviance": float(-2 * of_sample @ np.log(shares)[y]),
    }


# Rows of weight 0 are no rows.
known = known[(known["w"] > 0) & (known["v"] > 0)].reset_index(drop=True)
v, w, n = known["v"].to_numpy(), known["w"].to_numpy(), len(known)
ones = np.ones(n)
repeated = known.loc[np.repeat(known.index, w.astype(int))].reset_index(drop=True)
of_repeated = np.ones(len(repeated))
result = {
    "fits": {
        "--weight v --weight-kind sampling": described(known, v, v / v.mean(), n / (n - 1)),
        "--weight v --weight-kind sampling --class-weight true=4.5": described(
            known, v * factor_of_class(known, 4.5, 1.0), v / v.mean(), n / (n - 1)
        ),
        "--class-weight true=4.5": described(known, factor_of_class(known, 4.5, 1.0), ones),
        "--class-weight balanced": described(known, balanced(known, ones), ones),
        "--weight w --class-weight balanced": described(repeated, balanced(repeated, of_repeated), of_repeated),
        "--weight w --robust": described(repeated, None, of_repeated),
    },
    "classes": {
        "--weight v --weight-kind sampling": softmax(v, ones, n / (n - 1), 1 / v.mean()),
        "--class-weight 3=4.5": softmax(ones, np.where(known["k"] == 3, 4.5, 1.0), 1.0, None),
        "--weight w --class-weight 3=4.5": softmax(w, np.where(known["k"] == 3, 4.5, 1.0), 1.0, None),
    },
}
(FOLDER / "weight_kinds.json").write_text(json.dumps(result, indent=1) + "\n")
