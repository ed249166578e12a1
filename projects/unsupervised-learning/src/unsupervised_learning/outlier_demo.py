"""How detectors of outliers are scored and timed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score


def rare_ranked(model: Any, X: NDArray, y: NDArray) -> float:
    """How surely the rarest class is ranked odder than the rest, or the other way: area × 100."""
    values, counts = np.unique(y, return_counts=True)
    area = roc_auc_score(y == values[counts.argmin()], -model.score_samples(X))
    return 100.0 * float(area)


def crowd(n: int, seed: int) -> tuple[NDArray, None]:
    """Made rows, one in fifty far out: X (n, 20)."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 20))
    X[::50] *= 4
    return X, None
