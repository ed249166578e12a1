r"""Polynomial features: products of columns, so that a linear model can bend.

All monomials $x_1^{p_1} \cdots x_d^{p_d}$ with $\sum p_i \le$ `degree`, in order of their degree
and then of their columns: $1, a, b, a^2, ab, b^2, a^3, a^2 b, \ldots$ There are
$\binom{d + k}{k}$ up to degree $k$. With `interaction_only` each power is 0 or 1.

Every monomial of degree $k$ is one of degree $k-1$ times a column. Sort degree $k$ by its first
column $i$: the products that begin with $x_i$ are $x_i$ times those monomials of degree $k-1$ that
begin with $x_i$ or a later column, and in the order of degree $k-1$ these lie side by side, at its
end. So a row of the output is made from left to right by runs "a column times a piece of what
is there already", one multiplication a number, while the row is in the cache.

For least squares on powers of one variable: Gergonne, "The application of the method of least
squares to the interpolation of sequences", 1815.
"""

from collections.abc import Iterator
from itertools import combinations, combinations_with_replacement
from math import comb
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)


class PolynomialFeatures(TransformerMixin, BaseEstimator):
    """All products of columns up to a degree.

    Parameters
    ----------
    degree : int or tuple (min_degree, max_degree), default=2
        The largest degree, or the smallest and the largest.
    interaction_only : bool, default=False
        Whether to leave out powers of a column: products of different columns only.
    include_bias : bool, default=True
        Whether to have the column of ones, the product of no columns.

    Attributes
    ----------
    powers_ : ndarray of shape (n_output_features_, n_features_in_)
        The power of each column in each product.
    n_output_features_ : int
        The number of products.
    n_features_in_ : int
        The number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X has names.

    Examples
    --------
    >>> from supervised_learning.polynomial import PolynomialFeatures
    >>> PolynomialFeatures(2).fit_transform([[2.0, 3.0]])
    array([[1., 2., 3., 4., 6., 9.]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "degree": [Interval(Integral, 0, None, closed="left"), "array-like"],
        "interaction_only": ["boolean"],
        "include_bias": ["boolean"],
    }

    def __init__(
        self,
        degree: int | tuple[int, int] = 2,
        *,
        interaction_only: bool = False,
        include_bias: bool = True,
    ) -> None:
        self.degree = degree
        self.interaction_only = interaction_only
        self.include_bias = include_bias

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Count the products.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Only its number of columns matters.
        y : ignored

        Returns
        -------
        self : PolynomialFeatures

        Raises
        ------
        ValueError
            Where `degree` is no degree or pair of degrees, or leaves no column at all.
        """
        d = validate_data(self, X).shape[1]
        low, high = self._degrees()
        self.n_output_features_ = int(self.include_bias) + sum(
            comb(d, k) if self.interaction_only else comb(d + k - 1, k)
            for k in range(max(low, 1), high + 1)
        )
        if self.n_output_features_ == 0:
            raise ValueError(
                f"degree={self.degree} without a bias leaves no column; raise the degree or set "
                "include_bias=True."
            )
        return self

    def transform(self, X: ArrayLike) -> NDArray:
        """The products of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        products : ndarray of shape (n_samples, n_output_features_)
            In the dtype of X where that is float32, else float64.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32], order="C")
        low, high = self._degrees()
        runs, first = _runs(X.shape[1], low, high, self.interaction_only)
        products = np.empty((len(X), self.n_output_features_), dtype=X.dtype)
        _multiply(X, runs, first, int(self.include_bias), products)
        return products

    @property
    def powers_(self) -> NDArray[np.int64]:
        """The power of each column in each product."""
        check_is_fitted(self)
        powers = np.zeros((self.n_output_features_, self.n_features_in_), dtype=np.int64)
        for row, columns in enumerate(self._products()):
            for column in columns:
                powers[row, column] += 1
        return powers

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray:
        """The products' names: `x0 x1` for a product, `x0^2` for a power, `1` for the bias.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), default=None
            The columns' names; by default those seen in `fit`, or x0, x1, …

        Returns
        -------
        names : ndarray of str objects of shape (n_output_features_,)
        """
        names = _check_feature_names_in(self, input_features)
        return np.asarray(
            [
                " ".join(
                    f"{names[i]}^{power}" if power > 1 else str(names[i])
                    for i, power in enumerate(powers)
                    if power
                )
                or "1"
                for powers in self.powers_
            ],
            dtype=object,
        )

    def _degrees(self) -> tuple[int, int]:
        given: Any = self.degree
        degrees = (0, given) if isinstance(given, Integral) else tuple(given)
        whole = all(isinstance(degree, Integral) for degree in degrees)
        if len(degrees) != 2 or not whole or not 0 <= degrees[0] <= degrees[1]:
            raise ValueError(
                f"degree={given!r}; give a whole number from 0, or a pair (min_degree, "
                "max_degree) with 0 <= min_degree <= max_degree."
            )
        return int(degrees[0]), int(degrees[1])

    def _products(self) -> Iterator[tuple[int, ...]]:
        """The columns of each product, in the order of the output."""
        low, high = self._degrees()
        choose = combinations if self.interaction_only else combinations_with_replacement
        if self.include_bias:
            yield ()
        for k in range(max(low, 1), high + 1):
            yield from choose(range(self.n_features_in_), k)


def _runs(d: int, low: int, high: int, interaction_only: bool) -> tuple[NDArray[np.int64], int]:
    """The runs that make one row after the columns themselves, and where degree `low` begins.

    A run (to, start, length, column) says: the `length` numbers at `to` are those at `start` times
    the column. Positions count from the first column, without the bias.
    """
    runs = []
    starts, end = list(range(d + 1)), d  # where the products that begin with each column start
    first = 0
    for k in range(2, high + 1):
        position, begins = end, []
        if k == low:
            first = end
        for column in range(d):
            begins.append(position)
            start = starts[column + interaction_only]
            if end > start:
                runs.append((position, start, end - start, column))
            position += end - start
        starts, end = [*begins, position], position
    return np.array(runs, dtype=np.int64).reshape(-1, 4), first


@njit(cache=True, nogil=True)
def _multiply(X, runs, first, bias, products):
    """Fill `products` (n, bias + m) row by row; `first` is the number of products left out."""
    n, d = X.shape
    scratch = np.empty(first + products.shape[1] - bias, X.dtype)
    for i in range(n):
        if bias:
            products[i, 0] = 1
        row = scratch if first else products[i, bias:]
        for j in range(min(d, len(row))):
            row[j] = X[i, j]
        for r in range(len(runs)):
            to, start, length, column = runs[r]
            factor = X[i, column]
            for j in range(length):
                row[to + j] = factor * row[start + j]
        if first:
            products[i, bias:] = scratch[first:]
