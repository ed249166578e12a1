r"""How wrong a forecast of sales is: in shares of the sales, or in money with weights.

With sales $y$, forecast $\hat y$ and weights $w$:

$$\text{MAPE} = \frac{1}{n}\sum_i \frac{|y_i - \hat y_i|}{y_i}, \qquad
\text{RMSPE} = \sqrt{\frac{1}{n}\sum_i \Big(\frac{y_i - \hat y_i}{y_i}\Big)^2}, \qquad
\text{WMAE} = \frac{\sum_i w_i |y_i - \hat y_i|}{\sum_i w_i}.$$

The paper on entity embeddings gives MAPE, the Rossmann competition was scored by RMSPE, and the
Walmart competition by WMAE, where a week with a holiday weighs five times as much as another.
Shares of sales near 0 have no meaning: rows below a stated floor are left out of them.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mape(y: ArrayLike, forecast: ArrayLike, floor: float = 0.0) -> float:
    """The mean absolute error as a share of the sales, over the rows with y (n,) above `floor`."""
    return float(np.abs(_shares(y, forecast, floor)).mean())


def rmspe(y: ArrayLike, forecast: ArrayLike, floor: float = 0.0) -> float:
    """The root of the mean squared error as a share, over the rows with y (n,) above `floor`."""
    return float(np.sqrt(np.square(_shares(y, forecast, floor)).mean()))


def wmae(y: ArrayLike, forecast: ArrayLike, weight: ArrayLike | None = None) -> float:
    """The weighted mean absolute error, in the unit of y (n,); without weights, the plain mean.

    Raises ValueError for lengths that differ, values that are not finite, or weights that are
    negative or all 0.
    """
    actual, guess = _checked(y, forecast)
    weights = np.ones_like(actual) if weight is None else np.asarray(weight, np.float64)
    if weights.shape != actual.shape:
        raise ValueError(f"{len(weights)} weights for {len(actual)} rows; as many are taken")
    if not (weights >= 0).all() or weights.sum() <= 0:
        raise ValueError("weights of 0 or more, not all of them 0, are taken")
    return float((weights * np.abs(actual - guess)).sum() / weights.sum())


def _shares(y: ArrayLike, forecast: ArrayLike, floor: float) -> NDArray[np.float64]:
    """(y - forecast) / y where y is above the floor."""
    if floor < 0:
        raise ValueError(
            f"floor={floor}: 0 or more is taken, shares of negative sales mean nothing"
        )
    actual, guess = _checked(y, forecast)
    counted = actual > floor
    if not counted.any():
        raise ValueError(f"no row has sales above {floor:g}; a share needs one")
    return (actual[counted] - guess[counted]) / actual[counted]


def _checked(y: ArrayLike, forecast: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    actual, guess = np.asarray(y, np.float64), np.asarray(forecast, np.float64)
    if actual.shape != guess.shape or actual.ndim != 1 or not actual.size:
        raise ValueError(
            f"y {actual.shape} and forecast {guess.shape}: two equal lengths are taken"
        )
    if not (np.isfinite(actual).all() and np.isfinite(guess).all()):
        raise ValueError("y or forecast has values that are not finite")
    return actual, guess
