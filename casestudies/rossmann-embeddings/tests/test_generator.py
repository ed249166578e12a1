import numpy as np
import pytest

from rossmann_embeddings.features import log_sales
from rossmann_embeddings.generator import generate_chain
from rossmann_embeddings.recovery import distance_agreement, neighbors_of_own_kind


def test_the_truth_is_in_the_sales():
    """With little noise, stores that are far apart in truth sell differently by as much."""
    table, truth = generate_chain(stores=6, departments=8, weeks=104, noise=0.01)
    frame = table.frame.assign(log=log_sales(table.sales))
    shelves = frame.pivot_table(index="store", columns=["department", "date"], values="log")
    rows = shelves.to_numpy()
    apart = np.array([[np.sqrt(np.nanmean((a - b) ** 2)) for b in rows] for a in rows])
    pairs = np.triu_indices(6, 1)
    assert np.corrcoef(apart[pairs], truth.store_distance[pairs])[0, 1] > 0.9


def test_a_chain_follows_its_seed_and_plans_twelve_weeks(table):
    same, other = (generate_chain(stores=6, departments=8, weeks=90, seed=s)[0] for s in (0, 1))
    np.testing.assert_array_equal(same.sales, table.sales)
    assert not np.array_equal(other.sales[:100], table.sales[:100])
    assert len(table.dates) == 90
    assert table.plan["date"].nunique() == 12
    assert set(table.frame["holiday"]) == {"none", "christmas", "thanksgiving"}
    assert not table.frame.duplicated(["date", "store", "department"]).any()


def test_distances_agree_with_themselves_and_not_with_noise(rng):
    points = rng.standard_normal((20, 3))
    truth = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert distance_agreement(points, truth) == pytest.approx(1)
    assert distance_agreement(5 * points + 1, truth) == pytest.approx(1)
    assert abs(distance_agreement(rng.standard_normal((20, 3)), truth)) < 0.4


def test_neighbors_of_own_kind_are_counted():
    vectors = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
    assert neighbors_of_own_kind(vectors, np.array([0, 0, 1, 1, 0])) == pytest.approx(0.8)


@pytest.mark.parametrize("wrong", [{"stores": 2}, {"departments": 3}, {"weeks": 7}, {"noise": -1}])
def test_a_chain_that_is_too_small_is_refused(wrong):
    with pytest.raises(ValueError, match="at least 3, 4, 8 and 0"):
        generate_chain(**wrong)


def test_truths_of_another_size_are_refused():
    with pytest.raises(ValueError, match="are taken"):
        distance_agreement(np.zeros((4, 2)), np.zeros((3, 3)))
