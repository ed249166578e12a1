r"""The perceptron: correct the weights by the rows that are on the wrong side, and by no others.

For classes $y \in \{-1, 1\}$ and a row with $y\,(w^\top x + b) \le 0$:

$$ w \leftarrow w + \eta\, y\, x, \qquad b \leftarrow b + \eta\, y . $$

Where some $w^*$ of length 1 separates the rows with margin $\gamma$, and no row is longer than
$R$, there are at most $(R / \gamma)^2$ corrections, in whatever order the rows come: each raises
$w^\top w^*$ by $\gamma$ at least and $\|w\|^2$ by $R^2$ at most (Novikoff, *On convergence proofs
for perceptrons*, 1962). Where nothing separates them the weights wander for ever; learning then
stops when the mean loss $\max(0, -y s)$ no longer falls.

More than two classes are learnt as one against the rest.

F. Rosenblatt, *The perceptron: a probabilistic model for information storage and organization in
the brain*, 1958.
"""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from supervised_learning.linear_classifier import LinearClassifier


@njit(cache=True, nogil=True)
def _epoch(X, sign, weight, order, w, b, eta, learn_b):
    """One pass over the rows in `order`; corrects w in place.

    Returns the new b, the summed loss as met on the way, and the number of corrections.
    """
    loss, mistakes = 0.0, 0
    for i in order:
        score = 0.0
        for j in range(X.shape[1]):
            score += w[j] * X[i, j]
        score += b
        if sign[i] * score <= 0:
            loss -= sign[i] * score
            step = eta * sign[i] * weight[i]
            for j in range(X.shape[1]):
                w[j] += step * X[i, j]
            if learn_b:
                b += step
            mistakes += 1
    return b, loss, mistakes


class Perceptron(LinearClassifier):
    """Rosenblatt's perceptron, one against the rest for more than two classes.

    Parameters
    ----------
    fit_intercept : bool
    max_iter : int
        The largest number of passes over the rows.
    tol : float or None
        A pass has to lower the mean loss by this much to count as progress; None goes on until
        there are no mistakes, or to `max_iter`.
    n_iter_no_change : int
        Stop after this many passes without progress.
    shuffle : bool
        Whether each pass takes the rows in a fresh order.
    eta0 : float
        η. From a start at 0 it scales w and b, and changes no decision.
    random_state : int, RandomState or None
    class_weight : dict, "balanced" or None

    Attributes
    ----------
    coef_, intercept_, classes_ : see `LinearClassifier`.
    n_iter_ : int, the passes of the class that took most.
    n_mistakes_ : array of shape (1,) or (n_classes,), the corrections made in all.
    converged_ : array of bool of the same shape: a whole pass without a mistake.

    Examples
    --------
    >>> Perceptron().fit([[0.0], [1.0], [3.0], [4.0]], [0, 0, 1, 1]).converged_
    array([ True])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        n_iter_no_change: int = 5,
        shuffle: bool = True,
        eta0: float = 1.0,
        random_state: Any = 0,
        class_weight: Any = None,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.shuffle = shuffle
        self.eta0 = eta0
        self.random_state = random_state
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and the classes y (n,), with weights (n,) for the rows.

        Warns with ConvergenceWarning when `max_iter` passes do not end the learning.
        """
        X, codes, weight = self._read(X, y, sample_weight)
        weight = np.ones(len(X), X.dtype) if weight is None else weight
        random = check_random_state(self.random_state)
        positives = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        w = np.zeros((len(positives), X.shape[1]))
        b = np.zeros(len(positives))
        passes, mistakes, converged = [], [], []
        for row, positive in enumerate(positives):
            sign = np.where(codes == positive, 1.0, -1.0)
            b[row], *ended = self._learn(X, sign, weight, w[row], random)
            passes.append(ended[0])
            mistakes.append(ended[1])
            converged.append(ended[2])
        self.coef_, self.intercept_ = w.astype(X.dtype), b.astype(X.dtype)
        self.n_iter_ = max(passes)
        self.n_mistakes_ = np.array(mistakes)
        self.converged_ = np.array(converged)
        return self

    def _learn(
        self, X: NDArray, sign: NDArray, weight: NDArray, w: NDArray, random: np.random.RandomState
    ) -> tuple[float, int, int, bool]:
        """Passes for one class against the rest: b, passes, corrections, a pass without any."""
        order = np.arange(len(X))
        b, best, idle, total = 0.0, np.inf, 0, 0
        for passed in range(1, self.max_iter + 1):
            if self.shuffle:
                random.shuffle(order)
            b, loss, mistakes = _epoch(
                X, sign, weight, order, w, b, float(self.eta0), bool(self.fit_intercept)
            )
            total += mistakes
            if mistakes == 0:
                return b, passed, total, True
            if self.tol is not None:
                idle = idle + 1 if loss > best - self.tol * len(X) else 0
                if idle >= self.n_iter_no_change:
                    return b, passed, total, False
            best = min(best, loss)
        warnings.warn(
            f"{self.max_iter} passes have not ended the learning; raise max_iter or tol",
            ConvergenceWarning,
            stacklevel=3,
        )
        return b, self.max_iter, total, False
