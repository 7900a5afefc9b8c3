"""Writes classes.json beside itself: what scikit-learn and statsmodels make of labels with several classes.

    python tests/reference/classes.py

Needs numpy, pandas, scikit-learn and statsmodels (1.9.1 and 0.15.0 wrote it). The data are those of `examples/`.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from sklearn import metrics
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

here = Path(__file__).parent
examples = here.parent.parent / "examples"

iris = pd.read_parquet(examples / "iris.parquet")
features = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
X, species = iris[features].to_numpy(), iris["species"].astype(str).to_numpy()
classes, label = np.unique(species, return_inverse=True)
n = len(X)


def newton(X, y, k, l2, weights=None):
    """The minimum of the mean loss plus (l2 / 2) |w|^2 over all classes: of scikit-learn's objective, to the last digits."""
    n, d = X.shape
    w = np.ones(n) if weights is None else weights
    A = np.hstack([X, np.ones((n, 1))])
    Y = np.eye(k)[y]
    B = np.zeros((k, d + 1))
    ridge = np.tile(np.append(np.full(d, l2), 0.0), k)
    for _ in range(100):
        Z = A @ B.T
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        gradient = ((w[:, None] * (P - Y)).T @ A / w.sum()).ravel() + ridge * B.ravel()
        H = np.zeros((k * (d + 1), k * (d + 1)))
        for i in range(k):
            for j in range(k):
                s = w * P[:, i] * ((i == j) - P[:, j])
                H[i * (d + 1) : (i + 1) * (d + 1), j * (d + 1) : (j + 1) * (d + 1)] = (A * s[:, None]).T @ A / w.sum()
        # Along equal intercepts nothing changes: the pseudo-inverse leaves them.
        step = np.linalg.lstsq(H + np.diag(ridge), gradient, rcond=1e-12)[0]
        B -= step.reshape(k, d + 1)
        if np.abs(step).max() < 1e-13:
            break
    return B, P


def quality(p, y, weights=None):
    k = p.shape[1]
    kept = {"sample_weight": weights}
    each = [metrics.roc_auc_score(y == c, p[:, c], **kept) for c in range(k)]
    precision = [metrics.average_precision_score(y == c, p[:, c], **kept) for c in range(k)]
    return {
        "log_loss": metrics.log_loss(y, p, **kept),
        "brier": np.average(((p - np.eye(k)[y]) ** 2).sum(axis=1), weights=weights),
        "accuracy": metrics.accuracy_score(y, p.argmax(axis=1), **kept),
        "auc": each,
        "macro_auc": float(np.mean(each)),
        "macro_average_precision": float(np.mean(precision)),
        "prevalence": [np.average(y == c, weights=weights) for c in range(k)],
        "confusion": metrics.confusion_matrix(y, p.argmax(axis=1), **kept).tolist(),
    }


def softmax(l2):
    found = LogisticRegression(C=1 / (n * l2), tol=1e-12, max_iter=100_000).fit(X, species)
    p = found.predict_proba(X)
    _, exact = newton(X, label, len(classes), l2)
    assert np.abs(p - exact).max() < 1e-5, np.abs(p - exact).max()
    weights = (1 + np.arange(n) % 3).astype(float)
    return {
        "l2": l2,
        "probabilities": p.tolist(),
        "exact": exact.tolist(),
        "labels": found.predict(X).tolist(),
        "metrics": quality(exact, label),
        # By the row's number: 1, 2, 3, 1, 2, ...
        "weighted": quality(exact, label, weights),
    }


def generative():
    found = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(X, species)
    return {
        "priors": found.priors_.tolist(),
        "means": found.means_.tolist(),
        "covariance": found.covariance_.tolist(),
        "probabilities": found.predict_proba(X).tolist(),
    }


def multinomial_logit():
    """Maximum likelihood on the days of Seattle, without the rare kinds; against the first class."""
    weather = pd.read_parquet(examples / "weather.parquet")
    weather["kind"] = weather["kind"].astype(str)
    columns = ["temp_max", "temp_min", "wind"]
    kept = weather[weather["kind"].isin(["fog", "rain", "sun"])]
    names, y = np.unique(kept["kind"], return_inverse=True)
    found = sm.MNLogit(y, sm.add_constant(kept[columns].to_numpy())).fit(method="newton", tol=1e-12, disp=0)
    return {
        "features": columns,
        "classes": names.tolist(),
        "rows": len(kept),
        # The intercept first, `[classes but the first]`.
        "coefficients": np.asarray(found.params).T.tolist(),
        "standard_errors": np.asarray(found.bse).T.tolist(),
        "log_likelihood": found.llf,
        "null_log_likelihood": found.llnull,
    }


document = {"iris": softmax(0.01), "generative": generative(), "weather": multinomial_logit()}
(here / "classes.json").write_text(json.dumps(document, indent=1) + "\n")
