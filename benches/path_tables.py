"""Tables for benchmarks of paths, made by numpy's default generator with seed 0, and two real ones of scikit-learn."""

import numpy as np


def standard(x):
    spread = x.std(0)
    return (x - x.mean(0)) / np.where(spread > 0, spread, 1)


def normal(rng, n, d):
    return rng.standard_normal((n, d))


def correlated(rng, n, d):
    # A condition of 1e4.
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return rng.standard_normal((n, d)) @ (rotation * np.logspace(0, -2, d)) @ rotation.T


def heavy(rng, n, d):
    third = d // 3
    parts = [np.exp(rng.standard_normal((n, third))), rng.standard_t(3, (n, third)), rng.random((n, d - 2 * third)) < 0.01]
    return np.hstack(parts)


def rare(rng, n, d):
    return (rng.random((n, d)) < np.logspace(-0.5, -2.7, d)).astype(float)


def neighbours(rng, n, d):
    x = rng.standard_normal((n, d))
    for j in range(1, d):
        x[:, j] = 0.7 * x[:, j - 1] + np.sqrt(0.51) * x[:, j]
    return x


def few(rng, d, count, size):
    weights = np.zeros(d)
    weights[rng.choice(d, count, replace=False)] = size * rng.standard_normal(count)
    return weights


# Name, columns, rows, their number, weights of standardised columns, intercept.
TABLES = {
    "normal": (normal, 100_000, 20, lambda rng, d: 0.4 * rng.standard_normal(d), -0.3),
    "heavy tails": (heavy, 30_000, 40, lambda rng, d: few(rng, d, 24, 0.3), 0.0),
    "59 positives": (normal, 100_000, 20, lambda rng, d: 0.4 * rng.standard_normal(d), -8.2),
    "nearly separated": (normal, 50_000, 20, lambda rng, d: 40 * standard_length(rng, d), 0.0),
    "correlated": (correlated, 20_000, 100, lambda rng, d: few(rng, d, 30, 0.9), 0.0),
    "rare levels": (rare, 20_000, 200, lambda rng, d: few(rng, d, 60, 0.3), -1.0),
    "neighbours": (neighbours, 14_000, 500, lambda rng, d: few(rng, d, 25, 0.4), -0.5),
    "wide": (normal, 20_000, 500, lambda rng, d: few(rng, d, 20, 0.5), -0.5),
    "tall": (normal, 200_000, 50, lambda rng, d: few(rng, d, 20, 0.5), -0.5),
    "tall, correlated": (correlated, 200_000, 50, lambda rng, d: few(rng, d, 15, 0.9), -0.5),
    "wide, correlated": (correlated, 20_000, 500, lambda rng, d: few(rng, d, 150, 0.9), -0.5),
}
REAL = ["breast cancer", "digits"]


def standard_length(rng, d):
    weights = rng.standard_normal(d)
    return weights / np.linalg.norm(weights)


def table(name):
    if name in REAL:
        from sklearn.datasets import load_breast_cancer, load_digits

        x, y = (load_breast_cancer if name == REAL[0] else load_digits)(return_X_y=True)
        x, y = x[:, x.std(0) > 0], (y if name == REAL[0] else y % 2)
        return x.astype(np.float32).astype(float), y
    make, n, d, weights, intercept = TABLES[name]
    rng = np.random.default_rng(0)
    # As the program stores them.
    x = standard(make(rng, n, d)).astype(np.float32).astype(float)
    z = intercept + x @ weights(rng, d)
    return x, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
