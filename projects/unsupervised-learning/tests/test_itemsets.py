from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.frequent_patterns import apriori as reference_apriori
from mlxtend.frequent_patterns import fpgrowth as reference_fpgrowth

from unsupervised_learning.baskets import least_count, make_baskets, read_baskets
from unsupervised_learning.fp_growth import build_tree, fpgrowth
from unsupervised_learning.frequent_itemsets import apriori

MINERS = pytest.mark.parametrize("mine", [apriori, fpgrowth])


def supports(frame: pd.DataFrame) -> dict[frozenset, float]:
    assert frame["itemsets"].is_unique
    return dict(zip(frame["itemsets"], frame["support"], strict=True))


def by_counting(table: pd.DataFrame, min_support: float) -> dict[frozenset, float]:
    """Every itemset of a small table, looked up in every basket."""
    found = {}
    for size in range(1, table.shape[1] + 1):
        for names in combinations(table.columns, size):
            support = float(table[list(names)].all(axis=1).mean())
            if support >= min_support:
                found[frozenset(names)] = support
    return found


@MINERS
@pytest.mark.parametrize("min_support", [0.005, 0.03, 0.3])
@pytest.mark.parametrize("max_len", [None, 2])
def test_made_baskets_get_the_references_sets(mine, min_support: float, max_len) -> None:
    table = make_baskets(1500, 40, rng=np.random.default_rng(1))
    options = {"min_support": min_support, "use_colnames": True, "max_len": max_len}
    ours = supports(mine(table, **options))
    assert ours == supports(reference_apriori(table, **options))
    assert ours == supports(reference_fpgrowth(table, **options))


@MINERS
def test_dense_baskets_with_long_sets_get_the_references_sets(mine) -> None:
    table = pd.DataFrame(np.random.default_rng(0).random((200, 12)) < 0.7)
    ours = supports(mine(table, min_support=0.08))
    assert max(map(len, ours)) > 6
    assert ours == supports(reference_fpgrowth(table, min_support=0.08))


@MINERS
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_small_tables_get_what_counting_finds(mine, data) -> None:
    n, d = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 6))
    rows = data.draw(st.lists(st.lists(st.booleans(), min_size=d, max_size=d), min_size=n))
    table = pd.DataFrame(rows)
    # thresholds that a support meets exactly are the ones that rounding gets wrong
    min_support = data.draw(st.integers(1, len(rows))) / len(rows)
    assert supports(mine(table, min_support)) == by_counting(table, min_support)


@MINERS
def test_a_list_of_baskets_is_a_table(mine) -> None:
    table = make_baskets(300, 20, rng=np.random.default_rng(0))
    lists = [list(table.columns[row]) * 2 for row in table.to_numpy()]  # repeated names are one
    assert supports(mine(lists, 0.05)) == supports(mine(table, 0.05, use_colnames=True))


@MINERS
def test_types_of_tables_do_not_matter(mine) -> None:
    table = make_baskets(200, 10, rng=np.random.default_rng(0))
    expected = mine(table, 0.05)
    for same in (
        table.to_numpy(),
        table.astype(int),
        table.astype(np.float32),
        table.astype(object),
        np.asfortranarray(table.to_numpy()),
        table.astype(pd.SparseDtype(bool, False)),
    ):
        pd.testing.assert_frame_equal(mine(same, 0.05), expected)


def test_both_give_the_same_frame_small_sets_first() -> None:
    table = make_baskets(500, 30, rng=np.random.default_rng(2))
    frame = apriori(table, 0.01)
    pd.testing.assert_frame_equal(frame, fpgrowth(table, 0.01))
    listed = [(len(items), sorted(items)) for items in frame["itemsets"]]
    assert listed == sorted(listed)


@MINERS
def test_no_set_beats_its_subsets(mine) -> None:
    found = supports(mine(make_baskets(500, 30, rng=np.random.default_rng(3)), 0.02))
    for items, support in found.items():
        for item in items:
            if len(items) > 1:
                assert found[items - {item}] >= support


@MINERS
@pytest.mark.parametrize("n", [1, 63, 64, 65, 128])
def test_every_basket_counts_at_the_borders_of_words(mine, n: int) -> None:
    found = supports(mine(np.ones((n, 3), bool), 1.0))
    assert len(found) == 7
    assert set(found.values()) == {1.0}


@MINERS
@pytest.mark.parametrize("data", [np.zeros((4, 3), bool), [[], []], np.ones((3, 0), bool)])
def test_nothing_frequent_gives_an_empty_frame(mine, data) -> None:
    frame = mine(data, 0.5)
    assert list(frame.columns) == ["support", "itemsets"]
    assert len(frame) == 0


@MINERS
def test_names_of_several_kinds_are_taken(mine) -> None:
    found = supports(mine([["a", 1], [1, ("x", 2)], ["a", 1]], 0.6))
    assert found == {
        frozenset(["a"]): 2 / 3,
        frozenset([1]): 1.0,
        frozenset(["a", 1]): 2 / 3,
    }


def test_the_tree_shares_the_beginnings_of_paths() -> None:
    # the example of the paper: five baskets, three of them needed
    lists = ["facdgimp", "abcflmo", "bfhjo", "bcksp", "afcelpmn"]
    baskets = read_baskets([list(basket) for basket in lists])
    tree, by_rank = build_tree(baskets, 3)
    assert sorted(baskets.names[by_rank]) == ["a", "b", "c", "f", "m", "p"]
    assert tree.size - 1 < sum(tree.totals)
    for item, total in enumerate(tree.totals):
        nodes = tree.items[1 : tree.size] == item
        assert tree.counts[1 : tree.size][nodes].sum() == total
    parents = tree.parents[1 : tree.size]
    assert (parents < np.arange(1, tree.size)).all()
    assert (tree.items[parents] < tree.items[1 : tree.size]).all()


@given(n=st.integers(1, 2000), share=st.floats(1e-6, 1.0))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_least_count_is_the_least_that_reaches_the_share(n: int, share: float) -> None:
    count = least_count(share, n)
    assert count / n >= share
    assert count == 1 or (count - 1) / n < share


def test_made_baskets_hold_what_was_planted() -> None:
    table = make_baskets(4000, 60, rng=np.random.default_rng(0))
    assert table.shape == (4000, 60)
    again = make_baskets(4000, 60, rng=np.random.default_rng(0))
    pd.testing.assert_frame_equal(table, again)
    triples = apriori(table, 0.012, max_len=3)
    alone = table.to_numpy().mean(axis=0)
    chance = [np.prod(alone[list(items)]) for items in triples["itemsets"]]
    assert (triples["support"] / chance).max() > 5


@MINERS
@pytest.mark.parametrize(
    "data, options, error, message",
    [
        ([["a"]], {"min_support": 0.0}, ValueError, "min_support=0.0: give a share"),
        ([["a"]], {"min_support": 1.5}, ValueError, "min_support=1.5"),
        ([["a"]], {"max_len": 0}, ValueError, "max_len=0: give a number"),
        ([["a"]], {"max_len": 1.5}, ValueError, "max_len=1.5"),
        ([], {}, ValueError, "no baskets"),
        (np.ones((0, 3)), {}, ValueError, "no baskets"),
        (np.ones(3), {}, ValueError, "a table, one row each"),
        (np.array([[1, 2]]), {}, ValueError, "holds True, False, 0 and 1, and here is .*2"),
        (np.array([[1.0, np.nan]]), {}, ValueError, "missing values are not taken"),
        (pd.DataFrame({"a": ["yes", "no"]}), {}, ValueError, "here is 'yes'"),
        ("bread", {}, TypeError, "this is a str"),
        (["bread", "milk"], {}, TypeError, "a basket is a collection of names; this is 'bread'"),
        (7, {}, TypeError, "this is a int"),
    ],
)
def test_bad_input_is_refused(mine, data, options: dict, error, message: str) -> None:
    with pytest.raises(error, match=message):
        mine(data, **options)
