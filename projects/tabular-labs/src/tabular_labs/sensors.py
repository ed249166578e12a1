r"""Windows of a phone's accelerometer: what is computed from them, and made ones with known users.

A window is ten seconds of three axes, 200 samples. Its features are those of the WISDM data: the
shares of samples in ten bins between the least and the largest value of an axis, the mean, the mean
absolute and the standard deviation, the time between peaks, and the mean length of the vector.
Further ones need no more than these: logarithms and ratios of spreads, which say how the phone
moves and not how hard; the shape of the bins; the spreads in order of size, which do not ask how
the phone lies in the pocket.

A user's window may also be seen beside the user's other windows: the rank of a spread among them
says "quick for this person". No label is needed for that, but a recording of some length is.

J. R. Kwapisz, G. M. Weiss and S. A. Moore, Activity recognition using cell phone accelerometers,
2010.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from tabular_labs.schema import Schema

ACTIVITIES = ("Walking", "Jogging", "Upstairs", "Downstairs", "Sitting", "Standing")
AXES = "XYZ"
SAMPLES, RATE = 200, 20
_BINS = 10
#: What is ranked among a user's windows.
_RELATIVE = (
    "YAVG", "ZAVG", "RESULTANT", "least spread", "middle spread", "largest spread", "spread",
    "shortest period", "X over Y", "Z over Y",
)  # fmt: skip


def window_features(signal: NDArray[np.float64]) -> pd.DataFrame:
    """The 43 features of each window, under WISDM's names.

    signal : (n, 200, 3), in m/s². A gap between peaks that is not found is NaN.
    """
    made: dict[str, NDArray] = {}
    low, high = signal.min(axis=1, keepdims=True), signal.max(axis=1, keepdims=True)
    place = (signal - low) / np.maximum(high - low, 1e-12) * _BINS
    place = np.minimum(place.astype(np.int64), _BINS - 1)
    for axis, name in enumerate(AXES):
        for b in range(_BINS):
            made[f"{name}{b}"] = (place[:, :, axis] == b).mean(axis=1).round(2)
    mean = signal.mean(axis=1)
    off = signal - mean[:, None]
    statistics = {
        "AVG": mean,
        "PEAK": np.array([[_period(wave) for wave in window.T] for window in signal]),
        "ABSOLDEV": np.abs(off).mean(axis=1),
        "STANDDEV": off.std(axis=1),
    }
    for word, values in statistics.items():
        for axis, name in enumerate(AXES):
            made[f"{name}{word}"] = values[:, axis].round(2)
    made["RESULTANT"] = np.sqrt((signal**2).sum(axis=2)).mean(axis=1).round(2)
    return pd.DataFrame(made)


def _period(wave: NDArray[np.float64]) -> float:
    """Milliseconds between the peaks near the highest one, lower ones too until there are three."""
    inner = wave[1:-1]
    peaks = np.flatnonzero((inner > wave[:-2]) & (inner >= wave[2:])) + 1
    span = wave.max() - wave.min()
    for share in (0.1, 0.2, 0.3, 0.4, 0.5):
        high = peaks[wave[peaks] >= wave.max() - share * span]
        if len(high) >= 3:
            return float(np.diff(high).mean() * 1000 / RATE)
    return float("nan")


def engineered(X: pd.DataFrame) -> pd.DataFrame:
    """Features of single windows, beside those given: see the module's text."""
    spreads = np.log1p(X[[f"{axis}STANDDEV" for axis in AXES]].to_numpy(np.float64))
    ordered = np.sort(spreads, axis=1)
    periods = X[[f"{axis}PEAK" for axis in AXES]].to_numpy(np.float64)
    known = np.where(np.isnan(periods), np.inf, periods).min(axis=1)
    made = {
        "least spread": ordered[:, 0],
        "middle spread": ordered[:, 1],
        "largest spread": ordered[:, 2],
        "spread": np.log1p(np.sqrt((np.expm1(spreads) ** 2).sum(axis=1))),
        "shortest period": np.where(np.isinf(known), np.nan, known),
        "X over Y": spreads[:, 0] - spreads[:, 1],
        "Z over Y": spreads[:, 2] - spreads[:, 1],
        "motion": X["RESULTANT"] - np.hypot(X["YAVG"], X["ZAVG"]),
    }
    steps = np.arange(_BINS)
    for axis in AXES:
        shares = X[[f"{axis}{b}" for b in range(_BINS)]].to_numpy(np.float64)
        off = steps - (shares @ steps)[:, None]
        made[f"{axis} skewness"] = (shares * off**3).sum(axis=1)
        made[f"{axis} tails"] = (shares * off**4).sum(axis=1)
        made[f"{axis} evenness"] = -(shares * np.log(shares + 1e-9)).sum(axis=1)
    return pd.concat([X, pd.DataFrame(made, index=X.index)], axis=1)


def beside_the_users_others(X: pd.DataFrame, user: Any) -> pd.DataFrame:
    """Ranks among the user's windows (0 to 1), and differences from the user's median."""
    some = X[list(_RELATIVE)]
    groups = some.groupby(np.asarray(user))
    ranks = groups.rank(pct=True).add_suffix(", rank")
    medians = (some - groups.transform("median")).add_suffix(", off")
    return pd.concat([X, ranks, medians], axis=1)


class WindowModel(ClassifierMixin, BaseEstimator):
    """A classifier on engineered features of a table with a column `user`.

    Parameters
    ----------
    make : schema of the features → unfitted classifier.
    relative : whether a window is also seen beside the user's other windows in the same table.
    """

    def __init__(self, make: Any, relative: bool = False) -> None:
        self.make, self.relative = make, relative

    def fit(
        self, X: pd.DataFrame, y: NDArray[Any], groups: NDArray[Any] | None = None
    ) -> "WindowModel":
        """Learn; `groups` keeps users together where the classifier tunes itself."""
        inputs = self._inputs(X)
        self.model_ = clone(self.make(Schema.of(inputs)))
        tunes = hasattr(self.model_, "trials")
        self.model_.fit(inputs, y, **({"groups": groups} if tunes else {}))
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, classes)."""
        return np.asarray(self.model_.predict_proba(self._inputs(X)))

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """The most probable class."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _inputs(self, X: pd.DataFrame) -> pd.DataFrame:
        found = engineered(X.drop(columns="user"))
        return beside_the_users_others(found, X["user"]) if self.relative else found


def make_recordings(
    rng: np.random.Generator, *, users: int = 12, windows: int = 8, own: float = 0.25
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Made windows of six activities, and their numbers in `ACTIVITIES`.

    Each user steps at an own pace and force and carries the phone at an own angle; `own` is how
    much users differ. Stairs are between walking and standing still, and lean on the pace. Each
    user gives about `windows` windows of each activity, in blocks.

    Returns a table of `window_features` with a column `user` (text), and labels (n,).
    """
    beat = np.array([1.9, 2.7, 1.6, 2.1, 0.0, 0.0])
    force = np.array([3.5, 8.0, 2.8, 4.2, 0.08, 0.12])
    lean = np.array([0.1, 0.2, 0.3, -0.1, 1.3, 0.0])
    time = np.arange(SAMPLES) / RATE
    signals, names, labels = [], [], []
    for user in range(users):
        pace, power = np.exp(own * rng.standard_normal(2) * (0.4, 1.0))
        angle, roll = own * rng.standard_normal(2) * 2
        for activity in range(len(ACTIVITIES)):
            for _ in range(max(1, windows + int(rng.integers(-2, 3)))):
                rate = beat[activity] * pace * np.exp(0.05 * rng.standard_normal())
                size = force[activity] * power * np.exp(0.15 * rng.standard_normal())
                phase = rng.uniform(0, 2 * np.pi, 3)
                waves = np.stack(
                    [
                        0.5 * np.sin(np.pi * rate * time + phase[0]),
                        np.sin(2 * np.pi * rate * time + phase[1])
                        + (0.5 if activity == 1 else 0.2) * np.sin(4 * np.pi * rate * time),
                        0.7 * np.sin(2 * np.pi * rate * time + phase[2]),
                    ]
                )
                tilt = lean[activity] + angle + 0.05 * rng.standard_normal()
                down = 9.81 * np.array(
                    [np.sin(roll), np.cos(tilt) * np.cos(roll), np.sin(tilt) * np.cos(roll)]
                )
                noise = (0.05 + 0.15 * size) * rng.standard_normal((3, SAMPLES))
                signals.append((down[:, None] + size * waves + noise).T)
                names.append(f"u{user:02d}")
                labels.append(activity)
    X = window_features(np.array(signals))
    X.insert(0, "user", names)
    return X, np.array(labels)


def nearest_is_own(
    X: NDArray[np.float64], user: NDArray[Any], train: NDArray[Any], test: NDArray[Any]
) -> float:
    """The share of test rows whose nearest training row has the same user; columns standardized."""
    from sklearn.neighbors import NearestNeighbors

    scale = X[train].std(axis=0)
    Z = np.nan_to_num((X - X[train].mean(axis=0)) / np.where(scale > 0, scale, 1.0))
    found = NearestNeighbors(n_neighbors=1).fit(Z[train]).kneighbors(Z[test])[1][:, 0]
    return float(np.mean(user[train][found] == user[test]))
