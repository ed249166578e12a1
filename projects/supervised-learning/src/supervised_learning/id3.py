r"""ID3: a tree that asks for a category, and goes a way of its own for every answer.

A node holds classes in shares $p_k$; to tell the class of one of its rows takes
$H = -\sum_k p_k \log_2 p_k$ bits. A column with the values $v$ splits the node of weight $w$ into
parts of weight $w_v$; knowing the column's value, it takes $\sum_v \frac{w_v}{w} H_v$ bits, so its
**information gain** is

$$G = H - \sum_v \frac{w_v}{w} H_v .$$

ID3 asks for the column that gains most, and goes on within each part until a part is pure or its
rows differ in no column. A column is never asked for twice on one way, as it is constant below.

The gain favors columns with many values: a row number gains everything and teaches nothing. The
**gain ratio** divides by the bits of the answer itself, $-\sum_v \frac{w_v}{w} \log_2
\frac{w_v}{w}$, among the columns whose gain is at least the mean of those that can split.

One pass over a node's rows counts the classes by value for every column, so a node of $m$ rows with
$V$ values and $K$ classes takes $O(m\,d + V (K + \log V))$, and a level of the tree $O(n\,d)$.

Reference: J. R. Quinlan, *Induction of Decision Trees*, 1986; the gain ratio is its section 7.
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from supervised_learning.tree.criteria import entropy, table_of_log2, times_log_share
from supervised_learning.tree.drawing import Outline

#: Stands for the column of a leaf, and for a value that was not in the training set.
NONE = -1
#: So many rows are sorted first, to see whether they hold all values of a column.
_FEW = 1000
#: A gain below this is rounding.
_ROUNDING = 1e-12


@dataclass
class CategoryTree:
    """The nodes of a fitted ID3 tree as arrays, level by level; children stand side by side.

    Attributes
    ----------
    column : int32 (nodes,), what a node asks for; -1 in a leaf.
    first_child, n_children : int32 (nodes,), where its children stand, and how many there are.
    code : int32 (nodes,), which value of the parent's column leads here: a place in `categories_`.
    weight, impurity, gain : float64 (nodes,), the rows' weight, its entropy in bits, and the gain.
    value : float64 (nodes, k), the shares of the classes.
    """

    column: NDArray[np.int32]
    first_child: NDArray[np.int32]
    n_children: NDArray[np.int32]
    code: NDArray[np.int32]
    weight: NDArray[np.float64]
    impurity: NDArray[np.float64]
    gain: NDArray[np.float64]
    value: NDArray[np.float64]

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return len(self.column)


class ID3Classifier(ClassifierMixin, BaseEstimator):
    """A multiway decision tree on categorical columns, grown by information gain.

    Every different value of a column is a category: text or numbers. A category that a node has not
    met ends the walk there, and the node's own classes are the answer.

    Parameters
    ----------
    criterion : {"gain", "gain_ratio"}
        Information gain, or its share of the bits that the answer itself holds.
    max_depth : int or None
        How many questions are asked at most; None: as many as there are columns.
    min_samples_split : int
        A node with fewer rows asks nothing.

    Attributes
    ----------
    classes_ : (k,), sorted. categories_ : list of d sorted arrays, the values of each column.
    tree_ : `CategoryTree`, the nodes as arrays.
    feature_importances_ : (d,), each column's share in the gains.
    n_features_in_ : int. feature_names_in_ : where X is a frame.

    Raises
    ------
    ValueError
        For X or y that do not fit, missing values, or parameters out of range.
    TypeError
        For a column that mixes text and numbers.

    References
    ----------
    J. R. Quinlan, *Induction of Decision Trees*, 1986.

    Examples
    --------
    >>> X = [["sunny", "weak"], ["sunny", "strong"], ["rain", "weak"], ["rain", "strong"]]
    >>> model = ID3Classifier().fit(X, ["out", "out", "out", "in"])
    >>> model.predict([["rain", "strong"], ["snow", "weak"]])
    array(['in', 'out'], dtype='<U3')
    """

    _parameter_constraints: ClassVar[dict] = {
        "criterion": [StrOptions({"gain", "gain_ratio"})],
        "max_depth": [Interval(Integral, 1, None, closed="left"), None],
        "min_samples_split": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        *,
        criterion: str = "gain",
        max_depth: int | None = None,
        min_samples_split: int = 2,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the tree on X (n, d) and the classes y (n,), with weights (n,) where given."""
        X, y = validate_data(self, X, y, dtype=None)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        weight = np.ones(len(y))
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        self.categories_, cells, first = _categories(X)
        labels = labels.astype(np.int32)
        if not weight.all():
            kept = weight > 0
            cells, labels, weight = cells[kept], labels[kept], weight[kept]
        self.tree_ = CategoryTree(
            *_grow(
                cells,
                first,
                labels,
                weight.copy(),  # the rows are moved about
                table_of_log2(weight, len(y)),
                len(self.classes_),
                self.criterion == "gain_ratio",
                2**31 - 1 if self.max_depth is None else self.max_depth,
                self.min_samples_split,
            )
        )
        self._key_of = None
        if X.dtype.kind in "iuf":  # the number that leads to each node: predictions need no codes
            tree, values = self.tree_, np.concatenate(self.categories_)
            asked = np.repeat(tree.column, tree.n_children)  # which question nodes 1, 2, … answer
            self._key_of = np.concatenate([values[:1], values[first[asked] + tree.code[1:]]])
        return self

    def apply(self, X: ArrayLike) -> NDArray[np.int32]:
        """The number of the node in which each row of X (n, d) ends: (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=None, reset=False)
        tree = self.tree_
        if self._key_of is not None and self._key_of.dtype == X.dtype:
            keys, key_of = np.ascontiguousarray(X), self._key_of
        else:
            places = [_code(X[:, c], values, c) for c, values in enumerate(self.categories_)]
            keys, key_of = np.column_stack(places), tree.code
        return _walk(keys, key_of, tree.column, tree.first_child, tree.n_children)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The shares of the classes where each row of X (n, d) ends: (n, k)."""
        ends = self.apply(X)
        return self.tree_.value[ends]

    def predict(self, X: ArrayLike) -> NDArray:
        """The most frequent class where each row of X (n, d) ends: (n,)."""
        ends = self.apply(X)
        return self.classes_[self.tree_.value.argmax(axis=1)[ends]]

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """The share of each column in the gains of the tree (d,); they add up to 1."""
        check_is_fitted(self)
        tree = self.tree_
        asks = tree.column != NONE
        bits = (tree.gain * tree.weight)[asks]
        total = np.bincount(tree.column[asks], bits, self.n_features_in_).astype(np.float64)
        return total / total.sum() if total.sum() > 0 else total

    def outline(self, *, max_depth: int | None = None) -> Outline:
        """The tree for `tree.drawing`: its questions, and a way for each answer."""
        check_is_fitted(self)
        tree = self.tree_
        count = range(self.n_features_in_)
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in count])
        chance = 1 / len(self.classes_)

        def describe(node: int, way: str, depth: int) -> Outline:
            share = tree.value[node].max()
            kind = int(tree.value[node].argmax())
            result = Outline(
                "",
                f"{self.classes_[kind]} {share:.0%} of {tree.weight[node]:.4g}",
                way,
                kind,
                float((share - chance) / (1 - chance)) if chance < 1 else 1.0,
            )
            column = tree.column[node]
            if column != NONE and (max_depth is None or depth < max_depth):
                result.question = f"{names[column]}, {tree.gain[node]:.3f} bits"
                first = tree.first_child[node]
                result.children = [
                    describe(child, str(self.categories_[column][tree.code[child]]), depth + 1)
                    for child in range(first, first + tree.n_children[node])
                ]
            return result

        return describe(0, "", 0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def information_gains(X: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """What each column of X (n, d) tells about the classes y (n,), in bits: (d,).

    It is the definition, term by term; the walk of `ID3Classifier` finds the same numbers.
    """
    X, y = np.asarray(X), np.asarray(y)

    def bits(labels: NDArray) -> float:
        return float(entropy(np.unique(labels, return_counts=True)[1].astype(float)))

    gains = np.full(X.shape[1], bits(y))
    for c in range(X.shape[1]):
        for value in np.unique(X[:, c]):
            part = y[X[:, c] == value]
            gains[c] -= len(part) / len(y) * bits(part)
    return gains


def _categories(X: NDArray) -> tuple[list[NDArray], NDArray[np.int32], NDArray[np.int64]]:
    """The sorted values of each column of X (n, d), every entry as a cell, and the first cells.

    The values of all columns, one column behind the other, are numbered through: these are the
    cells (n, d), and a column's begin at an entry of the third array (d + 1,).
    """
    categories, codes = [], []
    for c in range(X.shape[1]):
        _refuse_none(X[:, c], c)
        try:
            values = np.unique(X[:_FEW, c])
            code = _code(X[:, c], values, c)
            if code.min() == NONE:  # there are more values than those of the first rows
                values, code = np.unique(X[:, c], return_inverse=True)
        except TypeError:
            raise _mixed(c) from None
        categories.append(values)
        codes.append(code)
    first = np.cumsum([0, *(len(values) for values in categories)])
    return categories, (np.column_stack(codes) + first[:-1]).astype(np.int32), first


def _code(column: NDArray, values: NDArray, c: int) -> NDArray[np.int32]:
    """The place of each entry (n,) among the sorted values, -1 where it is none of them."""
    _refuse_none(column, c)
    try:
        place = np.minimum(np.searchsorted(values, column), len(values) - 1)
    except TypeError:
        raise _mixed(c) from None
    return np.where(values[place] == column, place, NONE).astype(np.int32)


def _refuse_none(column: NDArray, c: int) -> None:
    if column.dtype == object and any(value is None for value in column):
        raise ValueError(f"column {c} has missing values (None): fill them in, or name them")


def _mixed(c: int) -> TypeError:
    return TypeError(f"column {c} mixes values that cannot be compared: make them all text")


@njit(cache=True, nogil=True)
def _grow(cells, first_cell, label, weight, table, n_classes, by_ratio, max_depth, min_split):
    """Grow the tree, level by level; the rows are put in the order of its nodes on the way.

    So a node's rows lie side by side in memory: to look for them all over a long table would cost
    more than to move them.
    """
    (n_rows, d), n_cells = cells.shape, first_cell[-1]
    room = 2 * n_rows  # every split makes two nodes at least
    column, code_of = np.full(room, NONE, np.int32), np.full(room, NONE, np.int32)
    first_child, n_children = np.full(room, NONE, np.int32), np.zeros(room, np.int32)
    weights, bits, gains = np.empty(room), np.empty(room), np.zeros(room)
    shares = np.empty((room, n_classes))
    start, end = np.zeros(room, np.int64), np.zeros(room, np.int64)
    depth = np.zeros(room, np.int32)

    column_of = np.empty(n_cells, np.int32)
    for c in range(d):
        column_of[first_cell[c] : first_cell[c + 1]] = c
    counts, met = np.empty((n_cells, n_classes)), np.full(n_cells, NONE)
    seen, place = np.empty(n_cells, np.int32), np.empty(n_cells, np.int64)
    total, values = np.empty(n_classes), np.empty(d, np.int64)
    gain_of, answer_bits = np.empty(d), np.empty(d)
    moved_cells, moved_label = np.empty_like(cells), np.empty_like(label)
    moved_weight = np.empty_like(weight)

    end[0] = n_rows
    node, nodes = 0, 1
    while node < nodes:
        here = slice(start[node], end[node])
        my_cells, my_label, my_weight = cells[here], label[here], weight[here]
        m = len(my_label)
        total[:] = 0.0
        for i in range(m):
            total[my_label[i]] += my_weight[i]
        w = total.sum()
        weights[node], shares[node], bits[node] = w, total / w, -_minus_bits(total, w, table) / w
        pure = np.count_nonzero(total) < 2
        if pure or depth[node] >= max_depth or m < min_split:
            node += 1
            continue

        # What each column gains, and the bits of its answer; -1 for those that are constant here.
        found = _count(node, my_cells, my_label, my_weight, counts, met, seen)
        gain_of[:], answer_bits[:], values[:] = bits[node], 0.0, 0
        for j in range(found):
            cell = seen[j]
            c, part = column_of[cell], 0.0
            for k in range(n_classes):
                part += counts[cell, k]
            gain_of[c] += _minus_bits(counts[cell], part, table) / w
            answer_bits[c] -= times_log_share(part, w, table) / w
            values[c] += 1
        gain_of[values < 2] = -1.0
        best = _best(gain_of, answer_bits, by_ratio)

        # The rows in the order of the best column's values: each value's rows become a child.
        if best != NONE:
            column[node], first_child[node], n_children[node] = best, nodes, values[best]
            gains[node] = max(gain_of[best], 0.0)
            for j in range(found):
                place[seen[j]] = 0
            for i in range(m):
                place[my_cells[i, best]] += 1
            begin = start[node]
            for j in range(found):
                cell = seen[j]
                if column_of[cell] == best:
                    start[nodes], end[nodes] = begin, begin + place[cell]
                    code_of[nodes], depth[nodes] = cell - first_cell[best], depth[node] + 1
                    place[cell] = begin - start[node]
                    begin = end[nodes]
                    nodes += 1
            for i in range(m):
                to = place[my_cells[i, best]]
                moved_label[to], moved_weight[to] = my_label[i], my_weight[i]
                for c in range(d):
                    moved_cells[to, c] = my_cells[i, c]
                place[my_cells[i, best]] += 1
            my_cells[:], my_label[:], my_weight[:] = (
                moved_cells[:m], moved_label[:m], moved_weight[:m],
            )  # fmt: skip
        node += 1
    return (
        column[:nodes].copy(), first_child[:nodes].copy(), n_children[:nodes].copy(),
        code_of[:nodes].copy(), weights[:nodes].copy(), bits[:nodes].copy(), gains[:nodes].copy(),
        shares[:nodes].copy(),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _minus_bits(counts, w, table):
    """The entropy of class weights (k,) of sum w, times -w."""
    total = 0.0
    for k in range(len(counts)):
        total += times_log_share(counts[k], w, table)
    return total


@njit(cache=True, nogil=True)
def _count(node, cells, label, weight, counts, met, seen):
    """The class weights of each value in a node; the values that are met go to `seen`, ascending.

    `met` holds the last node that a value was met in.
    """
    found = 0
    for i in range(len(label)):
        k, w = label[i], weight[i]
        for c in range(cells.shape[1]):
            cell = cells[i, c]
            if met[cell] != node:
                met[cell] = node
                counts[cell] = 0.0
                seen[found] = cell
                found += 1
            counts[cell, k] += w
    seen[:found].sort()
    return found


@njit(cache=True, nogil=True)
def _best(gain_of, answer_bits, by_ratio):
    """The column that gains most, or whose ratio is highest among those with a fair gain."""
    total, varying = 0.0, 0
    for gain in gain_of:
        if gain >= -_ROUNDING:
            total += gain
            varying += 1
    fair = total / varying if by_ratio and varying else 0.0
    best, highest = NONE, -1.0
    for c in range(len(gain_of)):
        if gain_of[c] < fair - _ROUNDING:
            continue
        merit = gain_of[c] / answer_bits[c] if by_ratio else gain_of[c]
        if merit > highest + _ROUNDING:
            best, highest = c, merit
    return best


@njit(cache=True, nogil=True)
def _walk(keys, key_of, column, first_child, n_children):
    """The node in which each row of `keys` (n, d) ends; `key_of` (nodes,) leads to each node."""
    n = len(keys)
    ends = np.empty(n, np.int32)
    for i in range(n):
        node = 0
        while column[node] != NONE:
            key = keys[i, column[node]]
            low = first_child[node]
            high = low + n_children[node] - 1
            while low < high:  # the children's keys ascend
                middle = (low + high) // 2
                if key_of[middle] < key:
                    low = middle + 1
                else:
                    high = middle
            if key_of[low] != key:
                break
            node = low
        ends[i] = node
    return ends
