import itertools
import math
import tracemalloc
import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist
from sklearn import metrics as reference
from sklearn.metrics import pairwise_distances

from groundwork.data import tables
from groundwork.testing import awkward_families, parity
from unsupervised_learning import scores

AGREEMENT = (
    "rand_score",
    "adjusted_rand_score",
    "fowlkes_mallows_score",
    "mutual_info_score",
    "normalized_mutual_info_score",
    "adjusted_mutual_info_score",
    "homogeneity_score",
    "completeness_score",
    "v_measure_score",
)
LABELINGS = {
    "a few of each": lambda rng: (rng.integers(0, 3, 60), rng.integers(0, 5, 60)),
    "many clusters": lambda rng: (rng.integers(0, 80, 100), rng.integers(0, 9, 100)),
    "the same": lambda rng: (rng.integers(0, 4, 30),) * 2,
    "renamed": lambda rng: ((labels := rng.integers(0, 4, 30)), 7 - 2 * labels),
    "one class": lambda rng: (np.zeros(9, int), rng.integers(0, 3, 9)),
    "one cluster": lambda rng: (rng.integers(0, 3, 9), np.zeros(9, int)),
    "one of each": lambda rng: (np.zeros(4, int), np.ones(4, int)),
    "each alone": lambda rng: (rng.permutation(12), rng.integers(0, 3, 12)),
    "each alone in both": lambda rng: (rng.permutation(12), rng.permutation(12)),
    "one row": lambda rng: (np.zeros(1, int), np.zeros(1, int)),
    "no row": lambda rng: (np.zeros(0, int), np.zeros(0, int)),
    "text": lambda rng: (rng.choice(["x", "y", "z"], 40), rng.choice(["b", "a"], 40)),
    "unequal sizes": lambda rng: (rng.geometric(0.5, 300), rng.geometric(0.1, 300)),
}


@pytest.mark.parametrize("name", AGREEMENT)
def test_agreement_is_the_references(name: str) -> None:
    ours, theirs = getattr(scores, name), getattr(reference, name)
    for family, make in LABELINGS.items():
        if (name, family) == ("mutual_info_score", "no row"):
            assert ours([], []) == 0.0  # the reference takes the logarithm of 0
            continue
        for seed in range(6):
            labels = make(np.random.default_rng(seed))
            assert ours(*labels) == pytest.approx(theirs(*labels), abs=1e-11), (family, seed)


@pytest.mark.parametrize("average", ["arithmetic", "geometric", "min", "max"])
@pytest.mark.parametrize("name", ["normalized_mutual_info_score", "adjusted_mutual_info_score"])
def test_every_average_is_the_references(name: str, average: str) -> None:
    for family in ("a few of each", "many clusters", "renamed", "one class", "unequal sizes"):
        labels = LABELINGS[family](np.random.default_rng(1))
        ours = getattr(scores, name)(*labels, average_method=average)
        theirs = getattr(reference, name)(*labels, average_method=average)
        assert ours == pytest.approx(theirs, abs=1e-11), family


def test_beta_weighs_completeness() -> None:
    labels = LABELINGS["a few of each"](np.random.default_rng(0))
    for beta in (0.0, 0.3, 2.0):
        ours = scores.homogeneity_completeness_v_measure(*labels, beta=beta)
        theirs = reference.homogeneity_completeness_v_measure(*labels, beta=beta)
        assert ours == pytest.approx(theirs)
        assert scores.v_measure_score(*labels, beta=beta) == ours[2]


labelings = st.integers(2, 30).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n)] * 2)
)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(labelings)
def test_names_of_clusters_and_the_order_of_rows_do_not_matter(labels: tuple) -> None:
    a, b = map(np.array, labels)
    order = np.argsort(b, kind="stable")
    for name in (*AGREEMENT, "purity_score"):
        score = getattr(scores, name)
        assert score(a, b) == pytest.approx(
            score(10 - a[order], np.char.add("c", b[order].astype(str)))
        )
        if name not in ("homogeneity_score", "completeness_score", "purity_score"):
            assert score(a, b) == pytest.approx(score(b, a))  # neither is the true one


def test_the_adjusted_scores_are_0_in_the_mean_over_all_shuffles() -> None:
    a, b = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 1])
    for name in ("adjusted_rand_score", "adjusted_mutual_info_score"):
        score = getattr(scores, name)
        mean = np.mean([score(a, b[list(order)]) for order in itertools.permutations(range(6))])
        assert mean == pytest.approx(0.0, abs=1e-12)


def test_the_expected_information_is_exact_where_factorials_lose_digits() -> None:
    # both labelings have clusters of 2 rows only: the sum has two terms, known in closed form
    n, clusters = 200_000, 100_000
    both = 1 / math.comb(n, 2)
    one = 2 * 2 * (n - 2) / (n * (n - 1))
    expected = clusters**2 * (one * math.log(n / 4) + both * 2 * math.log(n / 2)) / n
    sizes = (np.array([2]), np.array([clusters])) * 2
    assert scores._expected_information(n, *sizes) == pytest.approx(expected, rel=1e-11)


def test_purity_counts_the_most_frequent_class() -> None:
    assert scores.purity_score(list("aabbbc"), [0, 0, 0, 1, 1, 1]) == pytest.approx(4 / 6)
    assert scores.purity_score([0, 1, 2], [0, 1, 2]) == 1.0
    assert scores.purity_score([], []) == 1.0


# --- by shape ------------------------------------------------------------------------------------


def three(X: NDArray) -> NDArray:
    return np.arange(len(X)) % 3


def with_three(score):
    def of(X: NDArray):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return score(X, three(X))

    return of


SHAPE = ["silhouette_samples", "calinski_harabasz_score", "davies_bouldin_score"]


@pytest.mark.parametrize("name", SHAPE)
def test_scores_of_shape_are_the_references(name: str) -> None:
    # far from 0 the reference's products lose half of the digits; see below
    families = awkward_families(leave_out=["far from 0", "huge and tiny"])
    ours, theirs = with_three(getattr(scores, name)), with_three(getattr(reference, name))
    parity(ours, theirs, families, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer", "digits"])
@pytest.mark.parametrize("name", SHAPE)
def test_scores_of_real_clusters_are_the_references(name: str, table: str) -> None:
    X, y = tables.matrix(table)
    np.testing.assert_allclose(
        getattr(scores, name)(X, y), getattr(reference, name)(X, y), rtol=1e-9, atol=1e-10
    )


def test_silhouettes_far_from_0_keep_their_digits() -> None:
    X = np.random.default_rng(0).standard_normal((300, 4)) + 1e6
    exact = reference.silhouette_samples(cdist(X, X), three(X), metric="precomputed")
    np.testing.assert_allclose(scores.silhouette_samples(X, three(X)), exact, atol=1e-9)


@pytest.mark.parametrize(
    "sizes", [[1, 2000, 3], [700, 1, 1, 1500], [1] * 40 + [2] * 600, [64, 960]]
)
def test_clusters_across_blocks_and_tiles_are_summed_once(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = rng.standard_normal((len(labels), 3)) + labels[:, None] % 5
    ours, theirs = scores.silhouette_samples(X, labels), reference.silhouette_samples(X, labels)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


@pytest.mark.parametrize("metric", ["manhattan", "cosine", "precomputed", "sparse"])
def test_other_metrics_are_taken(metric: str) -> None:
    X, y = tables.matrix("digits", rows=700)
    if metric == "precomputed":
        X = pairwise_distances(X, metric="manhattan")
    options = {} if metric == "sparse" else {"metric": metric}
    X = csr_matrix(X) if metric == "sparse" else X
    for part in ({}, {"sample_size": 200, "random_state": 3}):
        ours = scores.silhouette_score(X, y, **options, **part)
        assert ours == pytest.approx(reference.silhouette_score(X, y, **options, **part))


def test_silhouettes_need_no_square_of_the_rows() -> None:
    X = np.random.default_rng(0).standard_normal((6000, 5))
    for metric in ("euclidean", "manhattan"):
        tracemalloc.start()
        scores.silhouette_score(X, three(X), metric=metric)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 0.2 * 8 * len(X) ** 2


def test_centers_in_one_place_are_told_apart_by_nothing() -> None:
    X = np.array([[-1.0], [1.0], [-2.0], [2.0]])
    assert scores.davies_bouldin_score(X, [0, 0, 1, 1]) == 0.0
    assert (
        scores.calinski_harabasz_score(np.repeat([[0.0], [4.0]], 3, axis=0), [0] * 3 + [1] * 3) == 1
    )


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPE)
@pytest.mark.parametrize("labels", [np.zeros(6, int), np.arange(6)])
def test_one_cluster_and_a_cluster_for_each_row_are_refused(name: str, labels: NDArray) -> None:
    with pytest.raises(ValueError, match="Number of labels is"):
        getattr(scores, name)(np.eye(6), labels)


@pytest.mark.parametrize("name", AGREEMENT)
def test_labels_that_do_not_match_are_refused(name: str) -> None:
    score = getattr(scores, name)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        score([0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match=r"labels_pred has the shape \(2, 1\)"):
        score([0, 1], [[0], [1]])
    with pytest.warns(UserWarning, match="labels_true holds fractions"):
        score([0.25, 1.5], [0, 1])


def test_bad_options_are_refused() -> None:
    X, y = np.arange(12.0).reshape(6, 2), [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="average_method='mean'"):
        scores.normalized_mutual_info_score(y, y, average_method="mean")
    with pytest.raises(ValueError, match="beta=-1"):
        scores.v_measure_score(y, y, beta=-1)
    with pytest.raises(ValueError, match="on the diagonal"):
        scores.silhouette_score(np.ones((6, 6)), y, metric="precomputed")
    with pytest.raises(ValueError, match="NaN"):
        scores.silhouette_score(np.full((6, 2), np.nan), y)
    for score in map(partial(getattr, scores), SHAPE):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            score(X, y[:5])
