"""Mine baskets from a prefix tree: FP-growth, timed against Apriori at falling support.

Apriori makes candidates and counts each one. FP-growth makes none: it stores the baskets in a tree,
in which those with the same popular items share a path, and grows the sets along the paths. The
left panel is such a tree, of the five baskets of the paper's example: a node is an item with the
number of baskets through it. The right panel sets both against the support. The lower it is, the
more sets there are, and the more candidates fail; but counting a candidate with 64 baskets a step
is cheap, so that the tree has to be small to pay. Both give the same sets, and so does mlxtend.

J. Han, J. Pei and Y. Yin, Mining frequent patterns without candidate generation, 2000.
"""

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from annotated_types import Ge
from mlxtend import frequent_patterns as reference
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.baskets import Baskets, least_count, make_baskets, read_baskets
from unsupervised_learning.fp_growth import build_tree, fpgrowth
from unsupervised_learning.frequent_itemsets import apriori

PRESETS = {
    "smoke": {
        "baskets": 2000,
        "supports": (0.03, 0.01),
        "sets": ("wine",),
        "seeds": 1,
        "rows": 1000,
    },
    "default": {},
    "full": {
        "data": "groceries",
        "supports": (0.03, 0.01, 0.003, 0.001),
        "sets": ("adult", "mushrooms", "letter", "telco_churn"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("sets_that_differ", "==", 0),
    Claim("nodes_an_item", "<=", 0.9),
    Claim("apart.FPGrowth", "<=", 0.0),
    Claim("behind.FPGrowth", "<=", 0.0),
    Claim("ratio.against_mlxtend_apriori", "<=", 1.0, presets=("default", "full")),
    Claim("ratio.fit.FPGrowth", "<=", 1.0, presets=("full",)),
    Claim("exponent_excess.FPGrowth", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.FPGrowth", "<=", 2.0, presets=("full",)),
]
EXAMPLE = ("facdgimp", "abcflmo", "bfhjo", "bcksp", "afcelpmn")


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
    baskets: Annotated[int, Ge(100), "the number of made baskets"] = 10_000,
    supports: Annotated[tuple[float, ...], "the supports, falling"] = (0.03, 0.01, 0.003, 0.001),
    sets: Sets = ("wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw a tree, time both miners at each support, then hold FP-growth against mlxtend."""
    if data == "made":
        table = make_baskets(baskets, rng=run.rng)
    else:
        lists = run.data(data)["baskets"]
        names = sorted({name for basket in lists for name in basket})
        table = pd.DataFrame([[name in basket for name in names] for basket in map(set, lists)])
    figure, axes = plots.figure(1, 2, width=9.6, height=3.6)
    draw_tree(axes[0], read_baskets([list(basket) for basket in EXAMPLE]), 3)
    draw_times(run, axes[1], table, supports)
    run.figure(
        "tree",
        figure,
        "Left: the FP-tree of five baskets, items of at least three of them. Right: the shortest "
        "of three turns; dashed: mlxtend.",
    )
    compress(run, table, supports[-1])
    lowest = supports[-1]
    run.compare(
        "against_apriori",
        lambda: fpgrowth(table, lowest),
        lambda: apriori(table, lowest),
        library="Apriori of this package",
        pairs=5,
    )
    run.compare(
        "against_mlxtend_apriori",
        lambda: fpgrowth(table, supports[1]),
        lambda: reference.apriori(table, supports[1]),
        library="mlxtend",
        pairs=5,
    )
    pair = Pair(
        "FPGrowth",
        Miner(fpgrowth),
        Miner(reference.fpgrowth),
        "mlxtend",
        score=agreement,
        holdout=False,
        make=lambda n, seed: (make_baskets(n, rng=np.random.default_rng(seed)), None),
        apply="",
        prepare=as_items,
    )
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def draw_tree(axes: Any, baskets: Baskets, least: int) -> None:
    """Leaves side by side, a parent above the middle of its children."""
    tree, by_rank = build_tree(baskets, least)
    names = baskets.names[by_rank]
    children: dict[int, list[int]] = {node: [] for node in range(tree.size)}
    for node in range(1, tree.size):
        children[int(tree.parents[node])].append(node)
    place: dict[int, tuple[float, int]] = {}
    leaves = 0

    def put(node: int, depth: int) -> float:
        nonlocal leaves
        below = [put(child, depth + 1) for child in children[node]]
        if not below:
            leaves += 1
        place[node] = (float(np.mean(below)) if below else float(leaves), -depth)
        return place[node][0]

    put(0, 0)
    for node, (x, y) in place.items():
        if node:
            above = place[int(tree.parents[node])]
            axes.plot([above[0], x], [above[1], y], color=plots.PALETTE[7], zorder=1)
        label = f"{names[tree.items[node]]} : {tree.counts[node]}" if node else "root"
        axes.text(
            x, y, label, ha="center", va="center", zorder=2,
            bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": plots.PALETTE[0]},
        )  # fmt: skip
    axes.set(title="Five baskets as a tree", xlim=(0.4, leaves + 0.6))
    axes.margins(y=0.12)
    axes.set_axis_off()


def draw_times(run: Run, axes: Any, table: pd.DataFrame, supports: tuple[float, ...]) -> None:
    miners = {
        "FP-growth": (fpgrowth, plots.PALETTE[0], "o-"),
        "Apriori": (apriori, plots.PALETTE[1], "o-"),
        "FP-growth, mlxtend": (reference.fpgrowth, plots.PALETTE[0], "s--"),
        "Apriori, mlxtend": (reference.apriori, plots.PALETTE[1], "s--"),
    }
    differ = 0
    rows = []
    for support in supports:
        found, seconds = {}, {}
        for name, (mine, _, _) in miners.items():
            slow = name == "Apriori, mlxtend" and support < 0.003  # gigabytes of candidates
            if not slow:
                found[name], seconds[name] = shortest(mine, table, support)
        differ += sum(len(found["FP-growth"] ^ other) for other in found.values())
        rows.append({"support": support, "itemsets": len(found["FP-growth"]), **seconds})
    run.metric("sets_that_differ", differ)
    run.table("times", rows, columns=["support", "itemsets", *miners], caption="Seconds of a mine")
    for name, (_, color, style) in miners.items():
        points = [(row["support"], row[name]) for row in rows if name in row]
        axes.loglog(*zip(*points, strict=True), style, color=color, markersize=4, label=name)
    axes.invert_xaxis()
    axes.set(title="Falling support", xlabel="smallest support", ylabel="seconds")
    axes.legend(fontsize=8)


def shortest(mine: Callable[..., pd.DataFrame], table: pd.DataFrame, support: float) -> Any:
    """What a miner finds, and the shortest of three turns; one where it is slow."""
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        frame = mine(table, min_support=support)
        best = min(best, time.perf_counter() - start)
        if best > 2.0:
            break
    return listed(frame), best


def listed(frame: pd.DataFrame) -> set[tuple[frozenset, float]]:
    """Itemsets with their supports."""
    sets = (frozenset(map(int, items)) for items in frame["itemsets"])
    return set(zip(sets, frame["support"], strict=True))


def compress(run: Run, table: pd.DataFrame, support: float) -> None:
    """Tell the run how many nodes the tree has for each frequent item of a basket."""
    baskets = read_baskets(table)
    tree, _ = build_tree(baskets, least_count(support, len(baskets)))
    run.metric("tree_nodes", tree.size - 1)
    run.metric("nodes_an_item", (tree.size - 1) / max(int(tree.totals.sum()), 1))


def as_items(X: NDArray) -> NDArray:
    """Standardized columns as items: a row has those that are above their mean, 20 at most."""
    return X[:, :20] > 0


def agreement(fitted: Miner, X: NDArray, y: Any) -> float:
    """The share of itemsets, with their supports, that mlxtend's Apriori finds too, in points."""
    judge = reference.apriori(
        pd.DataFrame(X), min_support=fitted.min_support, max_len=fitted.max_len
    )
    sides = [listed(frame) for frame in (fitted.itemsets_, judge)]
    return 100.0 * len(sides[0] & sides[1]) / max(len(sides[0] | sides[1]), 1)
