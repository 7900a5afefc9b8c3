"""The estimators: scikit-learn's own checks, and the same coefficients as scikit-learn's by another method."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from gpu_logreg import LogisticRegression, LogisticRegressionCV
from gpu_logreg._sklearn import _classes_of
from scipy.sparse import csc_matrix, csr_matrix, random_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Theirs
from sklearn.linear_model import LogisticRegressionCV as TheirsCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}-{getattr(check, 'func', check).__name__}-{number}")
    for made in (LogisticRegression(device="cpu"), LogisticRegressionCV(device="cpu", cv=3))
    for number, (estimator, check) in enumerate(estimator_checks_generator(made, legacy=True))
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_checks_of_scikit_learn(estimator, check):
    """No failure is expected, so none is named."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


def weights_of(n: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 4, n).astype(float) + 0.5


def theirs(X, y, weights=None, **settings):
    """scikit-learn by Newton's method in double precision."""
    model = Theirs(solver="newton-cholesky", tol=1e-12, max_iter=1000, **settings)
    with warnings.catch_warnings():
        # Its last line search finds nothing more to gain, and says so.
        warnings.simplefilter("ignore")
        return model.fit(X, y, sample_weight=weights)


TABLES = {"iris": load_iris, "wine": load_wine, "cancer": load_breast_cancer, "digits": load_digits}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("table", TABLES)
def test_coefficients_are_those_of_newton_cholesky(table, weighted):
    X, y = TABLES[table](return_X_y=True)
    X = StandardScaler().fit_transform(X)
    weights = weights_of(len(y)) if weighted else None
    for C in [0.1, 1.0]:
        ours = LogisticRegression(C=C, device="cpu").fit(X, y, sample_weight=weights)
        reference = theirs(X, y, weights, C=C)
        largest = np.abs(reference.coef_).max()
        assert ours.status_ == "converged"
        assert np.abs(ours.coef_ - reference.coef_).max() <= 1e-10 * largest
        assert np.abs(ours.intercept_ - reference.intercept_).max() <= 1e-10 * max(largest, np.abs(reference.intercept_).max())
        assert np.array_equal(ours.predict(X), reference.predict(X))


@pytest.mark.parametrize("table", TABLES)
def test_the_gradient_is_that_of_a_minimum(table):
    """With a weak penalty newton-cholesky stops where its line search finds nothing more to gain: nothing is left of the gradient here."""
    X, y = TABLES[table](return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours, reference = LogisticRegression(C=30.0, device="cpu").fit(X, y), theirs(X, y, C=30.0)

    def gradient(model) -> float:
        residuals = model.predict_proba(X) - np.eye(len(model.classes_))[y]
        residuals = residuals[:, 1:] if len(model.classes_) == 2 else residuals
        return np.abs(30.0 * residuals.T @ X + model.coef_).max() / np.abs(model.coef_).max()

    assert gradient(ours) <= 1e-12
    assert gradient(ours) <= 10 * gradient(reference)


def test_the_check_of_coefficients_sees_another_penalty():
    """The control: a penalty that is off by a millionth is seen."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours, reference = LogisticRegression(C=1.000001, device="cpu").fit(X, y), theirs(X, y, C=1.0)
    assert np.abs(ours.coef_ - reference.coef_).max() > 1e-8 * np.abs(reference.coef_).max()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_maximum_likelihood_is_that_of_newton_cholesky(classes, weighted):
    X, y = make_classification(600, 6, n_informative=5, n_redundant=0, n_classes=classes, flip_y=0.3, random_state=3)
    weights = weights_of(len(y)) if weighted else None
    ours = LogisticRegression(C=np.inf, device="cpu").fit(X, y, sample_weight=weights)
    reference = theirs(X, y, weights, C=np.inf)
    centred = reference.coef_ - (reference.coef_.mean(axis=0) if classes > 2 else 0)
    assert np.abs(ours.coef_ - centred).max() <= 1e-10 * np.abs(centred).max()
    assert np.abs(ours.predict_proba(X) - reference.predict_proba(X)).max() <= 1e-10
    assert np.abs(ours.predict_log_proba(X) - reference.predict_log_proba(X)).max() <= 1e-8


@pytest.mark.parametrize(
    "settings", [{"fit_intercept": False}, {"class_weight": "balanced"}, {"class_weight": {0: 3.0, 1: 0.25}}]
)
@pytest.mark.parametrize("table", ["cancer", "iris"])
def test_settings_are_those_of_scikit_learn(table, settings):
    X, y = TABLES[table](return_X_y=True)
    X = StandardScaler().fit_transform(X)
    for weights in (None, weights_of(len(y))):
        ours = LogisticRegression(device="cpu", **settings).fit(X, y, sample_weight=weights)
        reference = theirs(X, y, weights, **settings)
        assert np.abs(ours.coef_ - reference.coef_).max() <= 1e-10 * np.abs(reference.coef_).max()


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("table", ["cancer", "wine"])
def test_elastic_nets_are_those_of_saga(table, l1_ratio):
    X, y = TABLES[table](return_X_y=True)
    X = StandardScaler().fit_transform(X)
    for C in (0.02, 0.3):
        ours = LogisticRegression(C=C, l1_ratio=l1_ratio, tol=1e-14, device="cpu").fit(X, y)
        reference = Theirs(C=C, l1_ratio=l1_ratio, solver="saga", tol=1e-12, max_iter=200_000).fit(X, y)
        # Of several classes nothing says where the intercepts are, nor, without a square, all of the coefficients.
        assert np.abs(ours.predict_proba(X) - reference.predict_proba(X)).max() <= 1e-7
        if table == "cancer":
            assert np.abs(ours.coef_ - reference.coef_).max() <= 1e-6 * np.abs(reference.coef_).max()
            assert np.array_equal(ours.coef_ == 0, reference.coef_ == 0)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([False, True]),
        np.array([-1, 1]),
        np.array([3, 7], dtype=np.uint8),
        np.array([1.0, 2.0]),
        np.array(["no", "yes"]),
        np.array(["b", ""], dtype=object),
        np.array([2**60, 2**60 + 1]),
        np.array(["a", "b", "c"]),
        np.array([10, -5, 2]),
    ],
    ids=lambda labels: f"{labels.dtype}-{len(labels)}",
)
def test_labels_of_any_type_are_classes(labels):
    X, y = make_classification(
        300, 4, n_informative=4, n_redundant=0, n_classes=len(labels), flip_y=0.2, n_clusters_per_class=1, random_state=1
    )
    named = np.sort(labels)[y]
    plain, ours = (LogisticRegression(device="cpu").fit(X, of) for of in (y, named))
    assert np.array_equal(ours.classes_, np.sort(labels)) and ours.classes_.dtype == named.dtype
    assert np.abs(ours.coef_ - plain.coef_).max() <= 1e-12
    assert np.array_equal(ours.predict(X), np.sort(labels)[plain.predict(X)])


def test_sparse_matrices_are_their_dense_selves():
    X = random_array((2_000, 30), density=0.1, rng=np.random.default_rng(0), format="csr")
    y = (X @ np.random.default_rng(1).normal(size=30) + np.random.default_rng(2).normal(size=2_000) > 0).astype(int)
    dense = LogisticRegression(device="cpu").fit(X.toarray(), y)
    for sparse in (csr_matrix(X), csc_matrix(X), X.tocoo(), X.astype(np.float32).astype(np.float64)):
        ours = LogisticRegression(device="cpu").fit(sparse, y)
        assert np.array_equal(ours.coef_, dense.coef_) or np.abs(ours.coef_ - dense.coef_).max() < 1e-6
    exact = LogisticRegression(device="cpu").fit(csr_matrix(X), y)
    assert np.array_equal(exact.coef_, dense.coef_) and np.array_equal(exact.predict_proba(csr_matrix(X)), dense.predict_proba(X))


def test_constant_and_equal_columns_have_the_coefficients_of_ridge():
    X, y = make_classification(200, 3, n_informative=3, n_redundant=0, random_state=5)
    wide = np.column_stack([X, np.ones(200), X[:, 0]])
    ours, reference = LogisticRegression(device="cpu").fit(wide, y), theirs(wide, y)
    assert np.abs(ours.coef_ - reference.coef_).max() <= 1e-9 * np.abs(reference.coef_).max()


def test_separated_classes_without_a_penalty_are_told():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="separated"):
        ours = LogisticRegression(C=np.inf, device="cpu").fit(X[:100], y[:100])
    assert ours.status_ == "separated"


def test_it_fits_where_people_work():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), LogisticRegression(device="cpu"))
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]}, n_jobs=2, cv=3, scoring="neg_log_loss")
    search.fit(X, y)
    reference = GridSearchCV(
        make_pipeline(StandardScaler(), Theirs(tol=1e-10, max_iter=10_000)),
        {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]},
        cv=3,
        scoring="neg_log_loss",
    ).fit(X, y)
    assert search.best_params_ == reference.best_params_
    assert np.abs(search.cv_results_["mean_test_score"] - reference.cv_results_["mean_test_score"]).max() <= 1e-6
    fitted = search.best_estimator_[-1]
    assert list(fitted.feature_names_in_) == list(X.columns) == fitted.model_.feature_names
    assert clone(fitted).get_params() == fitted.get_params()


def test_weights_are_routed():
    import sklearn

    X, y = load_breast_cancer(return_X_y=True)
    weights = weights_of(len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            LogisticRegression(device="cpu").set_fit_request(sample_weight=True),
        )
        routed = pipeline.fit(X, y, sample_weight=weights)[-1]
    direct = LogisticRegression(device="cpu").fit(StandardScaler().fit_transform(X), y, sample_weight=weights)
    assert np.array_equal(routed.coef_, direct.coef_)
    assert not np.array_equal(routed.coef_, direct.fit(StandardScaler().fit_transform(X), y).coef_)


def fold_by_fold(X, y, Cs, splits, l1_ratio):
    """Means of the log loss over the folds, of models with `1 / (C n)` on the mean loss of each."""
    n = len(y)
    scores = np.zeros((len(splits), len(Cs)))
    for fold, (kept, held_back) in enumerate(splits):
        for place, C in enumerate(Cs):
            model = Theirs(
                C=C * n / len(kept),
                l1_ratio=l1_ratio,
                solver="saga" if l1_ratio else "newton-cholesky",
                tol=1e-12,
                max_iter=100_000,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(X[kept], y[kept])
                assert model.n_iter_.max() < 100_000
                if not model.coef_.any():
                    # saga stops at once where no coefficient moves, wherever the intercept is.
                    model.intercept_ = np.log(np.bincount(y[kept]) / len(kept))
                    model.intercept_ = (
                        model.intercept_ if len(model.intercept_) > 2 else model.intercept_[1:] - model.intercept_[0]
                    )
                proba = model.predict_proba(X[held_back])
            scores[fold, place] = np.log(proba[np.arange(len(held_back)), np.searchsorted(model.classes_, y[held_back])]).mean()
    return scores


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("table", ["cancer", "wine"])
def test_scores_are_those_of_folds_one_by_one(table, l1_ratio):
    X, y = TABLES[table](return_X_y=True)
    X = StandardScaler().fit_transform(X)
    cv = StratifiedKFold(4, shuffle=True, random_state=2)
    # With less of a penalty saga does not get there in 100,000 iterations.
    Cs = [0.01, 0.1, 0.2] if l1_ratio else [0.01, 0.1, 1.0]
    ours = LogisticRegressionCV(Cs, l1_ratios=[l1_ratio], cv=cv, device="cpu", tol=1e-12).fit(X, y)
    expected = fold_by_fold(X, y, Cs, list(cv.split(X, y)), l1_ratio)
    assert ours.scores_.shape == (4, 1, 3)
    assert np.abs(ours.scores_[:, 0] - expected).max() <= 1e-5
    sizes = np.array([len(held_back) for _, held_back in cv.split(X, y)])
    means = (expected * sizes[:, None]).sum(axis=0) / len(y)
    assert np.abs(ours.mean_scores_[0] - means).max() <= 1e-5
    assert ours.C_ == Cs[int(means.argmax())]
    chosen = LogisticRegression(C=ours.C_, l1_ratio=l1_ratio, device="cpu", tol=1e-12 if l1_ratio else None).fit(X, y)
    assert np.abs(ours.coef_ - chosen.coef_).max() <= 1e-9


def test_the_strength_is_chosen_as_scikit_learn_chooses_it():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    for scoring in ("neg_log_loss", "neg_brier_score", "roc_auc"):
        ours = LogisticRegressionCV(10, l1_ratios=[0.0], cv=5, scoring=scoring, device="cpu").fit(X, y)
        reference = TheirsCV(
            Cs=10, cv=5, scoring=scoring, l1_ratios=(0.0,), use_legacy_attributes=False, max_iter=10_000, tol=1e-8
        ).fit(X, y)
        assert np.allclose(ours.Cs_, reference.Cs_)
        # Folds of scikit-learn have 4/5 of the weight, and so a penalty that is a quarter stronger.
        assert abs(np.log(ours.C_ / reference.C_)) <= np.log(10)


@pytest.mark.parametrize(
    "labels",
    [
        [-128, 127],
        [250, 255],
        [2**64 - 1, 2**64 - 9],
        [2**63 - 1, -(2**63)],
        [0, 65_535],
        [0, 70_000],
        [-(2**63), -(2**63) + 3],
        [True, False],
    ],
    ids=str,
)
def test_classes_are_told_apart_as_numpy_does(labels):
    values = np.asarray(labels, dtype=np.int8 if labels == [-128, 127] else np.uint8 if labels == [250, 255] else None)
    y = values[np.random.default_rng(1).integers(0, 2, 60)]
    for of in (y, np.repeat(y, 2)[::2], y[::-1]):
        classes, codes = _classes_of(of)
        expected, places = np.unique(of, return_inverse=True)
        assert np.array_equal(classes, expected) and classes.dtype == expected.dtype and np.array_equal(codes, places)
