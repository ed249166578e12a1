import warnings
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.manifold import trustworthiness
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families
from unsupervised_learning.fuzzy_graph import fuzzy_union, membership_strengths
from unsupervised_learning.nn_descent import nearest_neighbors
from unsupervised_learning.umap import UMAP
from unsupervised_learning.umap_layout import _force, fit_curve, force_tables


@pytest.fixture(scope="module")
def umap() -> ModuleType:
    with warnings.catch_warnings():
        # its parametric variant is not needed
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        import umap

    return umap


@parametrize_with_checks([UMAP(n_neighbors=5), UMAP(3, 1, init="pca", metric="manhattan")])
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("table", ["wine", "diabetes"])
def test_the_graph_is_the_references(umap: ModuleType, table: str) -> None:
    X = tables.matrix(table, standardize=True)[0]
    ours = UMAP(n_epochs=0, set_op_mix_ratio=0.7).fit(X).graph_
    distances, neighbors = NearestNeighbors(n_neighbors=14).fit(X).kneighbors()
    own = np.arange(len(X))  # the library counts the point itself, at distance 0
    theirs = umap.umap_.fuzzy_simplicial_set(
        X,
        15,
        np.random.RandomState(0),
        "euclidean",
        knn_indices=np.column_stack([own, neighbors]),
        knn_dists=np.column_stack([0.0 * own, distances]).astype(np.float32),
        set_op_mix_ratio=0.7,
    )[0]
    np.testing.assert_allclose(ours.toarray(), theirs.toarray(), atol=2e-5)


@pytest.mark.parametrize("min_dist, spread", [(0.1, 1.0), (0.0, 1.0), (0.5, 2.0)])
def test_the_curve_is_the_references(umap: ModuleType, min_dist: float, spread: float) -> None:
    theirs = umap.umap_.find_ab_params(spread, min_dist)
    np.testing.assert_allclose(fit_curve(min_dist, spread), theirs, rtol=1e-5)


@pytest.mark.parametrize("table", ["wine", "diabetes"])
def test_maps_are_as_trustworthy_as_the_references(umap: ModuleType, table: str) -> None:
    X = tables.matrix(table, standardize=True)[0]
    ours, theirs = (
        [
            trustworthiness(X, model(random_state=seed, n_jobs=1).fit_transform(X))
            for seed in range(3)
        ]
        for model in (UMAP, umap.UMAP)
    )
    assert np.mean(ours) >= np.mean(theirs) - 0.005


def test_forces_are_read_from_the_tables_to_a_thousandth() -> None:
    a, b, gamma = 1.6, 0.9, 2.0
    square = np.exp2(np.random.default_rng(0).uniform(-30, 19, 2000)).astype(np.float32)
    attraction, repulsion = force_tables(a, b, gamma)
    s = square.astype(float)
    for table, expected in (
        (attraction, -2 * a * b * s ** (b - 1) / (1 + a * s**b)),
        (repulsion, 2 * gamma * b / ((0.001 + s) * (1 + a * s**b))),
    ):
        got = [_force.py_func(table, value) for value in square]
        np.testing.assert_allclose(got, expected, rtol=1e-3)
        for extreme in (0.0, 1e-40, 1e30):
            assert np.isfinite(_force.py_func(table, np.float32(extreme)))


def test_strengths_sum_to_the_logarithm_and_tie_each_point_to_one() -> None:
    X = tables.matrix("wine", standardize=True)[0]
    distances, neighbors = NearestNeighbors(n_neighbors=14).fit(X).kneighbors()
    strengths = membership_strengths(distances, np.log2(15), 1.0)
    np.testing.assert_allclose(strengths.sum(axis=1), np.log2(15), atol=1e-3)
    np.testing.assert_array_equal(strengths[:, 0], 1.0)
    assert (np.diff(strengths, axis=1) <= 0).all()
    union, intersection = (fuzzy_union(neighbors, strengths, mix) for mix in (1.0, 0.0))
    for graph in (union, intersection):
        assert abs(graph - graph.T).max() == 0
        assert 0 < graph.data.min() <= graph.data.max() <= 1
    assert (union - intersection).min() >= 0


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_descent_finds_almost_all_neighbors(scale: float) -> None:
    X = tables.matrix("digits")[0] + 1.0
    distances, exact = NearestNeighbors(n_neighbors=15).fit(X).kneighbors()
    found, found_distances = nearest_neighbors(X * scale, 15, random_state=0)
    recall = np.mean([len(set(a) & set(b)) / 15 for a, b in zip(found, exact, strict=True)])
    assert recall > 0.98
    assert (found != np.arange(len(X))[:, None]).all()
    assert (found_distances[:, 0] <= scale * distances[:, 0] * 1.5).all()
    assert (np.diff(found_distances, axis=1) >= 0).all()


@pytest.mark.parametrize("rows, k", [(2, 1), (10, 9), (100, 30)])
def test_descent_takes_duplicates_and_few_rows(rows: int, k: int) -> None:
    neighbors, distances = nearest_neighbors(np.ones((rows, 3)), k, random_state=0)
    assert all(len(set(row)) == k for row in neighbors)
    assert (distances == 0).all()


def test_many_rows_get_nearly_the_exact_graph() -> None:
    X = np.random.default_rng(0).normal(size=(4200, 5))
    descent, exact = (
        UMAP(n_epochs=0, init="random", metric=metric, random_state=0).fit(X).graph_
        for metric in ("euclidean", "minkowski")
    )
    assert abs(descent - exact).sum() < 0.01 * exact.sum()


def digits() -> list[NDArray]:
    X, y = tables.matrix("digits")
    return train_test_split(X, y, test_size=0.3, random_state=0)


def test_new_rows_land_among_their_kind() -> None:
    train, test, train_y, test_y = digits()
    model = UMAP(random_state=0).fit(train)
    placed = model.transform(test)
    classifier = KNeighborsClassifier(5).fit(model.embedding_, train_y)
    assert classifier.score(placed, test_y) > 0.93
    assert trustworthiness(test, placed) > 0.95
    np.testing.assert_array_equal(model.transform(train[:50]), model.embedding_[:50])
    np.testing.assert_array_equal(model.transform(test[7:8]), placed[7:8])


def test_groups_far_apart_stay_apart() -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(m, 4)) + 1000 * i for i, m in enumerate((40, 60, 1, 30))])
    X = np.concatenate([X, np.full((20, 4), -5e4)])  # and one group of a single place
    group = np.repeat(np.arange(5), (40, 60, 1, 30, 20))
    kept = group != 2
    Y = UMAP(n_neighbors=8, random_state=0).fit_transform(X)
    nearest = NearestNeighbors(n_neighbors=3).fit(Y[kept]).kneighbors()[1]
    assert (group[kept][nearest] == group[kept][:, None]).mean() > 0.99


@pytest.mark.parametrize("family", awkward_families(leave_out=["one row"]))
def test_awkward_input_gives_a_finite_map(family: str) -> None:
    X = awkward_families(leave_out=["one row"])[family](np.random.default_rng(0))
    model = UMAP(n_neighbors=3, n_epochs=50, random_state=0)
    Y = model.fit_transform(X)
    assert Y.shape == (len(X), 2)
    assert Y.dtype == np.float32
    assert np.isfinite(Y).all()
    assert np.isfinite(model.transform(X[:3] + X.std())).all()


def test_cosine_distance_does_not_see_lengths() -> None:
    X = tables.matrix("digits")[0][:200]
    lengths = np.random.default_rng(0).uniform(0.1, 10, (200, 1))
    one, other = (
        UMAP(metric="cosine", n_epochs=0, init="random").fit(x).graph_ for x in (X, X * lengths)
    )
    np.testing.assert_allclose(one.toarray(), other.toarray(), atol=1e-5)


def test_more_neighbors_keep_more_of_the_whole() -> None:
    X = tables.matrix("digits")[0][:600]
    degree = [UMAP(k, n_epochs=0).fit(X).graph_.sum() for k in (5, 15, 50)]
    assert degree[0] < degree[1] < degree[2]


def test_a_seed_decides() -> None:
    X = tables.matrix("iris")[0]
    maps = [UMAP(random_state=seed, n_epochs=30).fit_transform(X) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 0.1


def test_a_given_start_is_used_and_kept() -> None:
    X = tables.matrix("iris")[0]
    start = np.random.default_rng(0).uniform(0, 10, (150, 2))
    start[:2] = [[0, 0], [10, 10]]
    kept = start.copy()
    Y = UMAP(init=start, n_epochs=0, random_state=0).fit_transform(X)
    np.testing.assert_allclose(Y, start, atol=0.01)
    np.testing.assert_array_equal(start, kept)


def test_it_works_in_a_grid_search_with_names() -> None:
    frame, y = tables.frame("wine")
    pipeline = make_pipeline(StandardScaler(), UMAP(n_epochs=50), KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"umap__n_neighbors": [8, 15]}, cv=3).fit(frame, y)
    assert search.best_score_ > 0.9
    named = UMAP(n_epochs=10).set_output(transform="pandas").fit_transform(frame)
    assert list(named.columns) == ["umap0", "umap1"]


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"n_neighbors": 1}, "n_neighbors"),
        ({"min_dist": 2.0}, r"min_dist=2.0 should not be above spread=1.0"),
        ({"init": np.zeros((3, 2))}, r"init has the shape \(3, 2\), the map is \(30, 2\)"),
        ({"set_op_mix_ratio": 1.5}, "set_op_mix_ratio"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"init": "wild"}, "init"),
    ],
)
def test_a_bad_parameter_is_named(parameters: dict[str, object], words: str) -> None:
    X = np.random.default_rng(0).normal(size=(30, 3))
    with pytest.raises(ValueError, match=words):
        UMAP(**parameters).fit(X)


def test_more_neighbors_than_rows_are_announced() -> None:
    with pytest.warns(UserWarning, match="more than the 8 rows"):
        model = UMAP(n_epochs=5).fit(np.random.default_rng(0).normal(size=(8, 3)))
    assert model.n_neighbors_ == 8


def test_too_many_neighbors_are_refused_by_the_search() -> None:
    with pytest.raises(ValueError, match="between 1 and 9 for 10 rows"):
        nearest_neighbors(np.ones((10, 2)), 10)
