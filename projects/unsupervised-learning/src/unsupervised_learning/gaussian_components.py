r"""The Gaussian densities of a mixture, and the sums that their next parameters are made of.

With $\Sigma^{-1} = P P^T$ a row's log density under a component is

$$ \log N(x \mid \mu, \Sigma) = \log \det P - \tfrac d2 \log 2\pi - \tfrac12 \lVert y \rVert^2,
\qquad y = (x - \mu)^T P, $$

where $y$ is the row as the component sees it: whitened. Given the rows' responsibilities $r_i$,
with $N = \sum_i r_i$, the expected log-likelihood is largest at the weighted moments

$$ \mu' = \frac1N \sum_i r_i x_i, \qquad
\Sigma' = \frac1N \sum_i r_i (x_i - \mu')(x_i - \mu')^T + \epsilon I . $$

A full covariance takes them from the whitened rows, which are there already: with
$s = \sum_i r_i y_i / N$ and $W = \sum_i r_i y_i y_i^T / N$ it is $\mu' = \mu + P^{-T} s$ and
$\Sigma' = P^{-T} (W - s s^T) P^{-1} + \epsilon I$. Near the end $s$ is small and $W$ close to $I$:
nothing cancels. Four shapes of covariance share one interface:

| shape | covariances | free numbers | `whiten` |
| --- | --- | --- | --- |
| full | (k, d, d) | k d (d + 1) / 2 | P of each component |
| tied | (d, d) | d (d + 1) / 2 | the one P |
| diag | (k, d) | k d | 1 / σ of each column |
| spherical | (k,) | k | 1 / σ |

C. M. Bishop, "Pattern Recognition and Machine Learning" (2006), section 9.2.
"""

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import solve_triangular


class Components:
    """k Gaussian components at their present parameters, and the sums for the next ones.

    Parameters
    ----------
    means : ndarray of shape (k, d)
    whiten : ndarray, P in the shape's own form.
    dtype : the type that rows come in, and that products with them are computed in.
    """

    def __init__(self, means: NDArray, whiten: NDArray, dtype: DTypeLike) -> None:
        self.means, self.whiten = means, whiten
        self.to_white = whiten.astype(dtype)
        self.centers = means.astype(dtype)
        half_log_2pi = 0.5 * means.shape[1] * np.log(2 * np.pi)
        self.constants = (self.log_det() - half_log_2pi).astype(dtype)[:, None]
        self.first = np.zeros(means.shape)  # Σ r x, or Σ r y
        self.prepare()

    def log_density(self, block: NDArray) -> NDArray:
        """log N(x | μ, Σ) of rows (m, d) under every component, shape (k, m)."""
        return self.constants - 0.5 * self.squares(block)

    def prepare(self) -> None:
        """What `squares` needs and does not depend on the rows."""
        raise NotImplementedError

    def log_det(self) -> NDArray:
        """log det P of every component, shape (k,)."""
        raise NotImplementedError

    def squares(self, block: NDArray) -> NDArray:
        """|y|² of rows (m, d) as every component sees them, shape (k, m)."""
        raise NotImplementedError

    def add(self, block: NDArray, resp: NDArray) -> None:
        """Add the rows whose `squares` were computed last, with responsibilities (k, m)."""
        raise NotImplementedError

    def moments(self, counts: NDArray, reg_covar: float) -> tuple[NDArray, NDArray]:
        """The next means (k, d) and covariances, from the rows added; counts (k,) are Σ r."""
        raise NotImplementedError

    @staticmethod
    def identity(k: int, d: int) -> NDArray:
        """The `whiten` that leaves rows as they are."""
        raise NotImplementedError

    @staticmethod
    def whiten_by(covariances: NDArray) -> NDArray:
        """P with P Pᵀ = Σ⁻¹; raises numpy's LinAlgError where Σ is not positive definite."""
        raise NotImplementedError

    @staticmethod
    def precisions(whiten: NDArray) -> NDArray:
        """Σ⁻¹ = P Pᵀ, in the shape's own form."""
        raise NotImplementedError

    @staticmethod
    def parameters(k: int, d: int) -> int:
        """How many free numbers the covariances have."""
        raise NotImplementedError


class _Full(Components):
    """Every component has a covariance matrix of its own."""

    def prepare(self) -> None:
        self.offset = self.centers[:, None, :] @ self.to_white  # (k, 1, d)
        self.second = np.zeros_like(self.whiten)

    def log_det(self) -> NDArray:
        return np.log(np.diagonal(self.whiten, axis1=1, axis2=2)).sum(axis=1)

    def squares(self, block: NDArray) -> NDArray:
        self.white = block @ self.to_white - self.offset  # (k, m, d)
        return np.einsum("kmd,kmd->km", self.white, self.white)

    def add(self, block: NDArray, resp: NDArray) -> None:
        self.first += (resp[:, None, :] @ self.white)[:, 0]
        self.white *= np.sqrt(resp)[:, :, None]
        self.second += self.white.transpose(0, 2, 1) @ self.white

    def moments(self, counts: NDArray, reg_covar: float) -> tuple[NDArray, NDArray]:
        back = np.linalg.inv(self.whiten)
        shift = self.first / counts[:, None]
        white = self.second / counts[:, None, None] - shift[:, :, None] * shift[:, None, :]
        covariances = back.transpose(0, 2, 1) @ white @ back
        covariances = 0.5 * (covariances + covariances.transpose(0, 2, 1))
        covariances += reg_covar * np.eye(shift.shape[1])
        return self.means + (shift[:, None, :] @ back)[:, 0], covariances

    @staticmethod
    def identity(k: int, d: int) -> NDArray:
        return np.broadcast_to(np.eye(d), (k, d, d)).copy()

    @staticmethod
    def whiten_by(covariances: NDArray) -> NDArray:
        return np.stack([_Tied.whiten_by(covariance) for covariance in covariances])

    @staticmethod
    def precisions(whiten: NDArray) -> NDArray:
        return whiten @ whiten.transpose(0, 2, 1)

    @staticmethod
    def parameters(k: int, d: int) -> int:
        return k * d * (d + 1) // 2


class _Tied(Components):
    """All components share one covariance matrix: one product whitens the rows for all."""

    def prepare(self) -> None:
        self.white_means = self.centers @ self.to_white
        self.second = np.zeros_like(self.whiten)

    def log_det(self) -> NDArray:
        return np.full(len(self.means), np.log(np.diagonal(self.whiten)).sum())

    def squares(self, block: NDArray) -> NDArray:
        white = block @ self.to_white
        norms = np.einsum("kd,kd->k", self.white_means, self.white_means)
        products = self.white_means @ white.T
        return np.einsum("md,md->m", white, white) - 2 * products + norms[:, None]

    def add(self, block: NDArray, resp: NDArray) -> None:
        self.first += resp @ block
        self.second += (block.T * resp.sum(axis=0)) @ block

    def moments(self, counts: NDArray, reg_covar: float) -> tuple[NDArray, NDArray]:
        means = self.first / counts[:, None]
        covariance = (self.second - (counts * means.T) @ means) / counts.sum()
        return means, covariance + reg_covar * np.eye(means.shape[1])

    @staticmethod
    def identity(k: int, d: int) -> NDArray:
        return np.eye(d)

    @staticmethod
    def whiten_by(covariances: NDArray) -> NDArray:
        lower = np.linalg.cholesky(covariances)
        return solve_triangular(lower, np.eye(len(lower)), lower=True).T

    @staticmethod
    def precisions(whiten: NDArray) -> NDArray:
        return whiten @ whiten.T

    @staticmethod
    def parameters(k: int, d: int) -> int:
        return d * (d + 1) // 2


class _Diagonal(Components):
    """Every component has a variance for each column; the axes of its ellipsoid are the columns."""

    def prepare(self) -> None:
        self.weights = self.to_white**2
        self.weighted_means = self.centers * self.weights
        self.norms = (self.centers * self.weighted_means).sum(axis=1)[:, None]
        self.second = np.zeros_like(self.means)

    def log_det(self) -> NDArray:
        return np.log(self.whiten).sum(axis=1)

    def squares(self, block: NDArray) -> NDArray:
        self.squared = block**2
        products = self.weighted_means @ block.T
        return self.weights @ self.squared.T - 2 * products + self.norms

    def add(self, block: NDArray, resp: NDArray) -> None:
        self.first += resp @ block
        self.second += resp @ self.squared

    def moments(self, counts: NDArray, reg_covar: float) -> tuple[NDArray, NDArray]:
        means = self.first / counts[:, None]
        variances = self.second / counts[:, None] - means**2
        return means, np.maximum(variances, 0.0) + reg_covar

    @staticmethod
    def identity(k: int, d: int) -> NDArray:
        return np.ones((k, d))

    @staticmethod
    def whiten_by(covariances: NDArray) -> NDArray:
        if not (covariances > 0).all():
            raise np.linalg.LinAlgError("a variance is 0")
        return 1.0 / np.sqrt(covariances)

    @staticmethod
    def precisions(whiten: NDArray) -> NDArray:
        return whiten**2

    @staticmethod
    def parameters(k: int, d: int) -> int:
        return k * d


class _Spherical(Components):
    """Every component has one variance, the same in all directions."""

    def prepare(self) -> None:
        self.norms = np.einsum("kd,kd->k", self.centers, self.centers)[:, None]
        self.second = np.zeros(len(self.means))

    def log_det(self) -> NDArray:
        return self.means.shape[1] * np.log(self.whiten)

    def squares(self, block: NDArray) -> NDArray:
        self.squared = np.einsum("md,md->m", block, block)
        distances = self.squared - 2 * (self.centers @ block.T) + self.norms
        return distances * self.to_white[:, None] ** 2

    def add(self, block: NDArray, resp: NDArray) -> None:
        self.first += resp @ block
        self.second += resp @ self.squared

    def moments(self, counts: NDArray, reg_covar: float) -> tuple[NDArray, NDArray]:
        means = self.first / counts[:, None]
        variances = (self.second / counts - (means**2).sum(axis=1)) / means.shape[1]
        return means, np.maximum(variances, 0.0) + reg_covar

    @staticmethod
    def identity(k: int, d: int) -> NDArray:
        return np.ones(k)

    @staticmethod
    def whiten_by(covariances: NDArray) -> NDArray:
        return _Diagonal.whiten_by(covariances)

    @staticmethod
    def precisions(whiten: NDArray) -> NDArray:
        return whiten**2

    @staticmethod
    def parameters(k: int, d: int) -> int:
        return k


#: The shapes by the name that `GaussianMixture` takes.
SHAPES: dict[str, type[Components]] = {
    "full": _Full,
    "tied": _Tied,
    "diag": _Diagonal,
    "spherical": _Spherical,
}
