"""Writes metrics.json beside itself: scores, labels and weights, and what scikit-learn makes of them.

    python tests/reference/metrics.py

The inputs are in the file, so that no random number generator is shared. Needs numpy and scikit-learn (1.9.1 wrote it).
What scikit-learn has no function for (weighted calibration, lift, losses beyond its clipping) is written out here.
"""

import json
from pathlib import Path

import numpy as np
from sklearn import metrics
from sklearn.calibration import calibration_curve

rng = np.random.default_rng(20240607)


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def calibration(labels, p, weights, bins=10):
    """Rows in low < p <= high, as calibration_curve has them; the expected error with weights."""
    index = np.searchsorted([i / bins for i in range(1, bins)], p)
    rows = []
    for i in range(bins):
        inside = index == i
        w = weights[inside]
        filled = w.sum() > 0
        rows.append(
            [w.sum(), np.average(p[inside], weights=w), np.average(labels[inside], weights=w)] if filled else None
        )
    error = sum(row[0] * abs(row[1] - row[2]) for row in rows if row) / weights.sum()
    if (weights == 1).all():
        observed, predicted = calibration_curve(labels, p, n_bins=bins)
        filled = [row for row in rows if row]
        assert np.allclose([row[1] for row in filled], predicted, rtol=1e-12)
        assert np.allclose([row[2] for row in filled], observed, rtol=1e-12)
    return {"bins": rows, "expected_error": error}


def gains(labels, scores, weights, deciles=10):
    """Share of the positives in the first d tenths of the weight; those of a tie are spread evenly."""
    found = []
    for d in range(1, deciles):
        cut, before, positives = weights.sum() * d / deciles, 0.0, 0.0
        for score in np.unique(scores)[::-1]:
            tie = scores == score
            part = min(1.0, max(0.0, (cut - before) / weights[tie].sum()))
            positives += part * (weights * labels)[tie].sum()
            before += weights[tie].sum()
        found.append(positives / (weights * labels).sum())
    return found + [1.0]


def binary(name, kind, labels, scores, weights=None, threshold=0.5):
    w = np.ones(len(labels)) if weights is None else weights
    p = sigmoid(scores) if kind == "margin" else scores
    kept = {"sample_weight": w}
    if kind == "margin":
        loss = np.average(np.logaddexp(0, np.where(labels == 1, -scores, scores)), weights=w)
        if np.abs(scores).max() < 30:
            assert np.isclose(loss, metrics.log_loss(labels, p, **kept), rtol=1e-12)
    else:
        loss = metrics.log_loss(labels, p, **kept)
    predicted = (p >= threshold).astype(int)
    tn, fp, fn, tp = metrics.confusion_matrix(labels, predicted, **kept).ravel()
    prevalence = np.average(labels, weights=w)
    # The order is that of the scores: probabilities of extreme margins are equal.
    seen = w > 0
    return {
        "name": name,
        "kind": kind,
        "threshold": threshold,
        "labels": labels.tolist(),
        "scores": scores.tolist(),
        "weights": None if weights is None else weights.tolist(),
        "expected": {
            "weights": w.sum(),
            "prevalence": prevalence,
            "log_loss": loss,
            "base_log_loss": metrics.log_loss(labels, np.full(len(labels), prevalence), **kept),
            "brier": metrics.brier_score_loss(labels, p, **kept),
            "accuracy": metrics.accuracy_score(labels, predicted, **kept),
            "auc": metrics.roc_auc_score(labels, scores, **kept),
            "average_precision": metrics.average_precision_score(labels, scores, **kept),
            "true_positives": tp,
            "false_positives": fp,
            "true_negatives": tn,
            "false_negatives": fn,
            "precision": metrics.precision_score(labels, predicted, **kept),
            "recall": metrics.recall_score(labels, predicted, **kept),
            "specificity": metrics.recall_score(labels, predicted, pos_label=0, **kept),
            "f1": metrics.f1_score(labels, predicted, **kept),
            "calibration": calibration(labels[seen], p[seen], w[seen]),
            "gains": gains(labels[seen], scores[seen], w[seen]),
        },
    }


def classes(name, kind, labels, scores, weights=None):
    k = scores.shape[1]
    w = np.ones(len(labels)) if weights is None else weights
    kept = {"sample_weight": w}
    if kind == "margin":
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
    else:
        p = scores
    predicted = p.argmax(axis=1)
    one_hot = np.eye(k)[labels]
    shares = np.average(one_hot, axis=0, weights=w)
    brier = np.average(((p - one_hot) ** 2).sum(axis=1), weights=w)
    assert np.isclose(brier, metrics.brier_score_loss(labels, p, labels=range(k), **kept), rtol=1e-12)
    return {
        "name": name,
        "kind": kind,
        "classes": k,
        "labels": labels.tolist(),
        "scores": scores.ravel().tolist(),
        "weights": None if weights is None else weights.tolist(),
        "expected": {
            "log_loss": metrics.log_loss(labels, p, labels=range(k), **kept),
            "base_log_loss": metrics.log_loss(labels, np.tile(shares, (len(labels), 1)), labels=range(k), **kept),
            "brier": brier,
            "accuracy": metrics.accuracy_score(labels, predicted, **kept),
            "confusion": metrics.confusion_matrix(labels, predicted, labels=range(k), **kept).ravel().tolist(),
            "auc": [metrics.roc_auc_score(labels == i, p[:, i], **kept) for i in range(k)],
            # Of class weights scikit-learn takes an average only without sample weights.
            "macro_auc": np.mean([metrics.roc_auc_score(labels == i, p[:, i], **kept) for i in range(k)])
            if weights is not None
            else metrics.roc_auc_score(labels, p, multi_class="ovr", average="macro"),
            "average_precision": [metrics.average_precision_score(labels == i, p[:, i], **kept) for i in range(k)],
            "calibration": [calibration((labels == i).astype(int), p[:, i], w) for i in range(k)],
        },
    }


def draw(p):
    return (rng.random(len(p)) < p).astype(int)


def margins(rows, location, scale, digits=6):
    return np.round(location + scale * rng.standard_normal(rows), digits) + 0.0


def probabilities(rows, k, digits):
    """Rounded so that ties occur; the last takes what is left."""
    p = np.round(rng.dirichlet(np.ones(k), rows), digits)
    p[:, -1] = np.round(1 - p[:, :-1].sum(axis=1), digits)
    return np.abs(np.where(p < 0, 0, p))


def choose(p):
    p = p / p.sum(axis=1, keepdims=True)
    return np.array([rng.choice(p.shape[1], p=row) for row in p])


class approximately:
    """Equal to numbers, and lists and objects of them, but for rounding."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        if isinstance(self.value, dict):
            return self.value.keys() == other.keys() and all(other[k] == approximately(v) for k, v in self.value.items())
        if isinstance(self.value, list):
            return len(self.value) == len(other) and all(o == approximately(v) for o, v in zip(other, self.value))
        if self.value is None or other is None:
            return self.value is other
        return bool(np.isclose(self.value, other, rtol=1e-12, atol=1e-12))


if __name__ == "__main__":
    z = margins(500, 0.2, 1.5)
    plain = binary("plain", "margin", draw(sigmoid(z)), z)
    z = margins(500, 0.0, 1.2, digits=1)
    tied = binary("tied margins", "margin", draw(sigmoid(0.7 * z)), z, threshold=0.4)
    p = np.round(0.01 + 0.98 * rng.random(500), 2)
    tied_p = binary("tied probabilities", "probability", draw(p), p, threshold=0.37)
    z = margins(500, -0.5, 2.0, digits=2)
    w = np.round(rng.exponential(1.0, 500), 2)
    w[::17] = 0.0
    weighted = binary("weighted ties", "margin", draw(sigmoid(0.5 * z)), z, w)
    p = np.round(rng.beta(1, 60, 700), 5)
    p = np.clip(p, 1e-5, 1)
    imbalanced = binary("imbalanced", "probability", draw(p), p, np.round(rng.uniform(0.5, 3, 700), 3), threshold=0.03)
    z = np.concatenate([margins(150, 0.0, 200.0), margins(100, 38.0, 3.0), margins(50, -0.0, 1e-3, digits=9)])
    extreme = binary("extreme", "margin", draw(sigmoid(0.01 * z)), z, np.round(rng.uniform(0.5, 2, 300), 3))

    z = np.round(1.5 * rng.standard_normal((300, 3)) + np.array([0.5, 0.0, -0.7]), 6)
    three = classes("three", "margin", choose(np.exp(0.8 * z)), z)
    p = probabilities(250, 3, 2)
    w = np.round(rng.uniform(0.5, 3, 250), 3)
    three_tied = classes("three tied and weighted", "probability", choose(p), p, w)
    z = np.round(1.2 * rng.standard_normal((250, 5)), 6)
    five_labels = choose(np.exp(z))
    five = classes("five and weighted", "margin", five_labels, z, np.round(rng.exponential(1.0, 250), 3))
    p = probabilities(200, 5, 3)
    five_p = classes("five", "probability", choose(p), p)

    # Whole weights are rows that are there so many times.
    z = margins(400, 0.3, 1.4, digits=1)
    w = rng.integers(0, 4, 400)
    labels = draw(sigmoid(0.8 * z - 0.4))
    whole = binary("whole weights", "margin", labels, z, w.astype(float), threshold=0.45)
    repeated = binary("", "margin", np.repeat(labels, w), np.repeat(z, w), threshold=0.45)["expected"]
    assert all(whole["expected"][figure] == approximately(value) for figure, value in repeated.items())

    cases = {
        "binary": [plain, tied, tied_p, weighted, imbalanced, extreme, whole],
        "classes": [three, three_tied, five, five_p],
    }
    text = json.dumps(cases, default=lambda number: number.item(), separators=(",", ":"))
    Path(__file__).with_suffix(".json").write_text(text.replace('{"name"', '\n{"name"') + "\n")
