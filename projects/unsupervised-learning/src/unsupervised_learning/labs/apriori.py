"""Find what is bought together: frequent itemsets with Apriori, and the rules they imply.

A shop with 169 items has $10^{50}$ sets of items. Apriori finds the frequent ones because a set
cannot be more frequent than its subsets: the left panel shows, for each size, how many sets there
are, how many are left to count, and how many are frequent. The rules on the right come from those
counts alone. A high confidence may be chance or a popular item; the color is the lift, which takes
popularity out, and the test is a second half of the baskets that no rule has seen.

Itemsets, supports and rules are held against mlxtend's, and have to be the same to the last digit.

R. Agrawal and R. Srikant, Fast algorithms for mining association rules, 1994; S. Brin and others,
Dynamic itemset counting and implication rules for market basket data, 1997.
"""

from collections.abc import Callable
from math import comb
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from annotated_types import Gt, Le
from mlxtend import frequent_patterns as reference
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.baskets import make_baskets
from unsupervised_learning.frequent_itemsets import apriori
from unsupervised_learning.rules import MEASURES, association_rules

PRESETS = {
    "smoke": {"sets": ("wine",), "seeds": 1, "rows": 1000},
    "default": {},
    "full": {
        "data": "groceries",
        "min_support": 0.005,
        "min_confidence": 0.25,
        "sets": ("adult", "mushrooms", "letter", "telco_churn"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("rules", ">=", 10),
    Claim("rules_that_differ", "==", 0),
    Claim("held_out_confidence_error", "<=", 0.1),
    Claim("held_out_lift", ">=", 1.5),
    Claim("sets_counted_share", "<=", 0.1),
    Claim("apart.Apriori", "<=", 0.0),
    Claim("behind.Apriori", "<=", 0.0),
    Claim("ratio.fit.Apriori", "<=", 1.0, presets=("full",)),
    Claim("ratio.rules", "<=", 1.0, presets=("full",)),
    Claim("exponent_excess.Apriori", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.Apriori", "<=", 2.0, presets=("full",)),
]


class Miner(BaseEstimator):
    """A miner with the interface of an estimator, so that it can be measured like one."""

    def __init__(
        self, mine: Callable[..., pd.DataFrame], min_support: float = 0.01, max_len: int = 4
    ) -> None:
        self.mine = mine
        self.min_support = min_support
        self.max_len = max_len

    def fit(self, X: Any, y: None = None) -> Self:
        """Mine the table X."""
        table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
        self.itemsets_ = self.mine(table, min_support=self.min_support, max_len=self.max_len)
        return self


def main(
    run: Run,
    *,
    data: Annotated[Literal["made", "groceries"], "the baskets"] = "made",
    min_support: Annotated[float, Gt(0), Le(1), "the smallest support of an itemset"] = 0.01,
    min_confidence: Annotated[float, Gt(0), Le(1), "the smallest confidence of a rule"] = 0.5,
    sets: Sets = ("wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Mine one half of the baskets, test the rules on the other, then measure Apriori."""
    table = one_hot(run, data)
    half = run.rng.permutation(len(table)) < len(table) // 2
    itemsets = apriori(table[half], min_support, use_colnames=True)
    rules = association_rules(itemsets, "confidence", min_confidence)
    strong = rules[rules["lift"] > 1.2].sort_values("lift", ascending=False, kind="stable")
    run.metric("itemsets", len(itemsets))
    run.metric("rules", len(rules))
    check_rules(run, strong, table[~half])

    figure, axes = plots.figure(1, 2, width=9.6, height=3.6)
    draw_sizes(run, axes[0], itemsets, table.shape[1])
    draw_rules(figure, axes[1], rules)
    run.figure(
        "rules",
        figure,
        "Left: sets of each size, those that Apriori counts, and those that are frequent. Right: a "
        "point is a rule; the color is its lift.",
    )
    compare_rules(run, itemsets, min_confidence)
    pair = Pair(
        "Apriori",
        Miner(apriori),
        Miner(reference.apriori),
        "mlxtend",
        score=agreement,
        holdout=False,
        make=lambda n, seed: (make_baskets(n, rng=np.random.default_rng(seed)), None),
        apply="",
        prepare=as_items,
    )
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def one_hot(run: Run, data: str) -> pd.DataFrame:
    """The baskets as a table, bool (n, items)."""
    if data == "made":
        return make_baskets(10_000, rng=run.rng)
    lists = run.data(data)["baskets"]
    names = sorted({name for basket in lists for name in basket})
    table = pd.DataFrame(False, index=range(len(lists)), columns=names)
    places = {name: i for i, name in enumerate(names)}
    values = table.to_numpy(copy=True)
    for row, basket in enumerate(lists):
        values[row, [places[name] for name in basket]] = True
    return pd.DataFrame(values, columns=names)


def check_rules(run: Run, rules: pd.DataFrame, unseen: pd.DataFrame) -> None:
    """Confidence and lift of the strongest rules on baskets that were not mined."""
    rows = []
    for rule in rules.head(50).to_dict("records"):
        a = unseen[list(rule["antecedents"])].all(axis=1)
        c = unseen[list(rule["consequents"])].all(axis=1)
        confidence = float(c[a].mean()) if a.any() else 0.0
        rows.append(
            {
                "rule": f"{name(rule['antecedents'])} → {name(rule['consequents'])}",
                **{key: rule[key] for key in ("support", "confidence", "lift", "conviction")},
                "held_out_confidence": confidence,
                "held_out_lift": confidence / max(float(c.mean()), 1e-12),
            }
        )
    frame = pd.DataFrame(rows)
    error = (frame["confidence"] - frame["held_out_confidence"]).abs().mean()
    run.metric("held_out_confidence_error", float(error))
    run.metric("held_out_lift", float(frame["held_out_lift"].median()))
    run.table("rules", rows[:12], caption="The rules of the highest lift, and on unseen baskets")


def name(items: frozenset) -> str:
    """The names of a set."""
    return ", ".join(sorted(items))


def draw_sizes(run: Run, axes: Any, itemsets: pd.DataFrame, n_items: int) -> None:
    of_size = itemsets["itemsets"].groupby(itemsets["itemsets"].map(len))
    frequent = {int(size): set(group) for size, group in of_size}
    sizes = range(1, max(frequent) + 1)
    all_sets = [comb(n_items, size) for size in sizes]
    counted = [n_items] + [count_candidates(frequent[size]) for size in sizes[:-1]]
    for values, label, style in (
        (all_sets, "all", "s--"),
        (counted, "counted", "o-"),
        ([len(frequent[size]) for size in sizes], "frequent", "^-"),
    ):
        axes.semilogy(sizes, np.maximum(values, 1), style, markersize=4, label=label)
    run.metric("sets_counted_share", sum(counted[1:]) / max(sum(all_sets[1:]), 1))
    axes.set(title="What is never counted", xlabel="items of a set", ylabel="sets")
    axes.set_xticks(list(sizes))
    axes.legend()


def count_candidates(frequent: set[frozenset]) -> int:
    """How many sets of one item more have only frequent subsets."""
    items = set().union(*frequent)
    found = set()
    for own in frequent:
        top = max(own)
        for item in items:
            if item > top and all(own - {out} | {item} in frequent for out in own):
                found.add(own | {item})
    return len(found)


def draw_rules(figure: Any, axes: Any, rules: pd.DataFrame) -> None:
    ordered = rules.sort_values("lift")
    points = axes.scatter(
        ordered["support"], ordered["confidence"], c=np.log2(ordered["lift"]), s=10
    )
    figure.colorbar(points, ax=axes, label="lift (log2)")
    axes.set(xscale="log", xlabel="support", ylabel="confidence", title=f"{len(rules):,} rules")


def compare_rules(run: Run, itemsets: pd.DataFrame, min_confidence: float) -> None:
    ours = association_rules(itemsets, "confidence", min_confidence)
    theirs = reference.association_rules(
        itemsets, metric="confidence", min_threshold=min_confidence
    )
    sides = ["antecedents", "consequents"]
    listed = [
        set(frame[[*sides, *MEASURES]].itertuples(index=False, name=None))
        for frame in (ours, theirs)
    ]
    run.metric("rules_that_differ", len(listed[0] ^ listed[1]))
    run.compare(
        "rules",
        lambda: association_rules(itemsets, "confidence", min_confidence),
        lambda: reference.association_rules(
            itemsets, metric="confidence", min_threshold=min_confidence
        ),
        library="mlxtend",
        pairs=5,
    )


def as_items(X: NDArray) -> NDArray:
    """Standardized columns as items: a row has those that are above their mean, 20 at most."""
    return X[:, :20] > 0


def agreement(fitted: Miner, X: NDArray, y: Any) -> float:
    """The share of itemsets, with their supports, that mlxtend's FP-growth finds too, in points."""
    judge = reference.fpgrowth(
        pd.DataFrame(X), min_support=fitted.min_support, max_len=fitted.max_len
    )
    sides = [
        {(frozenset(map(int, s)), p) for s, p in zip(f["itemsets"], f["support"], strict=True)}
        for f in (fitted.itemsets_, judge)
    ]
    return 100.0 * len(sides[0] & sides[1]) / max(len(sides[0] | sides[1]), 1)
