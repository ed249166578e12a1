"""What a network learns in place of the sales, so that large and small series teach alike.

Where a row's own past is known, the target is its sales as a share of its *level*, the highest of
what is known of it: a year ago, the weeks around, and the latest quarter. Learnt is the distance
from the share of a year ago. Shares lie between 0 and little more than 1 for series that sell in
one season too, and an error of the network stays one of that size; in logarithms, where such a
season is a hundredfold of the weeks before it, it would be a power.

Where nothing is known but categories, the target is the logarithm of the sales, less its mean.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rossmann_embeddings.features import ANCHOR, Features, level_of, log_sales, sales_of

Rows = NDArray[np.int64]
Values = NDArray[np.float64]


class Target(Protocol):
    """Sales ↔ what is learnt, for some rows of features; sales are of all rows (n,)."""

    def fit(self, features: Features, rows: Rows, sales: Values) -> "Target":
        """Learn the mean."""
        ...

    def of(self, features: Features, rows: Rows, sales: Values) -> Values:
        """What is to be learnt, before it is scaled."""
        ...

    def size(self, features: Features, rows: Rows, sales: Values) -> Values:
        """About what an error of 1 is in money."""
        ...

    def sales(self, features: Features, rows: Rows, said: Values) -> Values:
        """The sales, 0 or more, of what was said of the rows."""
        ...


class LogTarget:
    """The logarithm of the sales less its mean; see the module."""

    def fit(self, features: Features, rows: Rows, sales: Values) -> "LogTarget":
        """Learn the mean of the log sales."""
        self.mean_ = float(log_sales(sales[rows]).mean())
        return self

    def of(self, features: Features, rows: Rows, sales: Values) -> Values:
        """The log sales over the mean (n,)."""
        return log_sales(sales[rows]) - self.mean_

    def size(self, features: Features, rows: Rows, sales: Values) -> Values:
        """The sales, 1 or more (n,)."""
        return np.maximum(sales[rows], 1.0)

    def sales(self, features: Features, rows: Rows, said: Values) -> Values:
        """Back from the logarithm (n,)."""
        return sales_of(said + self.mean_)


class LevelTarget:
    """The share of the level, less that of a year ago; see the module."""

    def fit(self, features: Features, rows: Rows, sales: Values) -> "LevelTarget":
        """Learn the mean of the log sales, for rows of which nothing is known."""
        self.mean_ = float(log_sales(sales[rows]).mean())
        return self

    def of(self, features: Features, rows: Rows, sales: Values) -> Values:
        """The distance from a year ago, in levels (n,)."""
        level, start = level_of(features, rows, self.mean_)
        return (np.maximum(sales[rows], 0.0) - start) / level

    def size(self, features: Features, rows: Rows, sales: Values) -> Values:
        """The level (n,)."""
        return level_of(features, rows, self.mean_)[0]

    def sales(self, features: Features, rows: Rows, said: Values) -> Values:
        """What was sold a year ago, and so many levels more (n,)."""
        level, start = level_of(features, rows, self.mean_)
        return np.maximum(start + level * said, 0.0)


def target_for(features: Features) -> Target:
    """The one of the two that the features allow."""
    return LevelTarget() if ANCHOR in features.numbers else LogTarget()
