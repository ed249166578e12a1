r"""Gaussian mixtures: rows drawn from one of k normal distributions, and nobody tells from which.

The density is $p(x) = \sum_j \pi_j N(x \mid \mu_j, \Sigma_j)$. If it were known which component
each row came from, the best parameters would be the components' shares, means and covariances; if
the parameters were known, the probability that row $i$ came from component $j$ would be

$$ r_{ij} = \frac{\pi_j N(x_i \mid \mu_j, \Sigma_j)}{\sum_l \pi_l N(x_i \mid \mu_l, \Sigma_l)} . $$

EM takes these two in turns. The E-step finds the responsibilities $r_{ij}$; the M-step sets shares,
means and covariances to the moments weighted with them. By Jensen's inequality

$$ \log p(x_i) \ge \sum_j r_{ij} \log \frac{\pi_j N(x_i \mid \mu_j, \Sigma_j)}{r_{ij}}, $$

with equality for these $r_{ij}$; the M-step raises the right side, so the likelihood never falls.
It ends in a local maximum, or, where a component shrinks onto a single row, in a density without
bound: `reg_covar` on the diagonals keeps the covariances away from there.

A density in many dimensions underflows, so everything stays a logarithm until the largest has been
taken off: $\log \sum_j e^{a_j} = m + \log \sum_j e^{a_j - m}$ with $m = \max_j a_j$. Both steps go
block by block: once a block has its responsibilities, its rows are added to the sums that the
M-step needs (`gaussian_components`), while they lie in the cache. No array of n × k is kept.

A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum likelihood from incomplete data via the EM
algorithm" (1977).
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from unsupervised_learning.gaussian_components import SHAPES, Components
from unsupervised_learning.kmeans import KMeans
from unsupervised_learning.kmeans_seeding import kmeans_plusplus


@dataclass
class _Parameters:
    weights: NDArray
    means: NDArray
    covariances: NDArray
    whiten: NDArray


def _blocks(X: NDArray, k: int) -> Iterator[slice]:
    """Rows whose whitened copies for k components stay in the second-level cache."""
    rows = max(64, 2**17 // (k * X.shape[1] + X.shape[1]))
    for begin in range(0, len(X), rows):
        yield slice(begin, begin + rows)


class GaussianMixture(DensityMixin, BaseEstimator):
    """A mixture of normal distributions, fitted by expectation maximization.

    Parameters
    ----------
    n_components : how many components, 1 or more.
    covariance_type : "full" (a matrix for each component), "tied" (one for all), "diag" (variances
        of the columns), "spherical" (one variance for each component).
    tol : EM ends where the mean log-likelihood of a row grows by less than this.
    reg_covar : added to the covariances' diagonals, 0 or more.
    max_iter : the most iterations of a run.
    n_init : the number of runs, of which the one with the largest likelihood is kept.
    init_params : the first responsibilities: "kmeans" (the clusters), "k-means++" or
        "random_from_data" (one row for each component), "random" (uniform numbers).
    weights_init, means_init, precisions_init : parameters to begin with in place of those that
        follow from `init_params`; array-like of shape (k,), (k, d), and that of `precisions_`.
    random_state : int, RandomState or None; the source of the beginnings and of `sample`.
    warm_start : whether a further `fit` begins with the parameters found last.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,), the components' shares.
    means_ : ndarray of shape (n_components, n_features)
    covariances_, precisions_, precisions_cholesky_ : ndarray; the covariances, their inverses, and
        P with precision = P Pᵀ. Full: (n_components, n_features, n_features); tied: (n_features,
        n_features); diag: (n_components, n_features); spherical: (n_components,).
    converged_ : whether the kept run ended by `tol`.
    n_iter_ : its number of iterations.
    lower_bound_, lower_bounds_ : the mean log-likelihood of a row in its last E-step, and in all.
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Raises ValueError for fewer rows than components, for parameters of a wrong shape, and where a
    covariance is not positive definite (raise `reg_covar`); warns with `ConvergenceWarning` where
    `max_iter` was reached.

    A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum likelihood from incomplete data via the
    EM algorithm" (1977).

    Examples
    --------
    >>> import numpy as np
    >>> from unsupervised_learning.mixture import GaussianMixture
    >>> X = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    >>> GaussianMixture(2, random_state=0).fit(X).means_.round(6).ravel().tolist()
    [11.0, 1.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(SHAPES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions({"kmeans", "random", "random_from_data", "k-means++"})],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: Any = None,
        warm_start: bool = False,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start

    weights_: NDArray
    means_: NDArray
    covariances_: NDArray
    precisions_cholesky_: NDArray
    lower_bound_: float

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored.
        """
        self._fit(X)
        return self

    def fit_predict(self, X: ArrayLike, y: object = None) -> NDArray[np.int64]:
        """Fit, and return the most probable component of every row, shape (n_samples,)."""
        return self._labels(self._fit(X))

    @_fit_context(prefer_skip_nested_validation=True)
    def _fit(self, X: ArrayLike) -> NDArray:
        data = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        if len(data) < self.n_components:
            raise ValueError(
                f"n_samples={len(data)} rows for n_components={self.n_components}: give at least "
                f"one row for each component, or ask for fewer"
            )
        given = self._given_parameters(data.shape[1])
        random_state = check_random_state(self.random_state)
        goes_on = self.warm_start and hasattr(self, "converged_")
        best: tuple[float, list[float], _Parameters, bool] | None = None
        for _ in range(1 if goes_on else self.n_init):
            if goes_on:
                start = _Parameters(
                    self.weights_, self.means_, self.covariances_, self.precisions_cholesky_
                )
            else:
                start = self._start(data, given, random_state)
            bounds, parameters, converged = self._iterate(
                data, start, self.lower_bound_ if goes_on else -np.inf
            )
            bound = bounds[-1] if bounds else -np.inf
            if best is None or bound > best[0]:
                best = (bound, bounds, parameters, converged)
        assert best is not None
        self.lower_bound_, self.lower_bounds_, parameters, self.converged_ = best
        self.n_iter_ = len(self.lower_bounds_)
        self._keep(parameters, data.dtype)
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(
                f"no convergence in max_iter={self.max_iter} iterations: raise max_iter or tol, or "
                f"try other first parameters",
                ConvergenceWarning,
                stacklevel=3,
            )
        return data

    def _iterate(
        self, X: NDArray, parameters: _Parameters, bound: float
    ) -> tuple[list[float], _Parameters, bool]:
        """EM: the mean log-likelihoods of all E-steps, the parameters, and whether it converged."""
        bounds: list[float] = []
        for _ in range(self.max_iter):
            before, (bound, parameters) = bound, self._em_step(X, parameters)
            bounds.append(bound)
            if abs(bound - before) < self.tol:
                return bounds, parameters, True
        return bounds, parameters, False

    def _em_step(self, X: NDArray, parameters: _Parameters) -> tuple[float, _Parameters]:
        """The mean log-likelihood at these parameters, and the next parameters."""
        middle, components = self._components(parameters, X.dtype)
        log_weights = _log(parameters.weights).astype(X.dtype)[:, None]
        total, counts = 0.0, np.zeros(len(log_weights))
        for rows in _blocks(X, len(log_weights)):
            block = X[rows] - middle
            resp = components.log_density(block) + log_weights
            total += _log_sum_exp(resp).sum(dtype=np.float64)
            counts += resp.sum(axis=1)
            components.add(block, resp)
        return total / len(X), self._maximize(components, counts, middle)

    def _components(self, parameters: _Parameters, dtype: DTypeLike) -> tuple[NDArray, Components]:
        """The point that rows are measured from, amid the means, and the components from there.

        Products of coordinates are then no larger than the distances that they stand for.
        """
        middle = parameters.means.mean(axis=0).astype(dtype)
        shape = SHAPES[self.covariance_type]
        return middle, shape(parameters.means - middle, parameters.whiten, dtype)

    def _maximize(self, components: Components, counts: NDArray, middle: NDArray) -> _Parameters:
        counts = counts + 10 * np.finfo(np.float64).eps  # a component may have lost all rows
        means, covariances = components.moments(counts, self.reg_covar)
        return _Parameters(
            counts / counts.sum(), means + middle, covariances, self._whiten(covariances)
        )

    def _whiten(self, covariances: NDArray) -> NDArray:
        try:
            return SHAPES[self.covariance_type].whiten_by(covariances)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"the covariance of a component is not positive definite with "
                f"reg_covar={self.reg_covar}: it may have shrunk onto one row, or columns depend "
                f"on each other; raise reg_covar, scale the columns, or ask for fewer components"
            ) from error

    # --- where EM begins -------------------------------------------------------------------------

    def _start(
        self, X: NDArray, given: dict[str, NDArray], random_state: np.random.RandomState
    ) -> _Parameters:
        """The first parameters: one M-step from first responsibilities, or what was given."""
        shape = SHAPES[self.covariance_type]
        if len(given) == 3:
            start = _Parameters(given["weights"], given["means"], np.empty(0), np.empty(0))
        else:
            resp = self._first_responsibilities(X, random_state)
            counts = resp.sum(axis=1)
            means = (resp @ X) / (counts[:, None] + 10 * np.finfo(np.float64).eps)
            as_is = _Parameters(counts, means, np.empty(0), shape.identity(*means.shape))
            middle, components = self._components(as_is, np.float64)
            for rows in _blocks(X, len(means)):
                block = X[rows] - middle
                components.squares(block)
                components.add(block, resp[:, rows])
            start = self._maximize(components, counts, middle)
        start.weights = given.get("weights", start.weights)
        start.means = given.get("means", start.means)
        if "precisions" in given:
            precisions = given["precisions"]
            matrices = self.covariance_type in ("full", "tied")
            start.covariances = np.linalg.inv(precisions) if matrices else 1.0 / precisions
            start.whiten = self._whiten(start.covariances)
        return start

    def _first_responsibilities(
        self, X: NDArray, random_state: np.random.RandomState
    ) -> NDArray[np.float64]:
        n, k = len(X), self.n_components
        if self.init_params == "random":
            resp = random_state.uniform(size=(n, k)).T
            return resp / resp.sum(axis=0)
        resp = np.zeros((k, n))
        if self.init_params == "kmeans":
            labels = KMeans(k, n_init=1, random_state=random_state).fit(X).labels_
            resp[labels, np.arange(n)] = 1.0
        elif self.init_params == "k-means++":
            rows = np.ascontiguousarray(X)
            weight = np.ones(n, X.dtype)
            _, chosen = kmeans_plusplus(rows, k, sample_weight=weight, random_state=random_state)
            resp[np.arange(k), chosen] = 1.0
        else:
            resp[np.arange(k), random_state.choice(n, size=k, replace=False)] = 1.0
        return resp

    def _given_parameters(self, d: int) -> dict[str, NDArray]:
        """The parameters to begin with that were given, checked, by name."""
        k = self.n_components
        shapes = {
            "weights": (k,),
            "means": (k, d),
            "precisions": SHAPES[self.covariance_type].identity(k, d).shape,
        }
        given = {}
        for name, shape in shapes.items():
            values = getattr(self, f"{name}_init")
            if values is None:
                continue
            values = check_array(values, dtype=np.float64, ensure_2d=False, allow_nd=True)
            if values.shape != shape:
                raise ValueError(f"{name}_init has the shape {values.shape}, {shape} is needed")
            given[name] = values
        weights, precisions = given.get("weights"), given.get("precisions")
        if weights is not None and not (weights.min() >= 0 and abs(weights.sum() - 1) < 1e-6):
            raise ValueError(
                f"weights_init={weights}: shares of 0 or more that sum to 1 are needed"
            )
        if precisions is not None:
            if self.covariance_type in ("full", "tied"):
                symmetric = np.allclose(precisions, np.swapaxes(precisions, -1, -2))
                positive = symmetric and (np.linalg.eigvalsh(precisions) > 0).all()
            else:
                positive = (precisions > 0).all()
            if not positive:
                raise ValueError("precisions_init should be symmetric and positive definite")
        return given

    # --- what a fitted mixture answers -----------------------------------------------------------

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The most probable component of every row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        return self._labels(self._data(X))

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """The responsibilities: how probable each component is, shape (n_samples, n_components)."""
        data = self._data(X)
        result = np.empty((len(data), len(self.weights_)), data.dtype)
        for rows, joint in self._log_joint(data):
            _log_sum_exp(joint)
            result[rows] = joint.T
        return result

    def score_samples(self, X: ArrayLike) -> NDArray:
        """The log-likelihood of every row, in nats, shape (n_samples,)."""
        data = self._data(X)
        result = np.empty(len(data), data.dtype)
        for rows, joint in self._log_joint(data):
            result[rows] = _log_sum_exp(joint)
        return result

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The mean log-likelihood of a row, in nats."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    def bic(self, X: ArrayLike) -> float:
        """Schwarz's criterion, -2 log-likelihood + parameters · ln n; the lower, the better."""
        samples = self.score_samples(X)
        return -2.0 * float(samples.sum()) + self._free_parameters() * float(np.log(len(samples)))

    def aic(self, X: ArrayLike) -> float:
        """Akaike's criterion, -2 log-likelihood + 2 parameters; the lower, the better."""
        return -2.0 * float(self.score_samples(X).sum()) + 2.0 * self._free_parameters()

    def sample(self, n_samples: int = 1) -> tuple[NDArray, NDArray[np.int64]]:
        """Draw rows from the mixture: X (n_samples, n_features), and each row's component."""
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples={n_samples}: 1 or more rows are drawn")
        random_state = check_random_state(self.random_state)
        counts = random_state.multinomial(n_samples, self.weights_.astype(np.float64))
        parts = []
        for j, (mean, count) in enumerate(zip(self.means_, counts, strict=True)):
            if self.covariance_type in ("full", "tied"):
                tied = self.covariance_type == "tied"
                covariance = self.covariances_ if tied else self.covariances_[j]
                parts.append(random_state.multivariate_normal(mean, covariance, int(count)))
            else:
                noise = random_state.standard_normal(size=(count, len(mean)))
                parts.append(mean + noise * np.sqrt(self.covariances_[j]))
        return np.vstack(parts), np.repeat(np.arange(len(counts)), counts)

    def _data(self, X: ArrayLike) -> NDArray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=[np.float64, np.float32], reset=False)

    def _log_joint(self, X: NDArray) -> Iterator[tuple[slice, NDArray]]:
        """Block by block: which rows, and log π_j + log N(x | μ_j, Σ_j), shape (k, rows)."""
        parameters = _Parameters(
            self.weights_, self.means_, self.covariances_, self.precisions_cholesky_
        )
        middle, components = self._components(parameters, X.dtype)
        log_weights = _log(self.weights_).astype(X.dtype)[:, None]
        for rows in _blocks(X, len(self.weights_)):
            yield rows, components.log_density(X[rows] - middle) + log_weights

    def _labels(self, X: NDArray) -> NDArray[np.int64]:
        labels = np.empty(len(X), dtype=np.int64)
        for rows, joint in self._log_joint(X):
            labels[rows] = joint.argmax(axis=0)
        return labels

    def _free_parameters(self) -> int:
        k, d = self.means_.shape
        return SHAPES[self.covariance_type].parameters(k, d) + k * d + k - 1

    def _keep(self, parameters: _Parameters, dtype: DTypeLike) -> None:
        self.weights_ = parameters.weights.astype(dtype)
        self.means_ = parameters.means.astype(dtype)
        self.covariances_ = parameters.covariances.astype(dtype)
        self.precisions_cholesky_ = parameters.whiten.astype(dtype)
        self.precisions_ = SHAPES[self.covariance_type].precisions(self.precisions_cholesky_)


def _log(weights: NDArray) -> NDArray:
    """The logarithm, without a warning where a component has no share."""
    with np.errstate(divide="ignore"):
        return np.log(weights)


def _log_sum_exp(joint: NDArray) -> NDArray:
    """log Σ_j exp(joint_j) for joint (k, m); the exponentials' shares take joint's place."""
    top = joint.max(axis=0)
    joint -= top
    np.exp(joint, out=joint)
    total = joint.sum(axis=0)
    joint /= total
    return top + np.log(total)
