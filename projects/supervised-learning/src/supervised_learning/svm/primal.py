r"""Linear support vector machines in the primal: Newton's method on the squared losses.

With the kernel $\langle x, z \rangle$ the weights can be had without a dual. Squared, the hinge
$\max(0, 1 - y f(x))$ and the loss beyond a tube $\max(0, |y - f(x)| - \varepsilon)$ have a
derivative, and what is to be minimized,

$$F(w) = \tfrac12 \|w\|^2 + \textstyle\sum_t C_t \, r_t^2,$$

has no constraints. The *residual* $r_t$ of a row that pays is $f(x_t)$ less the nearest value that
costs nothing: $f - y$ while $y f < 1$ for the hinge, $f - (y \pm \varepsilon)$ outside the tube.
A row that does not pay has $r_t = 0$. The gradient is $w + 2 \sum_t C_t r_t x_t$. While the set
$A$ of paying rows stays the same, $F$ is a parabola with the second derivative
$H = I + 2 \sum_{t \in A} C_t x_t x_t^\top$, and one Newton step $-H^{-1} \nabla F$ ends at its
lowest point; so a few steps find the exact answer. A constant column carries the intercept, and is
penalized with the other weights.

With fewer paying rows than columns the inverse is taken on the rows' side,
$(I + B^\top B)^{-1} = I - B^\top (I + B B^\top)^{-1} B$ (Woodbury), where $B$ has the rows
$\sqrt{2 C_t} \, x_t$.

O. L. Mangasarian, "A finite Newton method for classification", 2002; S. S. Keerthi, D. DeCoste, "A
modified finite Newton method for fast solution of large scale linear SVMs", 2005; O. Chapelle,
"Training a support vector machine in the primal", 2007.
"""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from supervised_learning.linear_classifier import LinearClassifier

Residual = Callable[[NDArray], NDArray]


def hinge_residual(y: NDArray) -> Residual:
    """Scores (n,) → residuals (n,) of the hinge; y (n,) of -1 and 1."""

    def residual(score: NDArray) -> NDArray:
        r = score - y
        r[y * r >= 0] = 0.0  # y (f - y) = y f - 1
        return r

    return residual


def tube_residual(y: NDArray, epsilon: float) -> Residual:
    """Values (n,) → residuals (n,) beyond a tube around the targets y (n,)."""

    def residual(value: NDArray) -> NDArray:
        r = value - y
        return r - np.clip(r, -epsilon, epsilon)

    return residual


def minimize_squared_loss(
    X: NDArray, residual: Residual, price: NDArray | float, *, tol: float, max_iter: int
) -> tuple[NDArray, int, bool]:
    """Minimize ½‖w‖² + Σ price · residual(X w)², from 0.

    Parameters
    ----------
    X : array of shape (n, d), with the constant column where there is an intercept.
    residual : see `hinge_residual` and `tube_residual`.
    price : C, or an array (n,) of them.
    tol : the norm of the gradient at the end, as a share of that at the start.

    Returns
    -------
    w of shape (d,), the number of Newton steps, and whether the gradient is small enough.
    """
    w = np.zeros(X.shape[1], X.dtype)
    score = np.zeros(len(X), X.dtype)
    r = residual(score)
    value = float((price * r) @ r)
    first = 0.0
    for step in range(max_iter + 1):
        gradient = w + 2 * ((price * r) @ X)
        size = float(np.linalg.norm(gradient))
        first = first or size
        if size <= tol * first:
            return w, step, True
        if step == max_iter:
            break
        direction = _newton_direction(X, r, price, gradient)
        along, slope = X @ direction, float(gradient @ direction)
        share = 1.0
        while True:
            w_new, score_new = w + share * direction, score + share * along
            r_new = residual(score_new)
            value_new = 0.5 * float(w_new @ w_new) + float((price * r_new) @ r_new)
            if value_new <= value + 1e-4 * share * slope + 1e-14 * value or share < 1e-10:
                break
            share /= 2
        w, score, r, value = w_new, score_new, r_new, value_new
    return w, max_iter, False


def _newton_direction(X: NDArray, r: NDArray, price: NDArray | float, gradient: NDArray) -> NDArray:
    """-H⁻¹ gradient, on the side of the rows or of the columns, whichever is shorter."""
    paying = np.flatnonzero(r)
    scale = np.sqrt(2 * (price[paying, None] if isinstance(price, np.ndarray) else price))
    B = X[paying]
    B *= scale
    if len(paying) < X.shape[1]:
        inner = B @ B.T
        inner.flat[:: len(inner) + 1] += 1.0
        return B.T @ linalg.solve(inner, B @ gradient, assume_a="pos") - gradient
    inner = B.T @ B
    inner.flat[:: len(inner) + 1] += 1.0
    return -linalg.solve(inner, gradient, assume_a="pos")


def _with_constant(X: NDArray, scaling: float) -> NDArray[np.float64]:
    """X with one more column, in which each row has the value `scaling`; 0 gives X itself."""
    if scaling == 0:
        return X
    extended = np.empty((X.shape[0], X.shape[1] + 1))
    extended[:, :-1] = X
    extended[:, -1] = scaling
    return extended


def _warn(converged: bool, max_iter: int, tol: float) -> None:
    if not converged:
        warnings.warn(
            f"Newton's method did not reach tol={tol} within max_iter={max_iter} steps; raise "
            "max_iter, or bring the columns to one scale",
            ConvergenceWarning,
            stacklevel=3,
        )


_CONSTRAINTS: dict[str, Any] = {
    "tol": [Interval(Real, 0.0, None, closed="neither")],
    "C": [Interval(Real, 0.0, None, closed="neither")],
    "fit_intercept": ["boolean"],
    "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
    "max_iter": [Interval(Integral, 0, None, closed="left")],
}


class LinearSVC(LinearClassifier):
    r"""Linear support vector classifier with the squared hinge loss, one class against the rest.

    Minimizes $\frac12 \|w\|^2 + C \sum_t \max(0, 1 - y_t f(x_t))^2$.

    Parameters
    ----------
    tol : float
        The norm of the gradient at the end, as a share of that at the start.
    C : float
        The price of a row that is short of its margin.
    fit_intercept : bool
    intercept_scaling : float
        The value of the constant column; a larger one makes the penalty on the intercept smaller.
    class_weight : dict, "balanced" or None
        C is multiplied by a class's weight. With more than two classes it counts where the class
        stands against the rest, whose rows have the weight 1.
    max_iter : int

    Attributes
    ----------
    coef_, intercept_, classes_ : see `LinearClassifier`.
    n_iter_ : int, the most Newton steps that a class took.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> float(LinearSVC().fit(X, y).score(X, y)) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_CONSTRAINTS,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        *,
        tol: float = 1e-4,
        C: float = 1.0,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        class_weight: Any = None,
        max_iter: int = 1000,
    ) -> None:
        self.tol = tol
        self.C = C
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.max_iter = max_iter

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and the classes y (n,), with weights (n,) for the rows.

        Warns with ConvergenceWarning when `max_iter` steps do not reach `tol`.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        k = len(self.classes_)
        if k < 2:
            raise ValueError(
                "This solver needs samples of at least 2 classes in the data, but the data "
                f"contains only one class: {self.classes_[0]!r}"
            )
        each = compute_class_weight(
            self.class_weight, classes=self.classes_, y=y, sample_weight=sample_weight
        )
        price: NDArray | float = self.C
        if sample_weight is not None:
            price = self.C * _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        scaling = float(self.intercept_scaling) if self.fit_intercept else 0.0
        extended = _with_constant(X, scaling)
        w = np.empty((1 if k == 2 else k, extended.shape[1]))
        self.n_iter_, converged = 0, True
        for machine in range(len(w)):
            positive = codes == (1 if k == 2 else machine)
            own = price
            if self.class_weight is not None:
                rest = each[0] if k == 2 else 1.0
                own = price * np.where(positive, each[1 if k == 2 else machine], rest)
            w[machine], steps, done = minimize_squared_loss(
                extended,
                hinge_residual(np.where(positive, 1.0, -1.0)),
                own,
                tol=self.tol,
                max_iter=self.max_iter,
            )
            self.n_iter_ = max(self.n_iter_, steps)
            converged &= done
        _warn(converged, self.max_iter, self.tol)
        d = X.shape[1]
        self.coef_ = w[:, :d].copy()
        self.intercept_ = scaling * w[:, d] if scaling else np.zeros(len(w))
        return self


class LinearSVR(RegressorMixin, BaseEstimator):
    r"""Linear support vector regressor with the squared loss beyond a tube.

    Minimizes $\frac12 \|w\|^2 + C \sum_t \max(0, |y_t - f(x_t)| - \varepsilon)^2$.

    Parameters
    ----------
    epsilon : float
        Half the width of the tube.
    tol, C, fit_intercept, intercept_scaling, max_iter : see `LinearSVC`.

    Attributes
    ----------
    coef_ : array of shape (n_features,)
    intercept_ : array of shape (1,)
    n_iter_ : int, the Newton steps.

    Examples
    --------
    >>> model = LinearSVR(C=1e6).fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.predict([[4.0]]).round(2).tolist()
    [9.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_CONSTRAINTS,
        "epsilon": [Interval(Real, 0.0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        epsilon: float = 0.0,
        tol: float = 1e-4,
        C: float = 1.0,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        max_iter: int = 1000,
    ) -> None:
        self.epsilon = epsilon
        self.tol = tol
        self.C = C
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.max_iter = max_iter

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and the targets y (n,), with weights (n,) for the rows.

        Warns with ConvergenceWarning when `max_iter` steps do not reach `tol`.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        price: NDArray | float = self.C
        if sample_weight is not None:
            price = self.C * _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        scaling = float(self.intercept_scaling) if self.fit_intercept else 0.0
        w, self.n_iter_, converged = minimize_squared_loss(
            _with_constant(X, scaling),
            tube_residual(np.asarray(y, dtype=np.float64), float(self.epsilon)),
            price,
            tol=self.tol,
            max_iter=self.max_iter,
        )
        _warn(converged, self.max_iter, self.tol)
        d = X.shape[1]
        self.coef_ = w[:d]
        self.intercept_ = scaling * w[d:] if scaling else np.zeros(1)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The value for each row of X (n, d): shape (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        values: NDArray[np.float64] = X @ self.coef_ + self.intercept_
        return values
