r"""Target statistics: a category becomes the mean target of its rows, without looking at its own.

A column of categories has no order to cut. The mean of the target over the rows of a category is a
number that serves; with few rows it is drawn to a prior $p$, the mean over all rows:

$$\hat x_i = \frac{\sum_{j \in \mathcal D_i} [x_j = x_i]\, y_j + a p}
{\sum_{j \in \mathcal D_i} [x_j = x_i] + a}.$$

Everything hangs on the rows $\mathcal D_i$.

- *Greedy*: all rows. Then $\hat x_i$ holds $y_i$ itself. Where each category has one row,
  $\hat x_i = (y_i + a p) / (1 + a)$: one cut tells the training targets apart without error,
  and says nothing about a new row. The same leak is there, smaller, with two rows or ten.
- *Ordered*: the rows before $i$ in a random permutation. No row sees its own target, every row is
  used, and a new row, to which all training rows are the past, is treated alike. Early rows have
  short pasts, so that trees are fitted to several permutations.

Source: Liudmila Prokhorenkova and others, *CatBoost: unbiased boosting with categorical features*,
2018, section 3.2; Daniele Micci-Barreca, *A preprocessing scheme for high-cardinality categorical
attributes*, 2001 (the greedy statistic).
"""

from collections.abc import Hashable

import numpy as np
from numba import njit
from numpy.typing import NDArray
from sklearn.utils._missing import is_pandas_na, is_scalar_nan


@njit(cache=True, nogil=True)
def ordered_statistics(
    codes: NDArray,
    n_categories: int,
    target: NDArray,
    weight: NDArray,
    order: NDArray,
    prior: float,
    strength: float = 1.0,
) -> NDArray[np.float32]:
    """The mean target of the rows of the same category that come earlier.

    Parameters
    ----------
    codes : each row's category, int64 (n,), below `n_categories`.
    target, weight : float64 (n,).
    order : the permutation, int64 (n,): `order[0]` is the first row.
    prior, strength : p and a.

    Returns the statistics in the order of the permutation, float32 (n,).
    """
    sums, counts = np.zeros(n_categories), np.zeros(n_categories)
    result = np.empty(len(order), np.float32)
    for place in range(len(order)):
        i = order[place]
        c = codes[i]
        result[place] = (sums[c] + strength * prior) / (counts[c] + strength)
        sums[c] += weight[i] * target[i]
        counts[c] += weight[i]
    return result


def greedy_statistics(
    codes: NDArray[np.int64],
    n_categories: int,
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    prior: float,
    strength: float = 1.0,
) -> NDArray[np.float32]:
    """The mean target of every category (n_categories,): for rows that it was not made from."""
    sums = np.bincount(codes, weight * target, n_categories)
    counts = np.bincount(codes, weight, n_categories)
    return ((sums + strength * prior) / (counts + strength)).astype(np.float32)


class CategoryEncoder:
    """Turns columns of categories into columns of numbers.

    A column with at most `one_hot_max_size` categories stays one column, of their numbers: a cut
    tells two apart. Any other becomes, for each target, its statistic, and the share of the rows
    that its category has.

    Parameters
    ----------
    columns : the categories, object (n, n_columns). None and NaN are one category.
    targets : float64 (n_targets, n): the numbers to learn, or 0 and 1 for each class.
    weight : float64 (n,).
    """

    def __init__(
        self,
        columns: NDArray,
        targets: NDArray[np.float64],
        weight: NDArray[np.float64],
        one_hot_max_size: int,
    ) -> None:
        self.targets, self.weight = targets, weight
        self.numbers: list[dict[Hashable, int]] = [_number(column) for column in columns.T]
        self.few = [len(numbers) <= one_hot_max_size for numbers in self.numbers]
        self.codes = [
            _look_up(column, numbers)
            for column, numbers in zip(columns.T, self.numbers, strict=True)
        ]
        self.priors = [float(np.average(target, weights=weight)) for target in targets]
        self.tables = [
            self._table(codes, len(numbers))
            for codes, numbers in zip(self.codes, self.numbers, strict=True)
        ]
        #: The column of categories that each encoded column comes from.
        self.source = np.repeat(
            np.arange(len(self.numbers)), [1 if few else len(targets) + 1 for few in self.few]
        )

    def _table(self, codes: NDArray[np.int64], size: int) -> NDArray[np.float32]:
        """What a new row gets for each category, and in the last column for an unknown one."""
        rows = [
            np.append(greedy_statistics(codes, size, target, self.weight, prior), prior)
            for target, prior in zip(self.targets, self.priors, strict=True)
        ]
        shares = np.bincount(codes, self.weight, size) / self.weight.sum()
        return np.array([*rows, np.append(shares, 0.0)], np.float32)

    def of_training_rows(self, order: NDArray[np.int64]) -> NDArray[np.float32]:
        """The training rows in the order of a permutation, each encoded by those before it.

        Returns float32 (n_encoded, n).
        """
        rows: list[NDArray] = []
        for codes, table, few in zip(self.codes, self.tables, self.few, strict=True):
            if few:
                rows.append(codes[order])
                continue
            size = table.shape[1] - 1
            rows += [
                ordered_statistics(codes, size, target, self.weight, order, prior)
                for target, prior in zip(self.targets, self.priors, strict=True)
            ]
            rows.append(table[-1][codes[order]])
        return np.array(rows, np.float32)

    def of_new_rows(self, columns: NDArray) -> NDArray[np.float32]:
        """New rows, object (n, n_columns), encoded by all training rows: float32 (n_encoded, n)."""
        rows: list[NDArray] = []
        parts = zip(columns.T, self.numbers, self.tables, self.few, strict=True)
        for column, numbers, table, few in parts:
            codes = _look_up(column, numbers)
            if few:
                rows.append(np.where(codes < len(numbers), codes, np.nan))
            else:
                rows += list(table[:, codes])
        return np.array(rows, np.float32)

    def forget_rows(self) -> None:
        """Drop what only the training rows need."""
        del self.targets, self.weight, self.codes


def _key(value: Hashable) -> Hashable:
    """A category's name; None for a missing one."""
    if isinstance(value, str):
        return value
    return None if is_scalar_nan(value) or is_pandas_na(value) else value


def _number(column: NDArray) -> dict[Hashable, int]:
    numbers: dict[Hashable, int] = {}
    for value in column:
        numbers.setdefault(_key(value), len(numbers))
    return numbers


def _look_up(column: NDArray, numbers: dict[Hashable, int]) -> NDArray[np.int64]:
    """The categories' numbers; an unknown one gets the number after the last."""
    unknown = len(numbers)
    return np.fromiter(
        (numbers.get(_key(value), unknown) for value in column), np.int64, len(column)
    )
