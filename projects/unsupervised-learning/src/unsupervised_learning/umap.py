r"""UMAP: a fuzzy graph of neighbors, and a map whose own fuzzy graph is like it.

The data becomes a graph of neighbors whose edges have a strength W between 0 and 1
(`unsupervised_learning.fuzzy_graph`). The map has a strength v for each pair too, which falls with
their distance. The map minimizes the cross-entropy of the two fuzzy graphs,

$$C = -\sum_{ij} W_{ij} \log v_{ij} + (1 - W_{ij}) \log(1 - v_{ij}),$$

by stochastic gradient descent on one edge at a time (`unsupervised_learning.umap_layout`): the
first part draws neighbors together, the second keeps the others apart. The neighbors of many rows
are found by NN-descent (`unsupervised_learning.nn_descent`).

Source: L. McInnes, J. Healy and J. Melville, "UMAP: Uniform Manifold Approximation and Projection
for Dimension Reduction", arXiv:1802.03426 (2018).
"""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from unsupervised_learning.fuzzy_graph import fuzzy_union, membership_strengths
from unsupervised_learning.nn_descent import nearest_neighbors, random_seed
from unsupervised_learning.tsne_steps import principal_scores
from unsupervised_learning.umap_layout import (
    descend,
    fit_curve,
    force_tables,
    place,
    spectral_layout,
)

_FEW = 4096  # rows below which the neighbors are searched exactly
_MANY = 10_000  # rows above which fewer epochs are enough


class UMAP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A map in few dimensions that keeps the fuzzy graph of neighbors, and takes new points.

    Parameters
    ----------
    n_neighbors : int, default=15
        k, the point itself counted: few show the fine structure, many the coarse; at most n_samples
        are used.
    n_components : int, default=2
        The map's dimensions.
    metric : str or callable, default="euclidean"
        The distance in the data. The neighbors are searched exactly for fewer than 4,096 rows and
        for other metrics than "euclidean", and by NN-descent otherwise.
    metric_params : dict or None, default=None
        Further arguments of the metric.
    n_epochs : int or None, default=None
        The rounds of the descent; None: 500 for up to 10,000 rows, 200 for more.
    learning_rate : float, default=1.0
        The first step's size; it falls to 0.
    init : {"spectral", "pca", "random"} or ndarray of shape (n_samples, n_components), \
            default="spectral"
        Where the descent starts.
    min_dist : float, default=0.1
        How near to each other points may lie in the map.
    spread : float, default=1.0
        The scale of the map, at least `min_dist`.
    set_op_mix_ratio : float in [0, 1], default=1.0
        Between the intersection (0) and the union (1) of what the ends of an edge see.
    local_connectivity : float, default=1.0
        The number of nearest neighbors that a point is fully tied to.
    repulsion_strength : float, default=1.0
        The weight of the repulsion.
    negative_sample_rate : int, default=5
        How many random points repel for each edge drawn.
    transform_seed : int, default=42
        The source of the randomness in `transform`.
    a, b : float or None, default=None
        The curve in the map; None: fitted to `min_dist` and `spread`.
    random_state : int, RandomState instance or None, default=None
        The source of the randomness in `fit`.
    n_jobs : int or None, default=None
        Parallel jobs of the exact search.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_components)
        The map, float32.
    graph_ : sparse array of shape (n_samples, n_samples)
        The fuzzy graph W.
    n_epochs_ : int
        The rounds that were made.
    n_neighbors_ : int
        The neighbors that were used, the point itself counted.
    n_features_in_ : int
        The number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X is a frame with names.

    Raises
    ------
    ValueError
        For NaN or infinity in X, fewer than two rows, or parameters out of range.

    References
    ----------
    L. McInnes, J. Healy and J. Melville, "UMAP: Uniform Manifold Approximation and Projection for
    Dimension Reduction", arXiv:1802.03426 (2018).

    Examples
    --------
    >>> import numpy as np
    >>> from unsupervised_learning.umap import UMAP
    >>> X = np.random.default_rng(0).standard_normal((60, 4))
    >>> reducer = UMAP(n_neighbors=10, random_state=0).fit(X[:50])
    >>> reducer.transform(X[50:]).shape
    (10, 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_neighbors": [Interval(Integral, 2, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "metric": [str, callable],
        "metric_params": [dict, None],
        "n_epochs": [Interval(Integral, 0, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "init": [StrOptions({"spectral", "pca", "random"}), np.ndarray],
        "min_dist": [Interval(Real, 0, None, closed="left")],
        "spread": [Interval(Real, 0, None, closed="neither")],
        "set_op_mix_ratio": [Interval(Real, 0, 1, closed="both")],
        "local_connectivity": [Interval(Real, 0, None, closed="left")],
        "repulsion_strength": [Interval(Real, 0, None, closed="left")],
        "negative_sample_rate": [Interval(Integral, 0, None, closed="left")],
        "transform_seed": [Interval(Integral, 0, None, closed="left")],
        "a": [Interval(Real, 0, None, closed="neither"), None],
        "b": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_neighbors: int = 15,
        n_components: int = 2,
        *,
        metric: Any = "euclidean",
        metric_params: dict | None = None,
        n_epochs: int | None = None,
        learning_rate: float = 1.0,
        init: Any = "spectral",
        min_dist: float = 0.1,
        spread: float = 1.0,
        set_op_mix_ratio: float = 1.0,
        local_connectivity: float = 1.0,
        repulsion_strength: float = 1.0,
        negative_sample_rate: int = 5,
        transform_seed: int = 42,
        a: float | None = None,
        b: float | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.metric_params = metric_params
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.init = init
        self.min_dist = min_dist
        self.spread = spread
        self.set_op_mix_ratio = set_op_mix_ratio
        self.local_connectivity = local_connectivity
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.transform_seed = transform_seed
        self.a = a
        self.b = b
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Make the graph and the map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.
        y : ignored
            For the interface's sake.

        Returns
        -------
        self : UMAP
        """
        X = validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=2)
        if self.min_dist > self.spread:
            raise ValueError(f"min_dist={self.min_dist} should not be above spread={self.spread}")
        random = check_random_state(self.random_state)
        n = len(X)
        if self.n_neighbors > n:
            warnings.warn(
                f"n_neighbors={self.n_neighbors} is more than the {n} rows; all are used",
                stacklevel=2,
            )
        self.n_neighbors_ = min(self.n_neighbors, n)
        usual = 500 if n <= _MANY else 200
        self.n_epochs_ = usual if self.n_epochs is None else self.n_epochs
        self._forces = force_tables(*self._curve(), self.repulsion_strength)
        self._rows = X
        neighbors, distances = self._neighbors(X, random)
        strengths = membership_strengths(
            distances, np.log2(self.n_neighbors_), self.local_connectivity
        )
        self.graph_ = fuzzy_union(neighbors, strengths, self.set_op_mix_ratio)
        self.embedding_ = self._start(X, random)
        edges = self.graph_.tocoo()
        strongest = edges.data.max()
        kept = edges.data * self.n_epochs_ >= strongest  # a weaker one is never drawn
        descend(
            self.embedding_,
            edges.row[kept].astype(np.int32),
            edges.col[kept].astype(np.int32),
            (strongest / edges.data[kept]).astype(np.float32),
            self.n_epochs_,
            *self._forces,
            np.float32(self.learning_rate),
            self.negative_sample_rate,
            np.array([random_seed(random)], np.uint64),
        )
        return self

    def fit_transform(self, X: ArrayLike, y: object = None) -> NDArray[np.float32]:
        """Make the graph and the map, and return the map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.
        y : ignored
            For the interface's sake.

        Returns
        -------
        embedding : ndarray of shape (n_samples, n_components)
        """
        return self.fit(X).embedding_

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Place rows in the map.

        A row of fit has its place in the map. Any other begins at the mean of its neighbors and is
        moved alone: its place depends on no other row of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        embedding : ndarray of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        if np.array_equal(X, self._rows):
            return self.embedding_.copy()
        neighbors, distances = self._search(self.n_neighbors_, X)
        strengths = membership_strengths(distances, np.log2(self.n_neighbors_), 0.0)
        return place(
            self.embedding_,
            _same_rows(X, self._rows, neighbors),
            neighbors,
            strengths,
            max(1, self.n_epochs_ // 5),
            *self._forces,
            np.float32(self.learning_rate / 4),
            self.negative_sample_rate,
            self.transform_seed,
        )

    def _neighbors(self, X: NDArray, random: np.random.RandomState) -> tuple[NDArray, NDArray]:
        """The neighbors of the rows of fit, without themselves."""
        k = self.n_neighbors_ - 1
        if len(X) < _FEW or self.metric != "euclidean" or k > len(X) // 10:
            return self._search(k)
        return nearest_neighbors(X, k, random_state=random)

    def _search(self, k: int, X: NDArray | None = None) -> tuple[NDArray, NDArray]:
        """The k nearest rows of fit, exactly, of new rows or (X=None) of the rows of fit."""
        search = NearestNeighbors(
            n_neighbors=k,
            metric=self.metric,
            metric_params=self.metric_params,
            n_jobs=self.n_jobs,
        )
        distances, neighbors = search.fit(self._rows).kneighbors(X)
        return neighbors, distances.astype(np.float32)

    def _curve(self) -> tuple[float, float]:
        fitted = (0.0, 0.0)
        if self.a is None or self.b is None:
            fitted = fit_curve(self.min_dist, self.spread)
        return fitted[0] if self.a is None else self.a, fitted[1] if self.b is None else self.b

    def _start(self, X: NDArray, random: np.random.RandomState) -> NDArray[np.float32]:
        """Coordinates from 0 to 10, with a little noise that parts what coincides."""
        n, d = len(X), self.n_components
        if isinstance(self.init, np.ndarray):
            start = check_array(self.init, dtype=np.float64, input_name="init")
            if start.shape != (n, d):
                raise ValueError(f"init has the shape {start.shape}, the map is {(n, d)}")
        elif self.init == "pca":
            scores = principal_scores(X, d)
            start = np.zeros((n, d))
            start[:, : scores.shape[1]] = scores
        elif self.init == "spectral":
            start = spectral_layout(self.graph_, X, d, random)
        else:
            start = random.uniform(-10, 10, (n, d))
        largest = np.abs(start).max()
        start = start * (10.0 / largest if largest > 0 else 1.0)
        start += random.normal(scale=1e-4, size=start.shape)
        start -= start.min(axis=0)
        return (10.0 * start / start.max(axis=0)).astype(np.float32)

    @property
    def _n_features_out(self) -> int:
        return self.embedding_.shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # the map is always float32
        return tags


def _same_rows(X: NDArray, rows: NDArray, neighbors: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each row of X the first of its neighbors (m, k) among `rows` that is the same, or -1."""
    same = np.full(len(X), -1)
    for candidates in neighbors.T:
        likely = np.flatnonzero((same < 0) & (X[:, 0] == rows[candidates, 0]))
        equal = (X[likely] == rows[candidates[likely]]).all(axis=1)
        same[likely[equal]] = candidates[likely[equal]]
    return same
