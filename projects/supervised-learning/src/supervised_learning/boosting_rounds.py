r"""The rounds of gradient boosting, on any loss: residuals, a tree for them, a step in its leaves.

`gradient_boosting` has the mathematics. Here $F$ is `raw` (K, n), the sums of the trees for the K
outputs and the n training rows, brought up to date in each round from the leaves in which growing
the tree has left its rows, so that no row walks down a tree that it has built.

With `subsample` below 1 a round's trees see a part of the rows, drawn without replacement, and the
others tell how well they do (J. Friedman, *Stochastic Gradient Boosting*, 2002).
"""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from supervised_learning.boosting_losses import Loss
from supervised_learning.tree.columns import Columns
from supervised_learning.tree.estimators import (
    MAX_SEED,
    BaseTree,
    DecisionTreeRegressor,
    number_of_features,
)


class BaseGradientBoosting(BaseEstimator):
    """What boosting for classes and for values shares: the rounds, and the sum of the trees."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseTree._parameter_constraints,
        "learning_rate": [Interval(Real, 0.0, None, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "subsample": [Interval(Real, 0.0, 1.0, closed="right")],
        "validation_fraction": [Interval(Real, 0.0, 1.0, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0.0, None, closed="left")],
    }

    def _boost(
        self, loss: Loss, X: NDArray[np.float32], y: NDArray, weight: NDArray | None
    ) -> None:
        """Run the rounds on X (n, d), y (n,) as the loss takes it, and weights (n,) or None."""
        self._loss, held_out = loss, None
        if self.n_iter_no_change is not None:
            X, y, weight, held_out = self._hold_out(X, y, weight)
        self._fit_start(X, y, weight)
        raw, (n, d) = self._start(X), X.shape
        columns = Columns.of(X)
        self.max_features_ = number_of_features(self.max_features, d)
        random_state = check_random_state(self.random_state)
        in_bag, counts = np.ones(n, np.bool_), True if weight is None else weight > 0

        rounds: list[list[DecisionTreeRegressor]] = []
        train_scores: list[float] = []
        oob_scores: list[float] = []
        held_out_losses: list[float] = []
        for _ in range(self.n_estimators):
            if self.subsample < 1.0:
                drawn = random_state.uniform(size=n)
                in_bag = draw_rows(drawn, max(1, int(self.subsample * n)))
            used = in_bag & counts
            round_weight = weight
            if not used.all():
                round_weight = used * (1.0 if weight is None else weight)
            residuals = loss.residuals(y, raw, weight)
            if self.subsample < 1.0 and not rounds:
                oob_scores.append(_value(loss, y, raw, weight, ~in_bag))
            trees = []
            for k, residual in enumerate(residuals):
                tree = self._make_tree(random_state.randint(MAX_SEED))
                leaves = tree.grow(columns, residual, round_weight)
                if not used.all():
                    leaves[~used] = tree.tree_.apply(X[~used])
                tree.tree_.value = loss.steps(tree.tree_, leaves, y, raw[k], residual, round_weight)
                raw[k] += self.learning_rate * tree.tree_.value[leaves, 0]
                trees.append(tree)
            rounds.append(trees)
            train_scores.append(_value(loss, y, raw, weight, in_bag))
            if self.subsample < 1.0:
                oob_scores.append(_value(loss, y, raw, weight, ~in_bag))
            if held_out is not None and self._stops(trees, held_out, held_out_losses):
                break
        self.estimators_ = np.array(rounds, dtype=object)
        self.n_estimators_ = len(rounds)
        self.train_score_ = np.array(train_scores)
        if self.subsample < 1.0:
            self.oob_scores_ = np.array(oob_scores[1:])
            self.oob_score_ = oob_scores[-1]
            self.oob_improvement_ = -np.diff(oob_scores)

    def _make_tree(self, seed: int) -> DecisionTreeRegressor:
        return DecisionTreeRegressor(
            max_depth=self.max_depth,
            min_samples_split=self.min_samples_split,
            min_samples_leaf=self.min_samples_leaf,
            min_weight_fraction_leaf=self.min_weight_fraction_leaf,
            max_features=self.max_features,
            random_state=seed,
            max_leaf_nodes=self.max_leaf_nodes,
            min_impurity_decrease=self.min_impurity_decrease,
            ccp_alpha=self.ccp_alpha,
        )

    def _fit_start(self, X: NDArray[np.float32], y: NDArray, weight: NDArray | None) -> None:
        """Learn what the sum begins with: constants, `start_` (K,), or the model `init_`."""
        self.init_, self.start_ = None, self._loss.start(y, weight)
        if self.init == "zero":
            self.start_ = np.zeros_like(self.start_)
        elif self.init is not None:
            self.start_ = np.zeros_like(self.start_)
            model = clone(self.init)
            if weight is None:
                self.init_ = model.fit(X, y)
            elif has_fit_parameter(model, "sample_weight"):
                self.init_ = model.fit(X, y, sample_weight=weight)
            else:
                raise ValueError(
                    f"the initial estimator {type(model).__name__} takes no sample weights; "
                    "fit without sample_weight or give an init that takes them"
                )

    def _start(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the sum begins with for each row of X (n, d): (K, n)."""
        if self.init_ is None:
            return np.repeat(self.start_[:, np.newaxis], len(X), axis=1)
        predict = self.init_.predict_proba if is_classifier(self) else self.init_.predict
        return np.ascontiguousarray(self._loss.link(predict(X)))

    def _hold_out(self, X: NDArray, y: NDArray, weight: NDArray | None) -> tuple:
        train, test = train_test_split(
            np.arange(len(X)),
            test_size=self.validation_fraction,
            random_state=self.random_state,
            stratify=y if is_classifier(self) else None,
        )
        if is_classifier(self) and len(np.unique(y[train])) < len(np.unique(y)):
            raise ValueError(
                f"validation_fraction={self.validation_fraction} leaves no row of some class to "
                "train on; lower it, or set n_iter_no_change=None"
            )
        held_out: tuple = (X[test], y[test], _part(weight, test), [])
        return X[train], y[train], _part(weight, train), held_out

    def _stops(self, trees: list, held_out: tuple, losses: list[float]) -> bool:
        """Whether the held-out loss is no better by `tol` than any of the last few."""
        X, y, weight, raw = held_out
        if not raw:
            raw.append(self._start(X))
        self._add_round(X, trees, raw[0])
        losses.append(self._loss.value(y, raw[0], weight))
        last = losses[-1 - self.n_iter_no_change : -1]
        return len(last) == self.n_iter_no_change and losses[-1] + self.tol >= max(last)

    def _add_round(self, X: NDArray[np.float32], trees: Any, raw: NDArray[np.float64]) -> None:
        for k, tree in enumerate(trees):
            scaled = self.learning_rate * tree.tree_.value
            tree.tree_.add_values(X, scaled, raw[k][:, np.newaxis])

    def _staged_raw(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """The sum of the trees after each round: (K, n), the same array every time."""
        X = self._rows_to_walk(X)
        raw = self._start(X)
        for trees in self.estimators_:
            self._add_round(X, trees, raw)
            yield raw

    def _raw(self, X: ArrayLike) -> NDArray[np.float64]:
        """The sum of all trees: (K, n)."""
        *_, raw = self._staged_raw(X)
        return raw

    def _rows_to_walk(self, X: ArrayLike) -> NDArray[np.float32]:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float32, order="C", reset=False)

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """How much of the trees' gain each column brings (d,); they add up to 1."""
        check_is_fitted(self)
        gains = sum(tree.tree_.gains_of_features() for tree in self.estimators_.ravel())
        total = gains.sum()
        return gains / total if total > 0 else gains

    def apply(self, X: ArrayLike) -> NDArray[np.int32]:
        """The leaf of each row of X (n, d) in each tree: (n, rounds, K); of values: (n, rounds)."""
        X = self._rows_to_walk(X)
        leaves = [[tree.tree_.apply(X) for tree in trees] for trees in self.estimators_]
        result = np.array(leaves).transpose(2, 0, 1)
        return result if is_classifier(self) else result[:, :, 0]


@njit(cache=True, nogil=True)
def draw_rows(uniform, m):
    """Mark m of n rows, every choice equally likely; `uniform` (n,) are numbers from [0, 1).

    A row is taken with the chance: rows that are still wanted over rows that are still to come.
    (D. Knuth, *The Art of Computer Programming*, volume 2, algorithm 3.4.2 S)
    """
    n, taken = len(uniform), 0
    marked = np.zeros(n, np.bool_)
    for i in range(n):
        if uniform[i] * (n - i) < m - taken:
            marked[i] = True
            taken += 1
    return marked


def _part(weight: NDArray | None, chosen: NDArray) -> NDArray | None:
    return None if weight is None else weight[chosen]


def _value(
    loss: Loss, y: NDArray, raw: NDArray, weight: NDArray | None, chosen: NDArray[np.bool_]
) -> float:
    """The loss of the chosen rows; not a number where they have no weight."""
    if not chosen.all():
        y, raw, weight = y[chosen], raw[:, chosen], _part(weight, chosen)
    if len(y) == 0 or (weight is not None and not weight.any()):
        return float("nan")
    return loss.value(y, raw, weight)
