r"""From a probability to a decision, by what mistakes cost.

Let a missed case cost r times as much as a false alarm. Then an alarm is worth its price where
$p r \ge 1 - p$, that is from $p = 1 / (1 + r)$ on. The threshold follows from the costs alone,
and nothing has to be searched, if the probabilities are true; where they are not, the cost at this
threshold lies above the least cost that any threshold has.

Charles Elkan, The foundations of cost-sensitive learning, 2001.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def threshold(ratio: float) -> float:
    """The probability from which an alarm pays, where a miss costs `ratio` false alarms.

    Raises ValueError for a ratio that is not above 0.
    """
    if not ratio > 0:
        raise ValueError(f"a miss costs {ratio} false alarms; a number above 0 is taken")
    return 1 / (1 + ratio)


def cost(y: NDArray[Any], said: NDArray[np.float64], at: float, ratio: float) -> float:
    """The mean cost a row, in false alarms, with alarms where `said` (n,) is at least `at`."""
    alarm = said >= at
    return float(np.mean(ratio * ((y == 1) & ~alarm) + ((y == 0) & alarm)))


def cost_curve(
    y: NDArray[Any], said: NDArray[np.float64], ratio: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds, rising from 0, and the mean cost at each: every cut that these rows allow."""
    order = np.argsort(said, kind="stable")
    values, truth = said[order], (np.asarray(y)[order] == 1)
    missed = np.concatenate([[0], np.cumsum(truth)])
    alarms = np.concatenate([np.cumsum(~truth[::-1])[::-1], [0]])
    costs = (ratio * missed + alarms) / len(values)
    cuts = np.concatenate([values, [np.inf]])
    first = np.concatenate([[True], np.diff(values) > 0, [True]])
    return np.where(np.isinf(cuts), np.nextafter(1.0, 2.0), cuts)[first], costs[first]
