import numpy as np
import pandas as pd
import pytest
from mlxtend.frequent_patterns import association_rules as reference

from unsupervised_learning.baskets import make_baskets
from unsupervised_learning.fp_growth import fpgrowth
from unsupervised_learning.rules import MEASURES, association_rules

TABLE = make_baskets(1000, 25, rng=np.random.default_rng(0))


def by_sides(rules: pd.DataFrame) -> dict:
    return rules.set_index(["antecedents", "consequents"])[list(MEASURES)].to_dict("index")


@pytest.mark.parametrize(
    "metric, threshold",
    [
        ("confidence", 0.6),
        ("lift", 1.5),
        ("support", 0.05),
        ("leverage", 0.01),
        ("conviction", 1.2),
    ],
)
def test_rules_are_the_references(metric: str, threshold: float) -> None:
    itemsets = fpgrowth(TABLE, 0.02, use_colnames=True)
    ours = by_sides(association_rules(itemsets, metric, threshold))
    theirs = by_sides(reference(itemsets, metric=metric, min_threshold=threshold))
    assert len(ours) > 10
    assert ours == theirs  # to the last digit


def test_the_order_of_the_itemsets_does_not_matter() -> None:
    itemsets = fpgrowth(TABLE, 0.05)
    shuffled = itemsets.sample(frac=1.0, random_state=0)
    expected = by_sides(association_rules(itemsets, "lift", 0.0))
    assert by_sides(association_rules(shuffled, "lift", 0.0)) == expected


def test_measures_are_what_the_baskets_say() -> None:
    rules = association_rules(fpgrowth(TABLE, 0.03, use_colnames=True), min_threshold=0.3)
    for rule in rules.sample(20, random_state=0).to_dict("records"):
        a = TABLE[list(rule["antecedents"])].all(axis=1)
        c = TABLE[list(rule["consequents"])].all(axis=1)
        assert not rule["antecedents"] & rule["consequents"]
        assert rule["support"] == pytest.approx((a & c).mean())
        assert rule["confidence"] == pytest.approx(c[a].mean())
        assert rule["lift"] == pytest.approx(c[a].mean() / c.mean())
        assert rule["leverage"] == pytest.approx((a & c).mean() - a.mean() * c.mean())
        wrong, by_chance = (a & ~c).mean(), a.mean() * (1 - c.mean())
        assert rule["conviction"] == pytest.approx(by_chance / wrong if wrong else np.inf)


def test_a_rule_without_exception_has_infinite_conviction() -> None:
    table = pd.DataFrame({"a": [1, 1, 0, 0], "b": [1, 1, 1, 0]})
    rules = by_sides(association_rules(fpgrowth(table, 0.5, use_colnames=True), min_threshold=1.0))
    assert list(rules) == [(frozenset("a"), frozenset("b"))]
    assert rules[frozenset("a"), frozenset("b")]["conviction"] == np.inf


def test_an_itemset_of_four_gives_fourteen_rules() -> None:
    itemsets = fpgrowth(np.ones((2, 4), bool), 1.0)
    whole = association_rules(itemsets, min_threshold=0.0)
    of_four = [
        (a, c)
        for a, c in zip(whole["antecedents"], whole["consequents"], strict=True)
        if len(a | c) == 4
    ]
    assert len(of_four) == len(set(of_four)) == 14


def test_no_rule_gives_an_empty_frame() -> None:
    rules = association_rules(fpgrowth(TABLE, 0.05), "confidence", 1.1)
    assert len(rules) == 0
    assert list(rules.columns) == ["antecedents", "consequents", *MEASURES]


def test_bad_input_is_refused() -> None:
    itemsets = fpgrowth(TABLE, 0.05)
    with pytest.raises(ValueError, match=r"metric='odds': rules are measured by .*lift"):
        association_rules(itemsets, "odds")
    with pytest.raises(ValueError, match="columns `support` and `itemsets`"):
        association_rules(itemsets[["support"]])
    with pytest.raises(ValueError, match="there are no itemsets: mine with a lower"):
        association_rules(itemsets[:0])
    pairs = itemsets[itemsets["itemsets"].map(len) == 2]
    with pytest.raises(KeyError, match="a subset of an itemset is not in the frame"):
        association_rules(pairs)
    incomplete = itemsets[itemsets["itemsets"] != itemsets["itemsets"].iloc[0]]
    with pytest.raises(KeyError, match="a subset of an itemset is not in the frame"):
        association_rules(incomplete)
