r"""Bayesian linear regression: a distribution over coefficients, its scales learned from the data.

With noise $y \mid w \sim N(Xw, \alpha^{-1} I)$ and prior $w \sim N(0, \lambda^{-1} I)$ (the data
centered), the logarithm of prior times likelihood is quadratic in $w$, so the posterior is normal:

$$w \mid y \sim N(m, S),\quad S = (\lambda I + \alpha X^\top X)^{-1},\quad m = \alpha S X^\top y.$$

The mean is ridge regression with penalty $\lambda / \alpha$; the covariance is what ridge does not
tell. A new row has the **predictive distribution** $N(x^\top m,\; \alpha^{-1} + x^\top S x)$:
noise, and what is not known of the coefficients.

**Evidence.** The two precisions maximize the probability of the data with $w$ integrated out,

$$\log p(y) = \tfrac12 \big( d \log \lambda + n \log \alpha - \alpha \|y - Xm\|^2 - \lambda \|m\|^2
+ \log |S| - n \log 2\pi \big).$$

Setting its derivatives to 0 gives equations for $\lambda$ and $\alpha$ that are solved by going
round: with the number of coefficients that the data determine,
$\gamma = \sum_i \alpha s_i^2 / (\lambda + \alpha s_i^2)$ for the singular values $s_i$ of $X$,

$$\lambda = \gamma / \|m\|^2, \qquad \alpha = (n - \gamma) / \|y - Xm\|^2 .$$

Gamma priors on both (shape `alpha_1`, rate `alpha_2`, and so on) add twice their shape above and
twice their rate below; the defaults hardly matter.

**In the basis of the singular vectors** every step takes $O(d)$. With $R = U \Sigma V^\top$ and
$p = U^\top Q^\top y$ (see `least_squares`), $m = Vc$ with
$c_i = s_i p_i / (s_i^2 + \lambda/\alpha)$, and the residual is that of least squares plus
$\sum_i (p_i - s_i c_i)^2$, a sum without cancellation.

MacKay, "Bayesian interpolation", 1992. Tipping, "Sparse Bayesian learning and the relevance vector
machine", 2001. Bishop, *Pattern Recognition and Machine Learning*, 2006, sections 3.3 to 3.5.
"""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import validate_data

from supervised_learning.least_squares import Array, LinearPredictor, reduce_rows


class BayesianRidge(LinearPredictor):
    """Bayesian ridge regression; noise and prior precision maximize the evidence.

    Parameters
    ----------
    max_iter : int, default=300
        The most updates of the precisions.
    tol : float, default=1e-3
        The updates end when the coefficients change by less than this in sum.
    alpha_1, alpha_2 : float, default=1e-6
        Shape and rate of the gamma prior on the precision of the noise.
    lambda_1, lambda_2 : float, default=1e-6
        Shape and rate of the gamma prior on the precision of the coefficients.
    alpha_init : float, default=None
        The precision of the noise to start from; None: 1 / variance of y.
    lambda_init : float, default=None
        The precision of the coefficients to start from; None: 1.
    compute_score : bool, default=False
        Whether to keep the log evidence of each update.
    fit_intercept : bool, default=True
        Whether to fit a constant. It has a flat prior: it is not part of the posterior below.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        The posterior mean.
    sigma_ : ndarray of shape (n_features, n_features)
        The posterior covariance.
    intercept_ : float
        The constant; 0.0 with `fit_intercept=False`.
    alpha_, lambda_ : float
        The precisions of the noise and of the coefficients.
    scores_ : ndarray of shape (n_iter_ + 1,)
        The log evidence before each update and at the end (with `compute_score=True`).
    n_iter_ : int
        The number of updates.
    X_offset_ : ndarray of shape (n_features,)
        The columns' means.
    n_features_in_ : int
        The number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X has names.

    Notes
    -----
    A constant column keeps its prior: coefficient 0 with variance 1 / lambda.

    Examples
    --------
    >>> from supervised_learning.bayesian import BayesianRidge
    >>> model = BayesianRidge().fit([[0.0], [1.0], [2.0], [3.0]], [0.1, 0.9, 2.1, 2.9])
    >>> mean, std = model.predict([[1.5], [30.0]], return_std=True)
    >>> bool(std[0] < std[1])
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "alpha_1": [Interval(Real, 0, None, closed="left")],
        "alpha_2": [Interval(Real, 0, None, closed="left")],
        "lambda_1": [Interval(Real, 0, None, closed="left")],
        "lambda_2": [Interval(Real, 0, None, closed="left")],
        "alpha_init": [None, Interval(Real, 0, None, closed="neither")],
        "lambda_init": [None, Interval(Real, 0, None, closed="neither")],
        "compute_score": ["boolean"],
        "fit_intercept": ["boolean"],
    }

    def __init__(
        self,
        *,
        max_iter: int = 300,
        tol: float = 1e-3,
        alpha_1: float = 1e-6,
        alpha_2: float = 1e-6,
        lambda_1: float = 1e-6,
        lambda_2: float = 1e-6,
        alpha_init: float | None = None,
        lambda_init: float | None = None,
        compute_score: bool = False,
        fit_intercept: bool = True,
    ) -> None:
        self.max_iter = max_iter
        self.tol = tol
        self.alpha_1 = alpha_1
        self.alpha_2 = alpha_2
        self.lambda_1 = lambda_1
        self.lambda_2 = lambda_2
        self.alpha_init = alpha_init
        self.lambda_init = lambda_init
        self.compute_score = compute_score
        self.fit_intercept = fit_intercept

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the posterior.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,)
            The target.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative; a weight of 2 counts as the row twice.

        Returns
        -------
        self : BayesianRidge
        """
        X, Y, sample_weight, _ = self._validated(X, y, sample_weight, multi_output=False)
        reduced = reduce_rows(X, Y, sample_weight, self.fit_intercept)
        U, s, Vt = np.linalg.svd(reduced.R, full_matrices=False)
        p = U.T @ reduced.Z[:, 0]
        # Where s is but rounding, p belongs to the residual, and the sum over (p - sc)² has it.
        reached = s > max(X.shape) * np.finfo(np.float64).eps * s[0]
        least_squares = (p[reached] / s[reached]) @ Vt[reached]
        unexplained = self._squared_residual(X, Y[:, 0], sample_weight, least_squares)
        unexplained -= float(np.sum(p[~reached] ** 2))
        noise = self.alpha_init or 1 / (
            _variance(Y[:, 0], sample_weight) + np.finfo(np.float64).eps
        )
        c = self._maximize_evidence(s, Vt, p, unexplained, reduced.weight, noise)

        explained = self.lambda_ + self.alpha_ * s**2
        self.sigma_ = (Vt.T / explained) @ Vt
        if len(s) < X.shape[1]:  # what the data do not reach keeps its prior
            self.sigma_ += (np.eye(X.shape[1]) - Vt.T @ Vt) / self.lambda_
        self.sigma_ = self.sigma_.astype(X.dtype, copy=False)
        self.X_offset_ = reduced.x_mean.astype(X.dtype)
        return self._keep((c @ Vt)[:, None], reduced.x_mean, reduced.y_mean, X.dtype, flat=True)

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict the mean, and the standard deviation, of each row's predictive distribution.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        return_std : bool, default=False
            Whether to give the standard deviation, too.

        Returns
        -------
        mean : ndarray of shape (n_samples,)
        std : ndarray of shape (n_samples,)
            With `return_std=True`: noise and what is not known of the coefficients.
        """
        mean = super().predict(X)
        if not return_std:
            return mean
        X = validate_data(self, X, reset=False)
        centered = X - self.X_offset_
        variance = np.einsum("ij,ij->i", centered @ self.sigma_, centered) + 1 / self.alpha_
        return mean, np.sqrt(variance)

    def _squared_residual(
        self, X: NDArray, y: Array, sample_weight: NDArray | None, w: Array
    ) -> float:
        """‖y - Xw‖² of the centered data, from the rows: made from products it would cancel."""
        residual = y - X @ w
        if self.fit_intercept:
            residual -= np.average(residual, weights=sample_weight)
        weighted = residual if sample_weight is None else residual * sample_weight
        return float(weighted @ residual)

    def _maximize_evidence(
        self,
        s: Array,
        Vt: Array,
        p: Array,
        unexplained: float,
        n: float,
        noise: float,
    ) -> Array:
        """Set alpha_ and lambda_; returns the posterior mean in the basis of the rows of `Vt`.

        `s` (k,) are the singular values of X, `p` (k,) is y in the basis of its left singular
        vectors, `unexplained` the squared residual of least squares, `n` the sum of the weights,
        `noise` the precision of the noise to start from.
        """
        prior = self.lambda_init or 1.0
        scores = []
        coef_before = None
        for update in range(1, self.max_iter + 1):
            self.n_iter_ = update
            c, residual = _posterior_mean(s, p, prior / noise, unexplained)
            if self.compute_score:
                scores.append(self._log_evidence(s, c, residual, n, Vt.shape[1], noise, prior))
            determined = float(np.sum(noise * s**2 / (prior + noise * s**2)))
            prior = (determined + 2 * self.lambda_1) / (float(c @ c) + 2 * self.lambda_2)
            noise = (n - determined + 2 * self.alpha_1) / (residual + 2 * self.alpha_2)
            coef = c @ Vt
            if coef_before is not None and np.abs(coef - coef_before).sum() < self.tol:
                break
            coef_before = coef
        else:
            warnings.warn(
                f"The precisions did not converge in {self.max_iter} updates; raise max_iter or "
                "tol.",
                ConvergenceWarning,
                stacklevel=4,
            )
        self.alpha_, self.lambda_ = float(noise), float(prior)
        c, residual = _posterior_mean(s, p, prior / noise, unexplained)
        if self.compute_score:
            scores.append(self._log_evidence(s, c, residual, n, Vt.shape[1], noise, prior))
            self.scores_ = np.array(scores)
        return c

    def _log_evidence(
        self, s: Array, c: Array, residual: float, n: float, d: int, noise: float, prior: float
    ) -> float:
        """The log probability of the data, plus that of the precisions up to a constant."""
        log_det = np.log(prior + noise * s**2).sum() + (d - len(s)) * np.log(prior)
        evidence = d * np.log(prior) + n * np.log(noise / (2 * np.pi)) - log_det
        evidence -= noise * residual + prior * (c @ c)
        hyperpriors = self.lambda_1 * np.log(prior) - self.lambda_2 * prior
        hyperpriors += self.alpha_1 * np.log(noise) - self.alpha_2 * noise
        return float(evidence / 2 + hyperpriors)


def _posterior_mean(s: Array, p: Array, ratio: float, unexplained: float) -> tuple[Array, float]:
    """The mean in the singular basis (k,) for prior / noise precision, and its squared residual."""
    c = s * p / (s**2 + ratio)
    return c, max(unexplained + float(np.sum((p - s * c) ** 2)), 0.0)


def _variance(y: Array, sample_weight: NDArray | None) -> float:
    mean = np.average(y, weights=sample_weight)
    return float(np.average((y - mean) ** 2, weights=sample_weight))
