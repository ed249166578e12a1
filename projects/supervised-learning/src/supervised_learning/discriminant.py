r"""Linear discriminant analysis: the directions in which the classes part.

Model: every class is normal, $x \mid c \sim \mathcal N(\mu_c, \Sigma)$, with one common covariance.
Then $\log P(c \mid x)$ is linear in $x$, since the quadratic terms are the same for all classes:

$$ s_c(x) = x^\top \Sigma^{-1} \mu_c - \tfrac12 \mu_c^\top \Sigma^{-1} \mu_c + \log \pi_c . $$

Fisher came to the same directions without a model: those $w$ whose variance between the class means
is largest beside the variance within the classes, $\max_w w^\top S_b w / w^\top S_w w$. In
coordinates where $S_w = I$ (whitened) they are the principal axes of the class means, at most
$K - 1$ of them. The two solvers:

- `svd`: whiten by the eigenvectors of the standardized $S_w$, whose square roots are the singular
  values of the centered rows; what lies below `tol` is left out, so collinear columns do no harm.
- `eigen`: the generalized problem $S_b w = \lambda S_w w$ by Cholesky; takes shrinkage.

With few rows for each column $\hat\Sigma$ is too wild, and is pulled towards a multiple of the
identity; how far, Ledoit and Wolf estimate (*A well-conditioned estimator for large-dimensional
covariance matrices*, 2004).

R. A. Fisher, *The use of multiple measurements in taxonomic problems*, 1936; C. R. Rao, *The
utilization of multiple measurements in problems of biological classification*, 1948.
"""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import linalg
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from supervised_learning.linear_classifier import LinearClassifier
from supervised_learning.logistic import sigmoid, softmax


@njit(cache=True, nogil=True)
def _class_means(X, y, k):
    """The mean row of each class (k, d), and the number of its rows (k,)."""
    sums, count = np.zeros((k, X.shape[1])), np.zeros(k)
    for i in range(X.shape[0]):
        count[y[i]] += 1
        for j in range(X.shape[1]):
            sums[y[i], j] += X[i, j]
    for c in range(k):
        sums[c] /= count[c]
    return sums, count


def ledoit_wolf(X: NDArray) -> tuple[NDArray, float]:
    """The shrunk covariance (d, d) of centered rows X (n, d), and how far it was shrunk.

    The target is μI with μ the mean variance. The share is β / δ: δ is the squared distance of the
    sample covariance from the target, β an estimate of its squared distance from the truth, both
    divided by d.
    """
    n, d = X.shape
    covariance = X.T @ X / n
    mu = np.trace(covariance) / d
    delta = (np.sum(covariance**2) - d * mu**2) / d
    squares = X**2
    beta = (np.sum(squares.T @ squares) / n - np.sum(covariance**2)) / (n * d)
    share = 0.0 if beta <= 0 else float(min(beta / delta, 1.0)) if delta > 0 else 0.0
    return shrink(covariance, share), share


def shrink(covariance: NDArray, share: float) -> NDArray:
    """(1 - share) · covariance + share · (its mean variance) · I."""
    mu = np.trace(covariance) / len(covariance)
    return (1 - share) * covariance + share * mu * np.eye(len(covariance))


class LinearDiscriminantAnalysis(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, LinearClassifier
):
    """A linear classifier from class means and one covariance; also a projection.

    Parameters
    ----------
    solver : "svd" or "eigen"
    shrinkage : "auto" (Ledoit-Wolf), a float from 0 to 1, or None; with `eigen` only.
    priors : array of shape (n_classes,) or None
        The classes' probabilities; None takes their shares of the rows.
    n_components : int or None
        How many directions `transform` keeps: at most min(n_classes - 1, n_features).
    tol : float
        With `svd`, directions whose standard deviation within the classes is smaller, in
        standardized columns, are left out.

    Attributes
    ----------
    coef_, intercept_, classes_ : see `LinearClassifier`.
    means_ : array of shape (n_classes, n_features)
    priors_ : array of shape (n_classes,)
    xbar_ : array of shape (n_features,), the mean under the priors.
    scalings_ : array of shape (n_features, rank), the directions.
    explained_variance_ratio_ : array of shape (n_components,).
    covariance_ : array of shape (n_features, n_features) (not with `svd`).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> LinearDiscriminantAnalysis().fit(X, y).transform(X).shape
    (150, 2)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "solver": [StrOptions({"svd", "eigen"})],
        "shrinkage": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both"), None],
        "priors": ["array-like", None],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        solver: str = "svd",
        shrinkage: Any = None,
        priors: ArrayLike | None = None,
        n_components: int | None = None,
        tol: float = 1e-4,
    ) -> None:
        self.solver = solver
        self.shrinkage = shrinkage
        self.priors = priors
        self.n_components = n_components
        self.tol = tol

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (n, d) and the classes y (n,).

        Raises ValueError where there are no more rows than classes, for shrinkage with `svd`, and
        for more components than there can be.
        """
        if self.solver == "svd" and self.shrinkage is not None:
            raise ValueError("shrinkage is not supported with solver='svd'; use 'eigen'")
        X, codes, _ = self._read(X, y)
        n, d = X.shape
        k = len(self.classes_)
        if n == k:
            raise ValueError(
                f"The number of samples must be more than the number of classes; both are {n}"
            )
        most = min(k - 1, d)
        if self.n_components is not None and self.n_components > most:
            raise ValueError(
                f"n_components cannot be larger than min(n_features, n_classes - 1) = {most}; "
                f"got {self.n_components}"
            )
        self._max_components = most if self.n_components is None else self.n_components
        means, count = _class_means(X, codes, k)
        self.priors_ = self._check_priors(count / n)
        self.means_ = means.astype(X.dtype)
        within = X - self.means_[codes]
        learn = self._by_whitening if self.solver == "svd" else self._by_eigenvectors
        learn(X, codes, within, means)
        if k == 2:  # one score is enough: its sign decides
            self.coef_ = self.coef_[1:] - self.coef_[:1]
            self.intercept_ = self.intercept_[1:] - self.intercept_[:1]
        self.coef_ = self.coef_.astype(X.dtype)
        self.intercept_ = self.intercept_.astype(X.dtype)
        self._n_features_out = self._max_components
        return self

    def _check_priors(self, shares: NDArray) -> NDArray:
        if self.priors is None:
            return shares
        priors = np.asarray(self.priors, dtype=np.float64)
        if priors.shape != shares.shape:
            raise ValueError(f"priors must have shape {shares.shape}, got {priors.shape}")
        if (priors < 0).any():
            raise ValueError(f"priors must be non-negative, got {priors.tolist()}")
        if abs(priors.sum() - 1) > 1e-5:
            warnings.warn("The priors do not sum to 1. Renormalizing", UserWarning, stacklevel=3)
            priors = priors / priors.sum()
        return priors

    def _by_whitening(self, X: NDArray, codes: NDArray, within: NDArray, means: NDArray) -> None:
        n, k = len(X), len(means)
        self.xbar_ = self.priors_ @ means
        scatter = (within.T @ within).astype(np.float64)
        spread = np.sqrt(np.diag(scatter) / n)
        spread[spread == 0] = 1.0
        values, vectors = linalg.eigh(scatter / np.outer(spread, spread) / n)
        kept = np.sqrt(np.maximum(values, 0)) > self.tol
        whitening = (vectors[:, kept] / np.sqrt(values[kept]))[:, ::-1] / spread[:, None]

        weights = np.sqrt(n * self.priors_ / (k - 1))
        between = weights[:, None] * (means - self.xbar_) @ whitening
        _, sizes, axes = linalg.svd(between, full_matrices=False)
        rank = int(np.sum(sizes > self.tol * sizes[0])) if sizes.size else 0
        self.scalings_ = whitening @ axes[:rank].T
        self._keep_shares(sizes**2)
        self._set_scores(means)

    def _by_eigenvectors(self, X: NDArray, codes: NDArray, within: NDArray, means: NDArray) -> None:
        self.xbar_ = self.priors_ @ means
        self.covariance_ = self._covariance(codes, within)
        whole = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
        between = self._shrunk(whole) - self.covariance_
        values, vectors = linalg.eigh(between, self.covariance_)
        self.scalings_ = vectors[:, ::-1]
        self._keep_shares(np.maximum(values[::-1], 0))
        self._set_scores(means)

    def _set_scores(self, means: NDArray) -> None:
        # Measured from the mean of all: a common shift changes no decision and keeps the digits.
        centered = (means - self.xbar_) @ self.scalings_
        self.coef_ = centered @ self.scalings_.T
        self.intercept_ = (
            np.log(self.priors_) - 0.5 * np.sum(centered**2, axis=1) - self.coef_ @ self.xbar_
        )

    def _keep_shares(self, variances: NDArray) -> None:
        total = variances.sum()
        shares = variances / total if total > 0 else np.zeros_like(variances)
        self.explained_variance_ratio_ = shares[: self._max_components]

    def _covariance(self, codes: NDArray, within: NDArray) -> NDArray:
        """The classes' covariances, each shrunk by itself, weighted by the priors: (d, d)."""
        d = within.shape[1]
        total = np.zeros((d, d))
        for c, prior in enumerate(self.priors_):
            total += prior * self._shrunk(within[codes == c].astype(np.float64))
        return total

    def _shrunk(self, centered: NDArray) -> NDArray:
        if self.shrinkage == "auto":  # in standardized columns, so that no unit is favored
            spread = centered.std(axis=0)
            spread[spread == 0] = 1.0
            return ledoit_wolf(centered / spread)[0] * np.outer(spread, spread)
        covariance = centered.T @ centered / len(centered)
        return covariance if self.shrinkage is None else shrink(covariance, float(self.shrinkage))

    def transform(self, X: ArrayLike) -> NDArray:
        """Project rows X (n, d) on the directions: (n, n_components), the most telling first."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        directions = self.scalings_[:, : self._max_components].astype(X.dtype)
        if self.solver == "svd":
            X = X - self.xbar_.astype(X.dtype)
        projected: NDArray = X @ directions
        return projected

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """The classes' probabilities: shape (n, n_classes), rows sum to 1."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            p = sigmoid(scores)
            return np.column_stack([1 - p, p])
        return softmax(scores)

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """The logarithms of `predict_proba`, with 0 replaced by the smallest normal number."""
        p = self.predict_proba(X)
        return np.log(np.maximum(p, np.finfo(p.dtype).tiny))
