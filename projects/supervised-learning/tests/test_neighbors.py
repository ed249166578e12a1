import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import neighbors as reference
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.testing import awkward_families, parity
from supervised_learning.neighbors import (
    BallTree,
    KDTree,
    KNeighborsClassifier,
    KNeighborsRegressor,
    brute_kneighbors,
)

ALGORITHMS = ("brute", "kd_tree", "ball_tree")
ORDERS = (1.0, 2.0, 3.5, np.inf)


@parametrize_with_checks(
    [
        KNeighborsClassifier(n_neighbors=2),
        KNeighborsClassifier(n_neighbors=2, algorithm="brute", weights="distance"),
        KNeighborsClassifier(n_neighbors=2, algorithm="ball_tree", metric="manhattan"),
        KNeighborsRegressor(n_neighbors=2),
        KNeighborsRegressor(n_neighbors=2, algorithm="brute", weights="distance"),
    ]
)
def test_contract(estimator, check):
    check(estimator)


def search(algorithm, X, Q, k, p):
    if algorithm == "brute":
        return brute_kneighbors(X, Q, k, p)
    return {"kd_tree": KDTree, "ball_tree": BallTree}[algorithm](X, 3, p).query(Q, k)


def in_order(X, Q, k, p):
    """Neighbors by sorting all distances, equal ones by index."""
    differences = np.abs(Q[:, None].astype(float) - X[None].astype(float))
    if p == np.inf:
        distances = differences.max(axis=2)
    else:
        distances = np.zeros(differences.shape[:2])
        for f in range(X.shape[1]):  # in the order of the features, as the library sums
            term = differences[:, :, f]
            distances += {1.0: term, 2.0: term * term}.get(p, term**p)
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_distances_are_those_of_the_reference(algorithm, p):
    def ours(X):
        return search(algorithm, np.ascontiguousarray(X, dtype=float), X + 0.25, min(3, len(X)), p)[
            0
        ]

    def theirs(X):
        X = np.asarray(X, dtype=float)
        tree = reference.KDTree(X, metric="minkowski" if p < np.inf else "chebyshev", **order)
        return tree.query(X + 0.25, min(3, len(X)))[0]

    order = {"p": p} if p < np.inf else {}
    parity(ours, theirs, awkward_families(leave_out="float32"), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("p", [1.0, 2.0, np.inf])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ties_go_to_the_earlier_point(algorithm, p):
    X = np.random.default_rng(0).integers(0, 4, (300, 3)).astype(float)
    Q = X[:60]
    assert np.array_equal(search(algorithm, X, Q, 17, p)[1], in_order(X, Q, 17, p))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    arrays(np.float64, (40, 3), elements=st.floats(-1e3, 1e3, width=32)),
    st.integers(1, 40),
    st.sampled_from((1.0, 2.0, np.inf)),
)
def test_trees_and_scan_agree_to_the_last_bit(X, k, p):
    Q = np.vstack([X[:9], X[:9] + 0.5])
    expected = search("brute", X, Q, k, p)
    for algorithm in ("kd_tree", "ball_tree"):
        distances, indices = search(algorithm, X, Q, k, p)
        assert np.array_equal(distances, expected[0])
        assert np.array_equal(indices, expected[1])


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e-3, 1.0, 1e20, 1e100])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_single_precision_never_decides(scale, offset):
    rng = np.random.default_rng(1)
    X = np.repeat(rng.standard_normal((700, 6)), 4, axis=0)
    X[::2] += 1e-9 * rng.standard_normal((1400, 6))
    X[5] *= 1e6
    X = (X + offset) * scale
    Q = X[:300] * (1 + 1e-12)
    assert np.array_equal(brute_kneighbors(X, Q, 9, 2.0)[1], in_order(X / scale, Q / scale, 9, 2.0))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_float32_points_are_searched_as_they_are(algorithm):
    X = np.random.default_rng(2).standard_normal((500, 5)).astype(np.float32)
    distances, indices = search(algorithm, X, X, 4, 2.0)
    expected = search(algorithm, X.astype(float), X.astype(float), 4, 2.0)
    assert np.array_equal(indices, expected[1])
    assert np.array_equal(distances, expected[0])


def test_one_query_is_answered_as_many_are():
    X = np.random.default_rng(3).standard_normal((3000, 20))
    together = brute_kneighbors(X, X[:50], 5, 2.0)
    alone = [brute_kneighbors(X, X[i : i + 1], 5, 2.0) for i in range(50)]
    assert np.array_equal(together[0], np.vstack([d for d, _ in alone]))
    assert np.array_equal(together[1], np.vstack([i for _, i in alone]))


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("algorithm", ["auto", *ALGORITHMS])
@pytest.mark.parametrize("load", [load_iris, load_digits, load_breast_cancer])
def test_classes_are_those_of_the_reference(load, algorithm, weights):
    X, y = load(return_X_y=True)
    X = X + 1e-6 * np.random.default_rng(0).standard_normal(X.shape)  # whole numbers tie
    train, test = np.arange(len(y)) % 3 > 0, np.arange(len(y)) % 3 == 0
    options = {"n_neighbors": 7, "weights": weights, "algorithm": algorithm}
    ours = KNeighborsClassifier(**options).fit(X[train], y[train])
    theirs = reference.KNeighborsClassifier(**options).fit(X[train], y[train])
    assert np.array_equal(ours.predict(X[test]), theirs.predict(X[test]))
    assert np.allclose(ours.predict_proba(X[test]), theirs.predict_proba(X[test]), atol=1e-7)
    assert np.array_equal(ours.kneighbors(X[test])[1], theirs.kneighbors(X[test])[1])
    assert np.array_equal(ours.kneighbors()[1], theirs.kneighbors()[1])


@pytest.mark.parametrize("weights", ["uniform", "distance", lambda d: np.exp(-d)])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_means_are_those_of_the_reference(algorithm, weights):
    X, y = load_diabetes(return_X_y=True)
    targets = np.column_stack([y, X[:, 0]])
    options = {"n_neighbors": 4, "weights": weights, "algorithm": algorithm}
    for target in (y, targets):
        ours = KNeighborsRegressor(**options).fit(X[:300], target[:300])
        theirs = reference.KNeighborsRegressor(**options).fit(X[:300], target[:300])
        assert np.allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-6)


def test_a_point_among_its_copies_is_not_its_own_neighbor():
    X = np.zeros((30, 2))
    for algorithm in ALGORITHMS:
        indices = KNeighborsRegressor(3, algorithm=algorithm).fit(X, np.arange(30)).kneighbors()[1]
        assert not (indices == np.arange(30)[:, None]).any()


def test_a_query_on_training_points_hears_them_alone():
    knn = KNeighborsRegressor(3, weights="distance").fit([[0.0], [0.0], [1.0]], [1.0, 3.0, 50.0])
    assert knn.predict([[0.0]])[0] == 2.0


def test_votes_that_tie_go_to_the_first_class():
    knn = KNeighborsClassifier(2).fit([[0.0], [1.0]], ["b", "a"])
    assert knn.predict([[0.1], [0.9]]).tolist() == ["a", "a"]


def test_grid_search_in_a_pipeline():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"kneighborsclassifier__n_neighbors": [1, 5, 15]}, cv=3)
    assert search.fit(X, y).best_score_ > 0.94


@pytest.mark.parametrize(
    "options, word",
    [
        ({"n_neighbors": 0}, "n_neighbors"),
        ({"weights": "near"}, "weights"),
        ({"algorithm": "tree"}, "algorithm"),
        ({"leaf_size": 0}, "leaf_size"),
        ({"p": 0.5}, "'p'"),
        ({"metric": "cosine"}, "metric"),
    ],
)
def test_parameters_out_of_range_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        KNeighborsClassifier(**options).fit([[0.0], [1.0]], [0, 1])


def test_bad_input_is_told():
    knn = KNeighborsClassifier(3)
    with pytest.raises(NotFittedError):
        knn.predict([[0.0]])
    with pytest.raises(ValueError, match="NaN"):
        knn.fit([[np.nan], [1.0], [2.0]], [0, 1, 1])
    knn.fit([[0.0], [1.0], [2.0]], [0, 1, 1])
    with pytest.raises(ValueError, match="n_samples_fit = 3"):
        knn.kneighbors([[0.0]], n_neighbors=4)
    with pytest.raises(ValueError, match="2 points"):
        knn.kneighbors()
    with pytest.raises(TypeError, match="whole number"):
        knn.kneighbors([[0.0]], n_neighbors=1.5)
    zero = KNeighborsRegressor(1, weights=lambda d: 0 * d).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match="add up to 0"):
        zero.predict([[0.0]])
    reshaped = KNeighborsRegressor(1, weights=lambda d: d[0]).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match="keep the shape"):
        reshaped.predict([[0.0], [1.0]])
