r"""Intervals around any forecast, from the errors on rows that it was not learnt from.

Split conformal prediction: with errors $r_1, \dots, r_n$ on calibration rows, the interval of a new
row is the forecast ± the $\lceil (n + 1)(1 - \alpha) \rceil$-th smallest error. If the new row and
the calibration rows are exchangeable it holds the truth with probability $1 - \alpha$ or more,
whatever the model is. Weeks that follow one another are not quite exchangeable: the coverage on
later weeks has to be measured.

An error counts here as a share of the forecast, since large departments err by more money, and the
share is found for groups of rows with forecasts of about the same size: small departments err by a
larger share. In each group the promise is the same.

H. Papadopoulos and others, Inductive confidence machines for regression, 2002; J. Lei and others,
Distribution-free predictive inference for regression, 2018; V. Vovk, Conditional validity of
inductive conformal predictors, 2012 (groups).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


class ConformalIntervals:
    """Intervals of a stated coverage.

    Parameters
    ----------
    coverage : the share of new rows whose interval shall hold the truth, between 0 and 1.
    groups : how many groups of forecasts of like size, at most; each has 100 rows or more.
    offset : added to the forecast before an error is divided by it, in the unit of the sales.

    Attributes
    ----------
    edges_ : forecasts (groups - 1,) that part the groups.
    width_ : half the width of the interval of each group (groups,), as a share.
    """

    edges_: NDArray[np.float64]
    width_: NDArray[np.float64]

    def __init__(self, coverage: float = 0.9, groups: int = 10, offset: float = 1.0) -> None:
        if not 0 < coverage < 1:
            raise ValueError(f"coverage={coverage}: a share between 0 and 1 is taken")
        if groups < 1 or offset <= 0:
            raise ValueError(f"groups={groups}, offset={offset}: 1 or more, above 0 are taken")
        self.coverage, self.groups, self.offset = coverage, groups, offset

    def fit(self, y: ArrayLike, forecast: ArrayLike) -> "ConformalIntervals":
        """Calibrate on rows that the forecaster has not learnt from: y (n,), forecast (n,).

        Raises ValueError for so few rows that no error is large enough for the coverage.
        """
        actual, guess = _pair(y, forecast)
        least = math.ceil(self.coverage / (1 - self.coverage) - 1e-9)
        if len(actual) < least:
            raise ValueError(
                f"{len(actual)} rows to calibrate on; a coverage of {self.coverage:g} takes "
                f"{least} or more"
            )
        count = max(1, min(self.groups, len(actual) // max(100, least)))
        inner = np.arange(1, count) / count
        self.edges_ = np.unique(np.quantile(guess, inner)) if count > 1 else np.empty(0)
        shares = np.abs(actual - guess) / self._scale(guess)
        group = np.searchsorted(self.edges_, guess, side="right")
        self.width_ = np.array(
            [self._quantile(shares[group == g]) for g in range(len(self.edges_) + 1)]
        )
        return self

    def intervals(self, forecast: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The lower and the upper end for each forecast (n,)."""
        guess = np.asarray(forecast, np.float64)
        group = np.searchsorted(self.edges_, guess, side="right")
        reach = self.width_[group] * self._scale(guess)
        return guess - reach, guess + reach

    def _scale(self, forecast: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(forecast) + self.offset

    def _quantile(self, shares: NDArray[np.float64]) -> float:
        """The smallest error that enough of the others do not exceed; infinite where none is."""
        rank = math.ceil((len(shares) + 1) * self.coverage - 1e-9)
        return float(np.sort(shares)[rank - 1]) if rank <= len(shares) else math.inf


def coverage_of(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """The share of the rows (n,) whose interval holds the truth."""
    actual = np.asarray(y, np.float64)
    return float(((np.asarray(low) <= actual) & (actual <= np.asarray(high))).mean())


def _pair(y: ArrayLike, forecast: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    actual, guess = np.asarray(y, np.float64), np.asarray(forecast, np.float64)
    if actual.shape != guess.shape or actual.ndim != 1:
        raise ValueError(
            f"y {actual.shape} and forecast {guess.shape}: two equal lengths are taken"
        )
    if not (np.isfinite(actual).all() and np.isfinite(guess).all()):
        raise ValueError("y or forecast has values that are not finite")
    return actual, guess
