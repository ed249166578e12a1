r"""t-SNE: a map in which each point keeps its likely neighbors.

In the data, i picks a neighbor j with a probability that falls with their distance,
$p_{j|i} \propto \exp(-\beta_i |x_i - x_j|^2)$. Every point has its own bandwidth: $\beta_i$ is such
that the entropy of $p_{\cdot|i}$ is the logarithm of the perplexity, a soft number of neighbors.
Only the $3 \cdot$ perplexity nearest count. In the map the probabilities are those of Student's
t-distribution with $\nu$ degrees of freedom, $q_{ij} = w_{ij} / Z$ with
$w_{ij} = (1 + |y_i - y_j|^2 / \nu)^{-(\nu + 1) / 2}$: its heavy tail lets moderate distances become
large, which makes the room that a map with few dimensions lacks. The map minimizes

$$\mathrm{KL}(P \| Q) = \sum_{ij} p_{ij} \log \frac{p_{ij}}{q_{ij}}, \qquad
  \frac{\partial \mathrm{KL}}{\partial y_i} = \frac{2 (\nu + 1)}{\nu} \Big(
  \sum_j p_{ij} t_{ij} (y_i - y_j) - \frac1Z \sum_j w_{ij} t_{ij} (y_i - y_j) \Big)$$

with $p_{ij} = (p_{j|i} + p_{i|j}) / 2n$ and $t_{ij} = (1 + |y_i - y_j|^2 / \nu)^{-1}$. The first
sum attracts along the edges of the neighbor graph (`unsupervised_learning.tsne_steps`), the second
repels all from all (`unsupervised_learning.barnes_hut`). The descent has momentum, and each
coordinate a gain that grows while its gradient keeps its sign. For the first 250 steps P is
exaggerated, so that clusters draw together while there is room to move past each other.

Sources: L. van der Maaten and G. Hinton, "Visualizing Data Using t-SNE", Journal of Machine
Learning Research 9 (2008). L. van der Maaten, "Accelerating t-SNE Using Tree-Based Algorithms",
Journal of Machine Learning Research 15 (2014). D. Kobak and P. Berens, "The Art of Using t-SNE for
Single-Cell Transcriptomics", Nature Communications 10 (2019), for the start from principal
components.
"""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from unsupervised_learning.barnes_hut import exact_repulsion, repulsion
from unsupervised_learning.tsne_steps import (
    attraction,
    degrees_of_freedom,
    divergence,
    joint_probabilities,
    principal_scores,
    update,
)

_EXPLORATION = 250  # steps with exaggeration
_CHECK = 50  # steps between two looks at the progress


class TSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A map in few dimensions that keeps neighbors together, by t-SNE.

    There is no `transform`: new rows have no place in a map that is not fitted with them.

    Parameters
    ----------
    n_components : int, default=2
        The map's dimensions; at most 3 with method="barnes_hut".
    perplexity : float, default=30.0
        The soft number of neighbors, below n_samples; usually 5 to 50.
    early_exaggeration : float, default=12.0
        What P is multiplied by in the first 250 steps.
    learning_rate : float or "auto", default="auto"
        The step's size; "auto" is max(n_samples / early_exaggeration / 4, 50).
    max_iter : int, default=1000
        The number of steps, at least 250.
    n_iter_without_progress : int, default=300
        The descent ends when the divergence has not fallen for so many steps, looked at every 50.
    min_grad_norm : float, default=1e-7
        It ends when the norm of the gradient falls below this.
    metric : str or callable, default="euclidean"
        The distance in the data; "precomputed" takes X as distances, with init="random".
    metric_params : dict or None, default=None
        Further arguments of the metric.
    init : {"pca", "random"} or ndarray of shape (n_samples, n_components), default="pca"
        Where the descent starts.
    random_state : int, RandomState instance or None, default=None
        The source of a random start.
    method : {"barnes_hut", "exact"}, default="barnes_hut"
        Whether far points act together (n log n) or one by one (n²), and all points are neighbors.
    angle : float in [0, 1], default=0.5
        The θ of Barnes-Hut: larger is quicker and coarser.
    n_jobs : int or None, default=None
        Parallel jobs of the neighbor search.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_components)
        The map, float32.
    kl_divergence_ : float
        KL(P‖Q) at the end.
    learning_rate_ : float
        The step's size that was used.
    n_iter_ : int
        The steps that were made.
    n_features_in_ : int
        The number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X is a frame with names.

    Raises
    ------
    ValueError
        For NaN or infinity in X, a perplexity of n_samples or more, or other parameters that do not
        fit the data.

    References
    ----------
    L. van der Maaten and G. Hinton, "Visualizing Data Using t-SNE", Journal of Machine Learning
    Research 9 (2008).

    Examples
    --------
    >>> import numpy as np
    >>> from unsupervised_learning.tsne import TSNE
    >>> X = np.random.default_rng(0).standard_normal((50, 4))
    >>> TSNE(perplexity=10, random_state=0).fit_transform(X).shape
    (50, 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "perplexity": [Interval(Real, 0, None, closed="neither")],
        "early_exaggeration": [Interval(Real, 1, None, closed="left")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 250, None, closed="left")],
        "n_iter_without_progress": [Interval(Integral, -1, None, closed="left")],
        "min_grad_norm": [Interval(Real, 0, None, closed="left")],
        "metric": [str, callable],
        "metric_params": [dict, None],
        "init": [StrOptions({"pca", "random"}), np.ndarray],
        "random_state": ["random_state"],
        "method": [StrOptions({"barnes_hut", "exact"})],
        "angle": [Interval(Real, 0, 1, closed="both")],
        "n_jobs": [None, Integral],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        perplexity: float = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto",
        max_iter: int = 1000,
        n_iter_without_progress: int = 300,
        min_grad_norm: float = 1e-7,
        metric: Any = "euclidean",
        metric_params: dict | None = None,
        init: Any = "pca",
        random_state: Any = None,
        method: str = "barnes_hut",
        angle: float = 0.5,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.n_iter_without_progress = n_iter_without_progress
        self.min_grad_norm = min_grad_norm
        self.metric = metric
        self.metric_params = metric_params
        self.init = init
        self.random_state = random_state
        self.method = method
        self.angle = angle
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Make the map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or (n_samples, n_samples) for "precomputed"
            The data.
        y : ignored
            For the interface's sake.

        Returns
        -------
        self : TSNE
        """
        self.fit_transform(X)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_transform(self, X: ArrayLike, y: object = None) -> NDArray[np.float32]:
        """Make the map and return it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or (n_samples, n_samples) for "precomputed"
            The data.
        y : ignored
            For the interface's sake.

        Returns
        -------
        embedding : ndarray of shape (n_samples, n_components)
        """
        X = validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=2)
        n = len(X)
        self._check(X)
        self.learning_rate_ = float(
            max(n / self.early_exaggeration / 4, 50)
            if self.learning_rate == "auto"
            else self.learning_rate
        )
        P = joint_probabilities(*self._neighbors(X), self.perplexity)
        Y = np.ascontiguousarray(self._start(X).T)  # (n_components, n): an axis after the other
        steps, progressed = self._descend(P, Y, _EXPLORATION, self.early_exaggeration, 0.5)
        if progressed:
            steps += self._descend(P, Y, self.max_iter - steps, 1.0, 0.8)[0]
        if not np.isfinite(Y).all():
            raise ValueError(
                f"the map left the range of numbers with learning_rate={self.learning_rate_:g}; "
                "take a lower one, or 'auto'"
            )
        self.n_iter_ = steps
        self.kl_divergence_ = self._divergence(P, Y)
        self.embedding_ = np.ascontiguousarray(Y.T)
        return self.embedding_

    def _check(self, X: NDArray) -> None:
        n = len(X)
        if self.perplexity >= n:
            raise ValueError(f"perplexity ({self.perplexity}) must be less than n_samples ({n})")
        if self.method == "barnes_hut" and self.n_components > 3:
            raise ValueError(
                f"n_components={self.n_components}: the tree of method='barnes_hut' has at most 3 "
                "dimensions; use method='exact'"
            )
        if self.metric == "precomputed":
            if isinstance(self.init, str) and self.init == "pca":
                raise ValueError("init='pca' needs features; for distances use init='random'")
            if X.shape[1] != n:
                raise ValueError(f"distances are square; X has the shape {X.shape}")
            if X.min() < 0:
                raise ValueError("Negative values in data: X holds distances, which are 0 or more")

    def _neighbors(self, X: NDArray) -> tuple[NDArray, NDArray]:
        """The neighbors that count and their distances, (n, k) each."""
        k = len(X) - 1
        if self.method == "barnes_hut":
            k = min(k, int(3 * self.perplexity + 1))
        search = NearestNeighbors(
            n_neighbors=k,
            metric=self.metric,
            metric_params=self.metric_params,
            n_jobs=self.n_jobs,
        ).fit(X)
        distances, neighbors = search.kneighbors()
        return neighbors, distances

    def _start(self, X: NDArray) -> NDArray[np.float32]:
        n, k = len(X), self.n_components
        if isinstance(self.init, np.ndarray):
            start = check_array(self.init, dtype=np.float32, copy=True, input_name="init")
            if start.shape != (n, k):
                raise ValueError(f"init has the shape {start.shape}, the map is {(n, k)}")
            return start
        random = check_random_state(self.random_state)
        start = random.standard_normal((n, k)).astype(np.float32)
        if self.init == "pca":
            scores = principal_scores(X, k)
            if len(X) > 1 and scores[:, 0].std() > 0:
                start[:, : scores.shape[1]] = scores / scores[:, 0].std()
        return 1e-4 * start

    def _descend(
        self, P: csr_array, Y: NDArray, steps: int, exaggeration: float, momentum: float
    ) -> tuple[int, bool]:
        """Move Y (n_components, n) down the gradient, in place.

        Returns the number of steps, and whether they ended because there were no more.
        """
        velocity, gains = np.zeros_like(Y), np.ones_like(Y)
        best, best_step = np.inf, 0
        patience = self.n_iter_without_progress if exaggeration == 1 else steps
        for step in range(1, steps + 1):
            force, total = self._repulsion(Y)
            gradient = attraction(P.indptr, P.indices, P.data, Y)
            gradient *= np.float32(exaggeration)
            rate = self.learning_rate_
            norm = update(Y, gradient, force, total, velocity, gains, rate, momentum)
            if step % _CHECK:
                continue
            if norm <= self.min_grad_norm:
                return step, False
            if exaggeration == 1:
                divergence = self._divergence(P, Y)
                if divergence < best:
                    best, best_step = divergence, step
                elif step - best_step > patience:
                    return step, False
        return steps, True

    def _repulsion(self, Y: NDArray) -> tuple[NDArray, float]:
        nu = degrees_of_freedom(len(Y))
        if self.method == "exact":
            return exact_repulsion(Y, nu)
        return repulsion(Y, self.angle, nu)

    def _divergence(self, P: csr_array, Y: NDArray) -> float:
        return float(divergence(P.indptr, P.indices, P.data, Y, self._repulsion(Y)[1]))

    @property
    def _n_features_out(self) -> int:
        return self.embedding_.shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags
