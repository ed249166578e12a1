"""Probabilities held against what came true: does it rain on three of ten days told 30 %.

Held-out probabilities are sorted and cut into bins of like size; in each the mean probability is
set against the share that came true. The mean distance, a bin as heavy as it has rows, is the
expected calibration error. Naive Bayes counts what its columns say in common more than once, and is
too sure; a monotone map that is learnt on held-out rows (Platt's sigmoid, isotonic regression)
mends that and leaves the order of the rows, and so the area under the curve, nearly as it was.

Alexandru Niculescu-Mizil and Rich Caruana, Predicting good probabilities with supervised learning,
2005; Mahdi Pakdaman Naeini, Gregory Cooper and Milos Hauskrecht, Obtaining well calibrated
probabilities using Bayesian binning, 2015.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def reliability(
    y: NDArray[Any], said: NDArray[np.float64], bins: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """The mean probability, the share that came true and the rows of each bin.

    y : 0 or 1 (n,). said : probabilities (n,). Rows of one probability stay in one bin, so that
    there may be fewer.
    """
    order = np.argsort(said, kind="stable")
    values = said[order]
    cuts = [len(said) * k // bins for k in range(1, bins)]
    cuts = sorted({int(np.searchsorted(values, values[cut])) for cut in cuts} - {0})
    parts = np.split(order, cuts)
    told = np.array([said[part].mean() for part in parts])
    true = np.array([np.mean(y[part]) for part in parts])
    return told, true, np.array([len(part) for part in parts])


def calibration_error(y: NDArray[Any], said: NDArray[np.float64], bins: int = 10) -> float:
    """The expected calibration error over bins of like size."""
    told, true, rows = reliability(y, said, bins)
    return float(np.average(np.abs(told - true), weights=rows))
