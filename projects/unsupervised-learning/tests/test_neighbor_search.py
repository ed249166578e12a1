import numpy as np
import pytest
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from groundwork.testing import parity
from unsupervised_learning.neighbor_search import (
    EUCLIDEAN,
    MANHATTAN,
    PRECOMPUTED,
    build_tree,
    check_distances,
    distance,
    gap,
    kth_distances,
    make_room,
    pairs_within,
)

NAMES = {EUCLIDEAN: "euclidean", MANHATTAN: "manhattan"}


def kth(X, k, metric=EUCLIDEAN, leaf_size=0):
    tree = build_tree(np.ascontiguousarray(X, dtype=np.float64), metric, leaf_size)
    result = np.empty(len(X))
    result[tree.order] = kth_distances(tree, k)
    return np.sqrt(result) if metric == EUCLIDEAN else result


def kth_of_sorted(X, k, metric=EUCLIDEAN):
    search = NearestNeighbors(n_neighbors=k, algorithm="kd_tree", metric=NAMES[metric])
    return search.fit(np.asarray(X, dtype=np.float64)).kneighbors(X)[0][:, -1]


@pytest.mark.parametrize("metric", NAMES)
def test_the_kth_neighbor_is_as_far_as_the_references(metric: int) -> None:
    def k(X):
        return min(3, len(X))

    parity(lambda X: kth(X, k(X), metric, 4), lambda X: kth_of_sorted(X, k(X), metric))


@pytest.mark.parametrize("columns", [1, 3, 7, 8, 25])
@pytest.mark.parametrize("metric", NAMES)
def test_many_leaves_in_any_dimension(columns: int, metric: int) -> None:
    X = np.random.default_rng(columns).standard_normal((1500, columns)) + 30.0
    X[:40] = X[0]  # more copies of a row than neighbors that are asked for
    np.testing.assert_allclose(kth(X, 6, metric), kth_of_sorted(X, 6, metric), rtol=1e-14)


def test_precomputed_distances_are_searched_as_they_are() -> None:
    X = np.random.default_rng(0).standard_normal((400, 3))
    np.testing.assert_array_equal(
        kth(pairwise_distances(X, metric="cityblock"), 5, PRECOMPUTED),
        np.sort(pairwise_distances(X, metric="cityblock"), axis=1)[:, 4],
    )


@pytest.mark.parametrize("columns", [2, 12])
def test_boxes_and_pairs_of_leaves_are_as_the_points_are(columns: int) -> None:
    X = np.random.default_rng(1).standard_normal((300, columns))
    tree = build_tree(X, EUCLIDEAN, 40)
    np.testing.assert_array_equal(tree.points, X[tree.order])
    squares = ((tree.points[:, None] - tree.points[None]) ** 2).sum(axis=2)
    room, leaves = make_room(tree), range(tree.first_leaf, len(tree.start))
    for a in leaves:
        for b in leaves:
            rows, width = slice(tree.start[a], tree.stop[a]), slice(tree.start[b], tree.stop[b])
            block = squares[rows, width]
            assert gap(tree, a, b) <= block.min() * (1 + 1e-12)
            radius = np.full(len(block), np.median(squares) / 2)
            found = pairs_within(tree, a, b, radius, room)
            i, j = room.first[:found], room.second[:found]
            expected = np.argwhere(block <= radius[0])
            np.testing.assert_array_equal(np.c_[i - rows.start, j - width.start], expected)
            np.testing.assert_allclose(room.distance[:found], squares[i, j], rtol=1e-13)
    assert distance(tree, 3, 7) == pytest.approx(squares[3, 7], rel=1e-14)


def test_leaves_differ_by_one_point_at_most() -> None:
    tree = build_tree(np.random.default_rng(0).standard_normal((1001, 2)), EUCLIDEAN, 30)
    sizes = (tree.stop - tree.start)[tree.first_leaf :]
    assert sizes.max() <= 30
    assert sizes.max() - sizes.min() <= 1
    assert sizes.sum() == 1001


@pytest.mark.parametrize(
    "X, message",
    [(np.zeros((2, 3)), "square matrix"), (np.array([[0.0, 1.0], [2.0, 0.0]]), "not symmetric")],
)
def test_distances_that_are_none_are_refused(X, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_distances(X)
