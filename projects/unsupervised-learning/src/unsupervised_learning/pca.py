r"""Principal component analysis: the few directions in which the rows spread most.

Let $X$ hold centered rows. The variance along a unit vector $v$ is $v^T C v$ with
$C = X^T X / (n - 1)$. It is largest, with the gradient of the Lagrangian
$v^T C v - \lambda (v^T v - 1)$ equal to 0, where

$$ C v = \lambda v, $$

and its value there is $\lambda$: the components are the eigenvectors of the covariance in falling
order of the eigenvalues. They are also the right singular vectors of $X = U S V^T$, with
$\lambda_i = s_i^2 / (n - 1)$, and by the theorem of Eckart and Young $X V_k V_k^T$ is the nearest
matrix of rank $k$: what keeps most variance loses least in the reconstruction. Three ways to them:

- `covariance_eigh`: the eigenvectors of $C$ itself. For $n \gg d$ all work but one pass over the
  rows is on a $d \times d$ matrix. It squares the singular values, so that a variance below
  $10^{-16}$ of the largest is lost.
- `full`: the singular vectors of $X$. A long $X = Q R$ has those of the small $R$, so that neither
  $Q$ nor $U$ is computed.
- `randomized`: random vectors $\Omega$ of shape $(d, k + p)$, pushed towards the leading components
  by $Q \leftarrow \mathrm{orth}(X^T X Q)$, in which component $i$ grows by $s_i^2$ each time. The
  singular vectors of the thin $X Q$ then give those of $X$: $n d (k + p)$ operations a pass in
  place of $n d^2$.

A singular vector is known up to its sign: here the entry that is largest in size is positive.

K. Pearson, "On lines and planes of closest fit to systems of points in space" (1901). H. Hotelling,
"Analysis of a complex of statistical variables into principal components" (1933). N. Halko, P. G.
Martinsson and J. A. Tropp, "Finding structure with randomness" (2011).
"""

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data


def mean_and_covariance(X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean (d,) and the covariance (d, d), divided by n - 1, of rows X (n, d), in one pass.

    Rows are measured from the mean m of the first block, n' rows. No column can lie farther from
    its mean than sqrt(n / n') standard deviations there, so next to nothing cancels in
    Σ (x - m)(x - m)ᵀ - n (μ - m)(μ - m)ᵀ, wherever 0 is.
    """
    n, d = X.shape
    rows = max(256, d, 2**16 // d)  # in the cache, but with work enough for a product (d, d)
    shift = X[:rows].mean(axis=0, dtype=np.float64).astype(X.dtype)
    total, sums = np.zeros((d, d)), np.zeros(d)
    for begin in range(0, n, rows):
        block = X[begin : begin + rows] - shift
        total += block.T @ block
        sums += np.ones(len(block), X.dtype) @ block
    ahead = sums / n
    return shift + ahead, (total - n * np.outer(ahead, ahead)) / (n - 1)


def eigen_components(X: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The mean, all variances, falling, and the components as rows, from the covariance."""
    mean, covariance = mean_and_covariance(X)
    variances, vectors = np.linalg.eigh(covariance)
    return mean, np.maximum(variances[::-1], 0.0), vectors[:, ::-1].T


def singular_components(X: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The mean, the min(n, d) variances, falling, and the components, from the singular vectors."""
    n, d = X.shape
    mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype)
    centered = X - mean
    if n > d:
        centered = np.linalg.qr(centered, mode="r")
    _, singular, components = np.linalg.svd(centered, full_matrices=False)
    return mean, singular**2 / (n - 1), components


def random_components(
    X: NDArray,
    k: int,
    oversamples: int,
    power_iterations: int,
    random_state: np.random.RandomState,
) -> tuple[NDArray, NDArray, NDArray, float]:
    """The mean, the k largest variances and their components, nearly, and the variances' sum.

    Halko, Martinsson and Tropp, "Finding structure with randomness" (2011), algorithms 4.4 and 5.1,
    on the side of the columns.
    """
    n, d = X.shape
    mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype)
    centered = X - mean
    basis = random_state.normal(size=(d, min(k + oversamples, d))).astype(X.dtype, copy=False)
    for _ in range(max(1, power_iterations)):
        basis, _ = np.linalg.qr(centered.T @ (centered @ basis))
    singular, rotation = np.linalg.svd(np.linalg.qr(centered @ basis, mode="r"))[1:]
    total = float(np.einsum("ij,ij->", centered, centered)) / (n - 1)
    return mean, singular[:k] ** 2 / (n - 1), (rotation @ basis.T)[:k], total


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Principal component analysis of dense rows.

    Parameters
    ----------
    n_components : how many components to keep, 1 or more; a fraction between 0 and 1: as many as
        it takes to explain more than this share of the variance; None: all min(n_samples,
        n_features).
    whiten : whether `transform` divides each component by its standard deviation.
    svd_solver : "covariance_eigh", "full", "randomized", or "auto", which takes the first for at
        most 1000 columns and ten times as many rows, the last for a large matrix of which fewer
        than 80 % of the components are wanted, and else the second.
    iterated_power : passes that sharpen the random vectors, at least 1; "auto" is 7 where
        n_components is below a tenth of the smaller side, else 4.
    n_oversamples : how many more random vectors than components.
    random_state : int, RandomState or None; the source of the random vectors.

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features), unit vectors in falling order of
        variance.
    explained_variance_ : ndarray of shape (n_components_,), divided by n_samples - 1.
    explained_variance_ratio_ : the same as shares of the whole variance; 0 where there is none.
    singular_values_ : ndarray of shape (n_components_,), of the centered X.
    mean_ : ndarray of shape (n_features,)
    n_components_, n_samples_ : int
    noise_variance_ : the mean variance of the components left out.
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Raises ValueError for a single row, and for more components than min(n_samples, n_features).

    H. Hotelling, "Analysis of a complex of statistical variables into principal components" (1933).

    Examples
    --------
    >>> from unsupervised_learning.pca import PCA
    >>> model = PCA(1).fit([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    >>> (model.components_ * 5**0.5).round(6).tolist(), model.explained_variance_.round(6).tolist()
    ([[1.0, 2.0]], [5.0])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            None,
        ],
        "whiten": ["boolean"],
        "svd_solver": [StrOptions({"auto", "full", "covariance_eigh", "randomized"})],
        "iterated_power": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "n_oversamples": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: int | float | None = None,
        *,
        whiten: bool = False,
        svd_solver: str = "auto",
        iterated_power: int | str = "auto",
        n_oversamples: int = 10,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.svd_solver = svd_solver
        self.iterated_power = iterated_power
        self.n_oversamples = n_oversamples
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), 2 rows or more; float32 stays float32.
        y : ignored.
        """
        self._fit(X)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: ArrayLike, y: object = None) -> NDArray:
        """Fit, and return the rows along the components, shape (n_samples, n_components_)."""
        return self._project(self._fit(X))

    def _fit(self, X: ArrayLike) -> NDArray:
        data = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        n, d = data.shape
        most = min(n, d)
        wanted = most if self.n_components is None else self.n_components
        if wanted > most:
            raise ValueError(
                f"n_components={wanted} must be at most min(n_samples, n_features)={most}"
            )
        solver = self._solver(n, d, wanted)
        if solver == "randomized":
            mean, variances, components, total = self._random_components(data, wanted)
        else:
            find = eigen_components if solver == "covariance_eigh" else singular_components
            mean, variances, components = find(data)
            variances, components = variances[:most], components[:most]
            total = float(variances.sum())
        ratio = variances / total if total > 0 else np.zeros_like(variances)
        if wanted < 1:
            wanted = min(most, int(np.searchsorted(np.cumsum(ratio), wanted, side="right")) + 1)
        self.n_components_, self.n_samples_ = int(wanted), n
        self.mean_ = mean.astype(data.dtype, copy=False)
        kept = slice(0, self.n_components_)
        self.components_ = _with_fixed_signs(components[kept]).astype(data.dtype, copy=False)
        self.explained_variance_ = variances[kept].astype(data.dtype)
        self.explained_variance_ratio_ = ratio[kept].astype(data.dtype)
        self.singular_values_ = np.sqrt(variances[kept] * (n - 1)).astype(data.dtype)
        left = most - self.n_components_
        left_over = max(0.0, total - float(variances[kept].sum()))
        self.noise_variance_ = left_over / left if left else 0.0
        return data

    def _solver(self, n: int, d: int, wanted: float) -> str:
        if self.svd_solver != "auto":
            return self.svd_solver
        if d <= 1000 and n >= 10 * d:
            return "covariance_eigh"
        large = max(n, d) > 500
        return "randomized" if large and 1 <= wanted < 0.8 * min(n, d) else "full"

    def _random_components(
        self, X: NDArray, wanted: float
    ) -> tuple[NDArray, NDArray, NDArray, float]:
        if wanted < 1:
            raise ValueError(
                f"n_components={wanted}: the randomized solver takes a number of components; give "
                f"one, or svd_solver='full'"
            )
        iterations = self.iterated_power
        if isinstance(iterations, str):
            iterations = 7 if wanted < 0.1 * min(X.shape) else 4
        random_state = check_random_state(self.random_state)
        return random_components(X, int(wanted), self.n_oversamples, iterations, random_state)

    def transform(self, X: ArrayLike) -> NDArray:
        """The rows along the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        projections : ndarray of shape (n_samples, n_components_)
        """
        check_is_fitted(self)
        return self._project(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))

    def _project(self, X: NDArray) -> NDArray:
        projections = X @ self.components_.T
        projections -= self.mean_ @ self.components_.T
        if self.whiten:
            projections /= self._scale()
        return projections

    def inverse_transform(self, X: ArrayLike) -> NDArray:
        """The rows that these projections (n_samples, n_components_) stand for.

        They are as near to the rows that were transformed as any linear map of so few numbers
        takes them. Shape (n_samples, n_features).
        """
        check_is_fitted(self)
        projections = np.asarray(X)
        if projections.ndim != 2 or projections.shape[1] != self.n_components_:
            raise ValueError(
                f"X has the shape {projections.shape}: (n_samples, {self.n_components_}) is needed"
            )
        if self.whiten:
            projections = projections * self._scale()
        return projections @ self.components_ + self.mean_

    def _scale(self) -> NDArray:
        """The components' standard deviations, kept from 0 where there is no variance."""
        scale = np.sqrt(self.explained_variance_)
        return np.maximum(scale, np.finfo(scale.dtype).eps)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)


def _with_fixed_signs(components: NDArray) -> NDArray:
    """The same directions, each with a positive entry where it is largest in size."""
    largest = np.argmax(np.abs(components), axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    return np.ascontiguousarray(components * signs[:, None])
