r"""Support vector machines with a kernel: classification one class against one, and regression.

The classifier with the widest margin between two classes $y_t \in \{-1, 1\}$ has the decision
function $f(x) = \langle w, \phi(x) \rangle + b$ where

$$\min_{w, b, \xi} \tfrac12 \|w\|^2 + \textstyle\sum_t C_t \xi_t
  \quad\text{with}\quad y_t f(x_t) \ge 1 - \xi_t, \; \xi_t \ge 0:$$

$1 / \|w\|$ is the margin, $\xi_t$ how far a point is short of it. A multiplier $\alpha_t$ for each
constraint gives the Lagrangian; it is stationary where $w = \sum_t \alpha_t y_t \phi(x_t)$,
$\sum_t \alpha_t y_t = 0$ and $\alpha_t \le C_t$, and what is left is the dual

$$\max_\alpha \textstyle\sum_t \alpha_t - \tfrac12 \sum_{s,t} \alpha_s \alpha_t y_s y_t K(x_s, x_t)
  \quad\text{with}\quad 0 \le \alpha_t \le C_t, \; \sum_t \alpha_t y_t = 0,$$

where points occur only within the kernel $K$. Points with $\alpha_t > 0$ are the *support vectors*:
they lie on the margin or on the wrong side of it, and $f(x) = \sum_t \alpha_t y_t K(x_t, x) + b$
needs no others. The regressor puts a tube of width $\varepsilon$ around $f$ and pays for what lies
outside; its dual has one signed multiplier a point too. Both are solved in `smo.py`.

For more than two classes each pair of them has a machine of its own, and the machines vote.

C. Cortes, V. Vapnik, "Support-vector networks", Machine Learning, 1995.
A. J. Smola, B. Schölkopf, "A tutorial on support vector regression", 2004.
"""

from collections.abc import Callable
from itertools import combinations
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import _ovr_decision_function, check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from supervised_learning.svm.base import KernelMachine
from supervised_learning.svm.kernels import LINEAR


class SVC(ClassifierMixin, KernelMachine):
    r"""Support vector classifier with a kernel.

    Parameters
    ----------
    C : float
        The price of a point on the wrong side of its margin.
    kernel : "linear", "poly", "rbf", "sigmoid", "precomputed", or a function
        A function takes points (n, d) and (m, d) and gives the kernel (n, m).
    degree : int
        Of the polynomial kernel.
    gamma : "scale", "auto" or float
        "scale" is 1 / (n_features · variance of X), "auto" 1 / n_features.
    coef0 : float
        The constant of the polynomial and the sigmoid kernel.
    shrinking : bool
        Whether to leave variables out on the way that seem settled.
    tol : float
        The violation of the optimality conditions that is left.
    cache_size : float
        Memory for rows of the kernel matrix, in MB.
    class_weight : dict, "balanced" or None
        C is multiplied by a class's weight, and by a row's.
    max_iter : int
        The most steps for each pair of classes; -1 for no limit.
    decision_function_shape : "ovr" or "ovo"
        A score for each class, or for each pair of classes.
    break_ties : bool
        Whether equal votes are decided by the scores; takes "ovr".

    Attributes
    ----------
    support_ : array of shape (n_SV,), the rows that are support vectors, class by class.
    support_vectors_ : array of shape (n_SV, n_features); empty without points of a known kernel.
    n_support_ : array of shape (n_classes,)
    dual_coef_ : array of shape (n_classes - 1, n_SV)
        $\alpha_t y_t$ against each of the other classes, in their order.
    intercept_ : array of shape (n_classes * (n_classes - 1) / 2,)
    coef_ : array of shape (n_classes * (n_classes - 1) / 2, n_features), linear kernel only.
    classes_ : array of shape (n_classes,), sorted.
    class_weight_ : array of shape (n_classes,)
    n_iter_ : array of shape (n_classes * (n_classes - 1) / 2,), the steps.
    fit_status_ : 0 where the solver converged, else 1.
    shape_fit_ : the shape of the training points.

    Examples
    --------
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    >>> SVC(C=100).fit(X, y).predict(X).tolist()
    [0, 1, 1, 0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **KernelMachine._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "decision_function_shape": [StrOptions({"ovr", "ovo"})],
        "break_ties": ["boolean"],
    }

    def __init__(
        self,
        *,
        C: float = 1.0,
        kernel: str | Callable[[NDArray, NDArray], NDArray] = "rbf",
        degree: int = 3,
        gamma: str | float = "scale",
        coef0: float = 0.0,
        shrinking: bool = True,
        tol: float = 1e-3,
        cache_size: float = 200,
        class_weight: Any = None,
        max_iter: int = -1,
        decision_function_shape: str = "ovr",
        break_ties: bool = False,
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.shrinking = shrinking
        self.tol = tol
        self.cache_size = cache_size
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.decision_function_shape = decision_function_shape
        self.break_ties = break_ties

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and the classes y (n,), with weights (n,) for the rows.

        Rows whose weight is not positive are left out. Warns with ConvergenceWarning when
        `max_iter` steps do not reach `tol`.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, order="C")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        k = len(self.classes_)
        if k < 2:
            raise ValueError(
                f"The number of classes has to be greater than one; got {k} class, "
                f"{self.classes_[0]!r}"
            )
        self.class_weight_ = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        price = self.C * self.class_weight_[codes]
        if sample_weight is not None:
            price *= _check_sample_weight(sample_weight, X, dtype=np.float64)
        members = [np.flatnonzero((codes == c) & (price > 0)) for c in range(k)]
        if sum(len(rows) > 0 for rows in members) < 2:
            raise ValueError(
                "Invalid input - all samples with positive weights belong to the same class "
                "label, or none has a positive weight; the classifier needs at least 2 classes"
            )
        points = self._set_kernel(X)

        # The multipliers of a point, one for each of the other classes.
        beta = np.zeros((k - 1, len(X)))
        intercepts, steps, converged = [], [], True
        for first, second in combinations(range(k), 2):
            ends = members[first], members[second]
            chosen = np.concatenate(ends)
            z = np.repeat([1.0, -1.0], [len(rows) for rows in ends])
            bounds = price[chosen] * z
            solution = self._solve(
                points, chosen, z, np.minimum(bounds, 0.0), np.maximum(bounds, 0.0)
            )
            beta[second - 1, ends[0]] = solution.beta[: len(ends[0])]
            beta[first, ends[1]] = solution.beta[len(ends[0]) :]
            intercepts.append(solution.intercept)
            steps.append(solution.iterations)
            converged &= solution.converged
        used = np.asarray(beta.any(axis=0))
        support = [rows[used[rows]] for rows in members]
        self.n_support_ = np.array([len(rows) for rows in support], dtype=np.int32)
        # With two classes a positive score is to mean the second one.
        sign = -1.0 if k == 2 else 1.0
        self.intercept_ = sign * np.array(intercepts)
        self.n_iter_ = np.array(steps, dtype=np.int32)
        order = np.concatenate(support)
        self._keep(X, order, sign * beta[:, order], converged)
        return self

    def _against(self, c: int) -> tuple[NDArray, slice]:
        """The machines of class c, in the order of the other classes, and its support vectors."""
        machine = np.zeros((len(self.classes_),) * 2, dtype=np.intp)
        pairs = np.triu_indices(len(self.classes_), 1)
        machine[pairs] = machine.T[pairs] = np.arange(len(pairs[0]))
        stop = int(self.n_support_[: c + 1].sum())
        return np.delete(machine[c], c), slice(stop - int(self.n_support_[c]), stop)

    def _linear_coef(self) -> NDArray:
        coef = np.zeros((len(self.intercept_), self.support_vectors_.shape[1]))
        for c in range(len(self.classes_)):
            machines, own = self._against(c)
            coef[machines] += self.dual_coef_[:, own] @ self.support_vectors_[own]
        return coef

    def _pair_scores(self, X: ArrayLike) -> NDArray:
        """The score of each machine: (n, number of pairs); positive for the first of the pair.

        With two classes: positive for the second.
        """
        check_is_fitted(self)
        if self._kernel.kind == LINEAR:
            return self._linear_scores(X)
        parts = [self._against(c) for c in range(len(self.classes_))]
        blocks = []
        for _, values in self._kernel_blocks(X):
            scores = np.tile(self.intercept_, (len(values), 1))
            if len(self.intercept_) == 1:
                scores += values @ self.dual_coef_.T
            else:
                for machines, own in parts:
                    scores[:, machines] += values[:, own] @ self.dual_coef_[:, own].T
            blocks.append(scores)
        return np.concatenate(blocks)

    def decision_function(self, X: ArrayLike) -> NDArray:
        """The scores of X (n, d).

        Two classes: shape (n,), positive for the second. More: (n, n_classes), the votes with the
        scores as a fraction; or (n, number of pairs), positive for the first of each pair.
        """
        scores = self._pair_scores(X)
        if len(self.classes_) == 2:
            return scores[:, 0]
        if self.decision_function_shape == "ovo":
            return scores
        votes: NDArray = _ovr_decision_function(scores < 0, -scores, len(self.classes_))
        return votes

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class with most votes for each row of X (n, d): shape (n,)."""
        if self.break_ties and self.decision_function_shape == "ovo":
            raise ValueError(
                "break_ties must be False when decision_function_shape is 'ovo'; "
                "use decision_function_shape='ovr'"
            )
        scores = self._pair_scores(X)
        k = len(self.classes_)
        if k == 2:
            return self.classes_[(scores[:, 0] > 0).astype(np.intp)]
        if self.break_ties:
            best = _ovr_decision_function(scores < 0, -scores, k).argmax(axis=1)
            return self.classes_[best]
        votes = np.zeros((len(scores), k), dtype=np.intp)
        for machine, (first, second) in enumerate(combinations(range(k), 2)):
            won = scores[:, machine] > 0
            votes[:, first] += won
            votes[:, second] += ~won
        return self.classes_[votes.argmax(axis=1)]


class SVR(RegressorMixin, KernelMachine):
    r"""Support vector regressor with a kernel.

    Minimizes $\frac12 \|w\|^2 + C \sum_t \max(0, |y_t - f(x_t)| - \varepsilon)$.

    Parameters
    ----------
    kernel, degree, gamma, coef0, tol, shrinking, cache_size, max_iter : see `SVC`.
    C : float
        The price of a unit outside the tube.
    epsilon : float
        Half the width of the tube.

    Attributes
    ----------
    support_ : array of shape (n_SV,), the rows outside the tube or on its border.
    support_vectors_ : array of shape (n_SV, n_features); empty without points of a known kernel.
    n_support_ : array of shape (1,)
    dual_coef_ : array of shape (1, n_SV)
    intercept_ : array of shape (1,)
    coef_ : array of shape (1, n_features), linear kernel only.
    n_iter_ : int, the steps.
    fit_status_ : 0 where the solver converged, else 1.
    shape_fit_ : the shape of the training points.

    Examples
    --------
    >>> X = [[0.0], [1.0], [2.0], [3.0]]
    >>> model = SVR(kernel="linear", C=10, epsilon=0.0).fit(X, [1.0, 3.0, 5.0, 7.0])
    >>> model.predict([[4.0]]).round(2).tolist()
    [9.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **KernelMachine._parameter_constraints,
        "epsilon": [Interval(Real, 0.0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        kernel: str | Callable[[NDArray, NDArray], NDArray] = "rbf",
        degree: int = 3,
        gamma: str | float = "scale",
        coef0: float = 0.0,
        tol: float = 1e-3,
        C: float = 1.0,
        epsilon: float = 0.1,
        shrinking: bool = True,
        cache_size: float = 200,
        max_iter: int = -1,
    ) -> None:
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.tol = tol
        self.C = C
        self.epsilon = epsilon
        self.shrinking = shrinking
        self.cache_size = cache_size
        self.max_iter = max_iter

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and the targets y (n,), with weights (n,) for the rows.

        Rows whose weight is not positive are left out. Warns with ConvergenceWarning when
        `max_iter` steps do not reach `tol`.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, order="C", y_numeric=True)
        price = np.full(len(X), float(self.C))
        if sample_weight is not None:
            price *= _check_sample_weight(sample_weight, X, dtype=np.float64)
        chosen = np.flatnonzero(price > 0)
        if len(chosen) == 0:
            raise ValueError(
                "Invalid input - all samples have zero or negative weights; "
                "give some rows a positive one"
            )
        points = self._set_kernel(X)
        bound = price[chosen]
        z = np.asarray(y, dtype=np.float64)[chosen]
        solution = self._solve(points, chosen, z, -bound, bound, float(self.epsilon))
        used = solution.beta != 0
        self.n_support_ = np.array([used.sum()], dtype=np.int32)
        self.intercept_ = np.array([solution.intercept])
        self.n_iter_ = solution.iterations
        self._keep(X, chosen[used], solution.beta[used][None, :], solution.converged)
        return self

    def _linear_coef(self) -> NDArray:
        return self.dual_coef_ @ self.support_vectors_

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The value for each row of X (n, d): shape (n,)."""
        check_is_fitted(self)
        if self._kernel.kind == LINEAR:
            return self._linear_scores(X)[:, 0]
        blocks = [values @ self.dual_coef_[0] for _, values in self._kernel_blocks(X)]
        return np.concatenate(blocks) + self.intercept_
