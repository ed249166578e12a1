r"""Association rules: who buys $A$ also buys $C$, and how much that says.

A rule $A \to C$ has an antecedent and a consequent, which share no item. Every frequent itemset of
$k$ items gives $2^k - 2$ of them: any of its items to the left, the others to the right. With $s$
for the support, the measures are

| measure | formula | says |
| --- | --- | --- |
| support | $s(A \cup C)$ | the share of baskets that it is about |
| confidence | $s(A \cup C) / s(A)$ | the share of baskets with $A$ that hold $C$, too |
| lift | $\text{confidence} / s(C)$ | times as often as if $A$ said nothing about $C$ |
| leverage | $s(A \cup C) - s(A)\,s(C)$ | the share of baskets beyond that |
| conviction | $(1 - s(C)) / (1 - \text{confidence})$ | how much more often it would be wrong then |

Confidence alone misleads: what everybody buys follows from anything. Lift and leverage are the same
for $A \to C$ and $C \to A$; conviction is not, and it is infinite for a rule without exception.

No basket is needed: by Apriori's observation all subsets of a frequent set are frequent, so their
supports are in the frame already. A subset is found by walking down a trie of the itemsets, all
itemsets of a size at once.

Source: Rakesh Agrawal, Tomasz Imieliński and Arun Swami, *Mining association rules between sets of
items in large databases*, 1993; Sergey Brin and others, *Dynamic itemset counting and implication
rules for market basket data*, 1997 (lift, conviction); Gregory Piatetsky-Shapiro, *Discovery,
analysis, and presentation of strong rules*, 1991 (leverage).
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: The columns of numbers of a frame of rules.
MEASURES = (
    "antecedent support",
    "consequent support",
    "support",
    "confidence",
    "lift",
    "leverage",
    "conviction",
)


def association_rules(
    itemsets: pd.DataFrame, metric: str = "confidence", min_threshold: float = 0.8
) -> pd.DataFrame:
    """The rules of some frequent itemsets that reach a threshold.

    Parameters
    ----------
    itemsets : DataFrame with the columns `support` and `itemsets` (collections of names), as
        `apriori` and `fpgrowth` give it: with a set, all of its subsets.
    metric : a column of `MEASURES`.
    min_threshold : the smallest value of that column.

    Returns
    -------
    DataFrame with the columns `antecedents` and `consequents` (frozenset) and those of `MEASURES`;
    rules of small itemsets first, and of one itemset those with short antecedents first.

    Raises
    ------
    ValueError : for another metric, and for a frame that is empty or lacks a column.
    KeyError : where a subset of an itemset is not in the frame.

    References
    ----------
    Rakesh Agrawal, Tomasz Imieliński and Arun Swami, *Mining association rules between sets of
    items in large databases*, 1993.

    Examples
    --------
    >>> from unsupervised_learning.frequent_itemsets import apriori
    >>> baskets = [["bread", "milk"], ["bread", "butter", "milk"], ["butter"]]
    >>> rules = association_rules(apriori(baskets, min_support=0.6), min_threshold=0.9)
    >>> rules["antecedents"].map(set).tolist(), rules["confidence"].tolist()
    ([{'bread'}, {'milk'}], [1.0, 1.0])
    """
    if metric not in MEASURES:
        raise ValueError(f"metric={metric!r}: rules are measured by {', '.join(MEASURES)}")
    if not {"support", "itemsets"} <= set(itemsets.columns):
        raise ValueError("a frame of itemsets has the columns `support` and `itemsets`")
    if len(itemsets) == 0:
        raise ValueError("there are no itemsets: mine with a lower min_support")
    names, trie = _trie(itemsets)
    antecedents: list[frozenset] = []
    consequents: list[frozenset] = []
    measured = [np.empty((0, len(MEASURES)))]
    for left, right, a, c, both in _splits(trie):
        values = _measure(a, c, both)
        good = values[:, MEASURES.index(metric)] >= min_threshold
        measured.append(values[good])
        antecedents += map(frozenset, names[left[good]].tolist())
        consequents += map(frozenset, names[right[good]].tolist())
    columns = {"antecedents": _objects(antecedents), "consequents": _objects(consequents)}
    columns |= dict(zip(MEASURES, np.concatenate(measured).T, strict=True))
    return pd.DataFrame(columns)


def _measure(a: NDArray, c: NDArray, both: NDArray) -> NDArray[np.float64]:
    """The columns of `MEASURES` from the supports of both sides and of the whole."""
    confidence = both / a
    conviction = np.full(len(both), np.inf)
    np.divide(1.0 - c, 1.0 - confidence, out=conviction, where=confidence < 1.0)
    return np.column_stack([a, c, both, confidence, confidence / c, both - a * c, conviction])


class _Trie:
    """Itemsets as paths of item numbers; a node is known by its parent and its item.

    Nodes are numbered depth by depth; the root is the 0 that the first items have for a parent.
    """

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items
        self.keys: list[NDArray[np.int64]] = []  # of each depth: parent · n_items + item, ascending
        self.first: list[int] = [0]  # the number of the first node of each depth
        self.members: list[NDArray[np.int64]] = []  # the items of each depth's sets
        self.support = np.empty(0)

    def add(self, members: NDArray[np.int64], support: NDArray[np.float64]) -> None:
        """Add all sets of the next size k, (m, k), ascending in each row."""
        nodes = np.zeros(len(members), np.int64)
        for depth in range(members.shape[1] - 1):
            nodes = self.step(nodes, depth, members[:, depth])
        keys = nodes * self.n_items + members[:, -1]
        order = np.argsort(keys)
        self.keys.append(keys[order])
        self.members.append(members[order])
        self.first.append(self.first[-1] + len(keys))
        self.support = np.concatenate([self.support, support[order]])

    def step(self, nodes: NDArray[np.int64], depth: int, items: NDArray) -> NDArray[np.int64]:
        """The children of some nodes of a depth, by their items."""
        keys = nodes * self.n_items + items
        known = self.keys[depth]
        place = np.searchsorted(known, keys)
        if len(keys) and (place.max() == len(known) or (known[place] != keys).any()):
            raise KeyError(
                "a subset of an itemset is not in the frame, so its support is not known: "
                "give all frequent itemsets, as apriori and fpgrowth find them"
            )
        return place + self.first[depth]


def _trie(itemsets: pd.DataFrame) -> tuple[NDArray, _Trie]:
    """Number the items, and build the trie of the itemsets."""
    sets = [tuple(names) for names in itemsets["itemsets"]]
    support = itemsets["support"].to_numpy(np.float64)
    number: dict = {}
    numbered = [[number.setdefault(name, len(number)) for name in names] for names in sets]
    sizes = np.array([len(names) for names in sets])
    trie = _Trie(len(number))
    for size in range(1, int(sizes.max()) + 1):
        rows = np.flatnonzero(sizes == size)
        members = np.array([numbered[row] for row in rows], np.int64).reshape(-1, size)
        trie.add(np.sort(members, axis=1), support[rows])
    return _objects(list(number)), trie


def _splits(
    trie: _Trie,
) -> Iterator[tuple[NDArray, NDArray, NDArray, NDArray, NDArray]]:
    """The two sides of every rule: their items, their supports, and the support of the whole.

    A subset is found one step below the subset without its last item.
    """
    for depth, members in enumerate(trie.members[1:], start=1):
        whole = trie.support[trie.first[depth] : trie.first[depth + 1]]
        everything = tuple(range(depth + 1))
        nodes: dict[tuple[int, ...], NDArray] = {(): np.zeros(len(members), np.int64)}
        support: dict[tuple[int, ...], NDArray] = {}
        subsets = [chosen for size in everything[1:] for chosen in combinations(everything, size)]
        for chosen in subsets:
            above, last = chosen[:-1], chosen[-1]
            nodes[chosen] = trie.step(nodes[above], len(above), members[:, last])
            support[chosen] = trie.support[nodes[chosen]]
        for chosen in subsets:
            others = tuple(i for i in everything if i not in chosen)
            left, right = members[:, chosen], members[:, others]
            yield left, right, support[chosen], support[others], whole


def _objects(values: list) -> NDArray:
    """An array of objects; collections stay whole."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
