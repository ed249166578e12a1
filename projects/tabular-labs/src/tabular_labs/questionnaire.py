"""Answers of many questions that say nearly the same, and the few that are enough.

A questionnaire asks one thing in many ways, so that its columns are nearly copies. Ranking them one
by one then picks the same thing again and again; a question should tell the answer *and* differ
from those that were picked before. Whichever way it is done, it is done inside the training rows:
picked on the whole table, the questions have seen the test rows.

Hanchuan Peng, Fuhui Long and Chris Ding, Feature selection based on mutual information: criteria of
max-dependency, max-relevance and min-redundancy, 2005 (here with correlations).
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from tabular_labs.generated import Known


class TopQuestions(TransformerMixin, BaseEstimator):
    """Keep the few columns that tell the class best and one another least.

    Each pick has the largest correlation with the class, less `apart` times its mean correlation
    with the picks before it (all absolute).

    Parameters
    ----------
    count : of columns to keep; all where there are fewer.
    apart : what likeness to earlier picks costs; 0 ranks the columns one by one.

    Attributes
    ----------
    names_ : the kept columns, in the order of the picks.
    """

    def __init__(self, count: int, apart: float = 0.5) -> None:
        self.count, self.apart = count, apart

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> "TopQuestions":
        """Pick on training rows; X numbers (n, columns), y 0 or 1 (n,)."""
        if self.count < 1:
            raise ValueError(f"count={self.count}; at least one column is taken")
        values = X.to_numpy(np.float64)
        values = values - values.mean(0)
        norms = np.sqrt((values**2).sum(0))
        values = values / np.where(norms > 0, norms, 1.0)
        target = np.asarray(y, np.float64) - np.mean(y)
        relevance = np.abs(values.T @ target) / max(float(np.sqrt((target**2).sum())), 1e-300)
        likeness = np.abs(values.T @ values)
        picks: list[int] = []
        while len(picks) < min(self.count, X.shape[1]):
            score = relevance - (self.apart * likeness[:, picks].mean(1) if picks else 0.0)
            score[picks] = -np.inf
            picks.append(int(score.argmax()))
        self.names_ = [str(X.columns[k]) for k in picks]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The kept columns."""
        return X[self.names_]


def couples(n: int, seed: int, questions: int = 30) -> Known:
    """Couples who answer questions from 0 to 4, and the probability that they part.

    One hidden number, the discord, decides both the answers and whether they part; every answer is
    that number with noise, rounded. Ten questions ask how alike the two are, so that they point the
    other way; the last one is answered at random.
    """
    rng = np.random.default_rng(seed)
    discord = np.where(rng.random(n) < 0.5, -1.0, 1.0) * rng.gamma(4.0, 0.3, n)
    sign = np.where(np.arange(questions) % 3 == 0, -1.0, 1.0)
    noise = rng.uniform(0.4, 1.0, questions)
    raw = 2 + 1.3 * sign * discord[:, None] + noise * rng.standard_normal((n, questions))
    raw[:, -1] = rng.integers(0, 5, n)
    probability = 1 / (1 + np.exp(-5 * discord))
    X = pd.DataFrame(np.clip(raw.round(), 0, 4), columns=[f"Q{k + 1}" for k in range(questions)])
    return Known(X, (rng.random(n) < probability).astype(np.int64), probability)
