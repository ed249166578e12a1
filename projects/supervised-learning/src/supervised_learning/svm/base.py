"""What the machines with a kernel share: the kernel, and sums over the support vectors."""

import warnings
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from supervised_learning.svm.kernels import KINDS, PRECOMPUTED, RBF, Kernel, kernel_matrix
from supervised_learning.svm.smo import DualSolution, solve_smo

_BLOCK = 2**19  # entries of the kernel matrix that are computed at once: 4 MB


class KernelMachine(BaseEstimator):
    """What classifier and regressor share: the kernel, and the sums over the support vectors.

    The radial kernel works on points with their mean taken off, which changes no distance and
    saves digits.
    """

    kernel: str | Callable[[NDArray, NDArray], NDArray]
    degree: int
    gamma: str | float
    coef0: float
    tol: float
    shrinking: bool
    cache_size: float
    max_iter: int

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "kernel": [StrOptions(set(KINDS)), callable],
        "degree": [Interval(Integral, 0, None, closed="left")],
        "gamma": [StrOptions({"scale", "auto"}), Interval(Real, 0.0, None, closed="left")],
        "coef0": [Interval(Real, None, None, closed="neither")],
        "tol": [Interval(Real, 0.0, None, closed="neither")],
        "C": [Interval(Real, 0.0, None, closed="neither")],
        "shrinking": ["boolean"],
        "cache_size": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, -1, None, closed="left")],
    }

    def _set_kernel(self, X: NDArray) -> NDArray:
        """Settle the kernel for the training points X; what the solver takes in their place."""
        gamma = self.gamma
        if gamma == "scale":
            spread = float(X.var())
            gamma = 1.0 / (X.shape[1] * spread) if spread > 0 else 1.0
        elif gamma == "auto":
            gamma = 1.0 / X.shape[1]
        kind = PRECOMPUTED if callable(self.kernel) else KINDS.index(self.kernel)
        self._kernel = Kernel(kind, float(gamma), float(self.coef0), int(self.degree))
        self._shift = X.mean(axis=0) if kind == RBF else None
        if callable(self.kernel):
            self._points = X
            return self._call_kernel(X)
        if kind == PRECOMPUTED and X.shape[0] != X.shape[1]:
            raise ValueError(
                f"Precomputed matrix must be a square matrix. Input is a {X.shape[0]}x{X.shape[1]} "
                "matrix; give the kernel of each pair of training points"
            )
        return X if self._shift is None else X - self._shift

    def _call_kernel(self, X: NDArray) -> NDArray[np.float64]:
        """What a kernel given as a function says of X and the training points."""
        assert callable(self.kernel)
        values = np.asarray(self.kernel(X, self._points), dtype=np.float64, order="C")
        if values.shape != (len(X), len(self._points)):
            raise ValueError(
                f"the kernel function gave an array of shape {values.shape} for {len(X)} and "
                f"{len(self._points)} points; it has to be ({len(X)}, {len(self._points)})"
            )
        return values

    def _solve(
        self,
        points: NDArray,
        chosen: NDArray,
        z: NDArray,
        lower: NDArray,
        upper: NDArray,
        epsilon: float = 0.0,
    ) -> DualSolution:
        """Solve the dual for the chosen rows of the points, or of the precomputed kernel."""
        if not np.array_equal(chosen, np.arange(len(points))):
            matrix = self._kernel.kind == PRECOMPUTED
            points = points[np.ix_(chosen, chosen) if matrix else chosen]
        return solve_smo(
            points,
            z,
            lower,
            upper,
            self._kernel,
            epsilon=epsilon,
            tol=self.tol,
            max_iter=self.max_iter,
            cache_mb=self.cache_size,
            shrinking=self.shrinking,
        )

    def _keep(self, X: NDArray, support: NDArray, dual_coef: NDArray, converged: bool) -> None:
        """Keep the support vectors (numbers of rows of X) and their coefficients."""
        self.support_ = support.astype(np.int32)
        no_points = self._kernel.kind == PRECOMPUTED
        self.support_vectors_ = np.empty((0, 0)) if no_points else X[support]
        self.dual_coef_ = dual_coef
        self.shape_fit_ = X.shape
        self.fit_status_ = int(not converged)
        if not converged:
            warnings.warn(
                f"the solver stopped before the violation fell to tol={self.tol}; raise max_iter "
                f"(given: {self.max_iter}), or bring the columns to one scale",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _kernel_blocks(self, X: ArrayLike) -> Iterator[tuple[slice, NDArray]]:
        """Blocks of rows of X with the kernel of each row and each support vector."""
        X = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        support = self.support_vectors_
        if self._shift is not None:
            support = support - self._shift
        step = max(16, _BLOCK // max(1, len(self.support_)))
        for start in range(0, len(X), step):
            part = slice(start, min(start + step, len(X)))
            rows = X[part]
            if callable(self.kernel):
                yield part, self._call_kernel(rows)[:, self.support_]
            elif self._kernel.kind == PRECOMPUTED:
                yield part, rows[:, self.support_]
            else:
                if self._shift is not None:
                    rows = rows - self._shift
                yield part, kernel_matrix(rows, support, self._kernel)

    def _linear_scores(self, X: ArrayLike) -> NDArray:
        """X·wᵀ + b: shape (n, number of machines)."""
        X = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        scores: NDArray = X @ self._linear_coef().T + self.intercept_
        return scores

    def _linear_coef(self) -> NDArray:
        raise NotImplementedError

    @property
    def coef_(self) -> NDArray:
        """The weights w, a row for each machine; only the linear kernel has them."""
        if self.kernel != "linear":
            raise AttributeError(
                f"coef_ is only available with kernel='linear', got {self.kernel!r}"
            )
        return self._linear_coef()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags
