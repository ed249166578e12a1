import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn import manifold
from sklearn.metrics import pairwise_distances

from unsupervised_learning import embedding_scores
from unsupervised_learning.embedding_scores import (
    continuity,
    neighbor_preservation,
    shepard_correlation,
    trustworthiness,
)

NEIGHBOR_SCORES = [trustworthiness, continuity, neighbor_preservation]


def data_and_map(n: int = 120, seed: int = 0) -> tuple[NDArray, NDArray]:
    X = np.random.default_rng(seed).normal(size=(n, 5))
    return X, X[:, :2] + 0.3 * np.random.default_rng(seed + 1).normal(size=(n, 2))


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.integers(4, 80), st.integers(1, 12), st.integers(0, 100))
def test_trustworthiness_is_the_references(n: int, k: int, seed: int) -> None:
    X, Y = data_and_map(n, seed)
    if k >= n / 2:
        with pytest.raises(ValueError, match="n_neighbors"):
            trustworthiness(X, Y, n_neighbors=k)
        return
    for a, b, ours in ((X, Y, trustworthiness), (Y, X, continuity)):
        expected = manifold.trustworthiness(a, b, n_neighbors=k)
        assert ours(X, Y, n_neighbors=k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", ["manhattan", "cosine"])
def test_other_distances_are_the_references(metric: str) -> None:
    X, Y = data_and_map()
    expected = manifold.trustworthiness(X, Y, metric=metric)
    assert trustworthiness(X, Y, metric=metric) == pytest.approx(expected, abs=1e-12)
    distances = pairwise_distances(X, metric=metric)
    assert trustworthiness(distances, Y, metric="precomputed") == pytest.approx(expected, abs=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y = data_and_map()
    whole = trustworthiness(X, Y), continuity(X, Y)
    monkeypatch.setattr(embedding_scores, "_BLOCK_BYTES", 8 * 120 * 7)
    assert (trustworthiness(X, Y), continuity(X, Y)) == whole


def test_preservation_is_the_share_of_common_neighbors() -> None:
    X, Y = data_and_map()
    shares = []
    for i in range(len(X)):
        near = [
            set(np.argsort(np.linalg.norm(points - points[i], axis=1))[1:8]) for points in (X, Y)
        ]
        shares.append(len(near[0] & near[1]) / 7)
    assert neighbor_preservation(X, Y, n_neighbors=7) == pytest.approx(np.mean(shares))


def test_shepard_correlation_ranks_the_distances() -> None:
    X, Y = data_and_map()
    exact = spearmanr(pdist(X), pdist(Y)).statistic
    assert shepard_correlation(X, Y) == pytest.approx(exact, abs=1e-12)
    assert shepard_correlation(X, Y, n_pairs=5000, random_state=1) == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("score", [*NEIGHBOR_SCORES, shepard_correlation])
def test_a_turned_and_scaled_copy_keeps_everything(score) -> None:
    X = data_and_map()[0]
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    assert score(X, 7 * X @ turn + 100) == pytest.approx(1.0)


def test_a_random_map_keeps_nothing() -> None:
    X, _ = data_and_map(500)
    Y = np.random.default_rng(5).normal(size=(500, 2))
    assert trustworthiness(X, Y) == pytest.approx(0.5, abs=0.05)
    assert continuity(X, Y) == pytest.approx(0.5, abs=0.05)
    assert neighbor_preservation(X, Y) < 0.03
    assert abs(shepard_correlation(X, Y)) < 0.05


def test_two_groups_torn_apart_lose_continuity_and_not_trustworthiness() -> None:
    X = np.linspace(0, 1, 100)[:, None] ** 1.1
    Y = X + 5.0 * (np.arange(100) % 2)[:, None]
    assert trustworthiness(X, Y) > 0.97
    assert neighbor_preservation(X, Y) < 0.6
    folded = np.abs(X - 0.5)
    assert continuity(X, folded) > 0.97
    assert trustworthiness(X, folded) < 0.8


def test_tied_distances_share_the_better_rank() -> None:
    X = np.indices((9, 9)).reshape(2, -1).T  # a lattice
    assert trustworthiness(X, X) == 1.0
    assert trustworthiness(np.zeros((12, 2)), np.random.default_rng(0).normal(size=(12, 2))) == 1.0


@pytest.mark.parametrize("score", NEIGHBOR_SCORES)
def test_bad_input_is_refused(score) -> None:
    X, Y = data_and_map(20)
    with pytest.raises(ValueError, match="20 rows and the map 19"):
        score(X, Y[:-1])
    with pytest.raises(ValueError, match="n_neighbors=10 should be at least 1 and less than"):
        score(X, Y, n_neighbors=10)
    with pytest.raises(ValueError, match="n_neighbors=0"):
        score(X, Y, n_neighbors=0)
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        score(X, Y)
