r"""Naive Bayes: one simple model of the columns for each class, turned round by Bayes' rule.

$P(c \mid x) \propto P(c) \prod_j P(x_j \mid c)$: the columns are taken as independent once the
class is known. That is hardly ever true, and the highest class is right all the same more often
than the probabilities are (Domingos and Pazzani, *On the optimality of the simple Bayesian
classifier*, 1997). Learning is counting, one pass over the rows. The four models of a column:

- Gaussian: $\mathcal N(x_j; \mu_{cj}, \sigma_{cj}^2)$, for measured numbers.
- multinomial: $x_j$ counts how often event $j$ came;
  $\theta_{cj} = (N_{cj} + \alpha) / (N_c + \alpha d)$.
- Bernoulli: $x_j$ is 0 or 1, and a 0 speaks too; $p_{cj} = (N_{cj} + \alpha) / (n_c + 2\alpha)$.
- categorical: a table of frequencies for each column, $(N_{cjv} + \alpha) / (n_c + \alpha V_j)$.

$\alpha$ is the number of times that everything counts as seen beforehand (Laplace for 1), so that
what was never seen is unlikely and not impossible.
"""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from supervised_learning.classes import encode


@njit(cache=True, nogil=True)
def _class_sums(X, y, weight, k):
    """Weighted sums of the rows of each class: (k, d)."""
    sums = np.zeros((k, X.shape[1]))
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            sums[y[i], j] += weight[i] * X[i, j]
    return sums


@njit(cache=True, nogil=True)
def _class_squares(X, y, weight, means):
    """Weighted sums of the squared distances from the class's means: (k, d)."""
    sums = np.zeros(means.shape)
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            difference = X[i, j] - means[y[i], j]
            sums[y[i], j] += weight[i] * difference * difference
    return sums


@njit(cache=True, nogil=True)
def _gaussian_scores(X, means, precisions, constants):
    """constant_c - ½ Σ_j (x_j - μ_cj)² · precision_cj for every row and class: (n, k)."""
    n, d = X.shape
    scores = np.empty((n, len(means)))
    for i in range(n):
        for c in range(len(means)):
            total = 0.0
            for j in range(d):
                difference = X[i, j] - means[c, j]
                total += difference * difference * precisions[c, j]
            scores[i, c] = constants[c] - 0.5 * total
    return scores


@njit(cache=True, nogil=True)
def _category_counts(X, y, weight, counts):
    """Add the weight of every row to counts (d, k, n_categories)."""
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            counts[j, y[i], X[i, j]] += weight[i]


@njit(cache=True, nogil=True)
def _category_scores(X, log_probabilities, start):
    """start_c + Σ_j log P(x_j | c), from log_probabilities (d, n_categories, k): (n, k)."""
    n, d = X.shape
    scores = np.empty((n, len(start)))
    for i in range(n):
        for c in range(len(start)):
            scores[i, c] = start[c]
        for j in range(d):
            for c in range(len(start)):
                scores[i, c] += log_probabilities[j, X[i, j], c]
    return scores


class _NaiveBayes(ClassifierMixin, BaseEstimator):
    """Prediction from the joint log-likelihood, and what all four learn in the same way."""

    classes_: NDArray
    class_count_: NDArray

    def _scores(self, X: ArrayLike) -> NDArray:
        """log P(c) + log P(x | c): shape (n, n_classes)."""
        raise NotImplementedError

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, **check: Any
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Check the input, set `classes_` and `class_count_`; X, class numbers and weights."""
        X, y = validate_data(self, X, y, **check)
        check_classification_targets(y)
        self.classes_, codes = encode(y)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        self.class_count_ = np.bincount(codes, weight, minlength=len(self.classes_))
        return X, codes, weight

    def _log_prior(self, prior: ArrayLike | None, fit_prior: bool = True) -> NDArray:
        """log P(c): the given one, the classes' shares, or the same for all."""
        k = len(self.classes_)
        if prior is not None:
            given = np.asarray(prior, dtype=np.float64)
            if given.shape != (k,):
                raise ValueError(
                    f"Number of priors must match number of classes: {given.size} were given "
                    f"for {k} classes"
                )
            if (given < 0).any() or abs(given.sum() - 1) > 1e-8:
                raise ValueError(f"The priors must be ≥ 0 and sum to 1, got {given.tolist()}")
            share = given
        elif fit_prior:
            share = self.class_count_ / self.class_count_.sum()
        else:
            share = np.full(k, 1 / k)
        with np.errstate(divide="ignore"):
            log_prior: NDArray = np.log(share)
        return log_prior

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each row: shape (n,)."""
        check_is_fitted(self)
        return self.classes_[self._scores(X).argmax(axis=1)]

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """The logarithms of the classes' probabilities: shape (n, n_classes)."""
        check_is_fitted(self)
        scores = self._scores(X)
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return scores

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """The classes' probabilities: shape (n, n_classes), rows sum to 1."""
        return np.exp(self.predict_log_proba(X))


class GaussianNB(_NaiveBayes):
    """Naive Bayes for measured numbers: a normal distribution for each class and column.

    Parameters
    ----------
    priors : array of shape (n_classes,) or None
        The classes' probabilities; None takes their shares of the rows.
    var_smoothing : float
        This share of the largest variance of a column is added to every variance, so that a
        constant column has a finite density.

    Attributes
    ----------
    theta_, var_ : arrays of shape (n_classes, n_features): means and variances.
    class_prior_, class_count_, classes_ : arrays of shape (n_classes,).
    epsilon_ : what was added to the variances.

    Examples
    --------
    >>> GaussianNB().fit([[0.0], [1.0], [9.0], [10.0]], [0, 0, 1, 1]).predict([[2.0]])
    array([0])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "priors": ["array-like", None],
        "var_smoothing": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, priors: ArrayLike | None = None, var_smoothing: float = 1e-9) -> None:
        self.priors = priors
        self.var_smoothing = var_smoothing

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and the classes y (n,), with weights (n,) for the rows."""
        X, codes, weight = self._read(X, y, sample_weight, dtype=[np.float64, np.float32])
        self.class_prior_ = np.exp(self._log_prior(self.priors))
        count = np.where(self.class_count_ > 0, self.class_count_, 1.0)[:, None]
        means = _class_sums(X, codes, weight, len(self.classes_)) / count
        within = _class_squares(X, codes, weight, means)
        # The variance of a whole column, unweighted, sets the scale of the smoothing.
        self.epsilon_ = self.var_smoothing * float(np.var(X, axis=0).max())
        self.theta_ = means.astype(X.dtype)
        self.var_ = (within / count + self.epsilon_).astype(X.dtype)
        return self

    def _scores(self, X: ArrayLike) -> NDArray:
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        with np.errstate(divide="ignore"):
            constants = np.log(self.class_prior_) - 0.5 * np.log(2 * np.pi * self.var_).sum(axis=1)
        precisions = 1.0 / self.var_.astype(np.float64)
        return _gaussian_scores(X, self.theta_.astype(np.float64), precisions, constants)


class _Counting(_NaiveBayes):
    """The models whose learning is counting."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "fit_prior": ["boolean"],
        "class_prior": ["array-like", None],
    }

    alpha: float
    fit_prior: bool
    class_prior: ArrayLike | None

    def _refuse_negative(self, X: NDArray) -> None:
        if X.size and X.min() < 0:
            raise ValueError(
                f"Negative values in data passed to {type(self).__name__} (input X); "
                "it takes counts, 0 or more"
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


class MultinomialNB(_Counting):
    """Naive Bayes for counts, such as the words of a text.

    Parameters
    ----------
    alpha : float
        How often each event counts as seen beforehand.
    fit_prior : bool
        Whether the classes' probabilities are learnt; if not, they are equal.
    class_prior : array of shape (n_classes,) or None
        The classes' probabilities.

    Attributes
    ----------
    feature_count_ : array of shape (n_classes, n_features)
    feature_log_prob_ : array of shape (n_classes, n_features), log θ.
    class_log_prior_, class_count_, classes_ : arrays of shape (n_classes,).
    """

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        fit_prior: bool = True,
        class_prior: ArrayLike | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from counts X (n, d) and the classes y (n,), with weights (n,) for the rows.

        Raises ValueError for a negative count.
        """
        X, codes, weight = self._read(X, y, sample_weight, dtype=[np.float64, np.float32])
        self._refuse_negative(X)
        self.class_log_prior_ = self._log_prior(self.class_prior, self.fit_prior)
        self.feature_count_ = _class_sums(X, codes, weight, len(self.classes_))
        smoothed = self.feature_count_ + max(self.alpha, 1e-10)
        self.feature_log_prob_ = np.log(smoothed / smoothed.sum(axis=1, keepdims=True))
        return self

    def _scores(self, X: ArrayLike) -> NDArray:
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        self._refuse_negative(X)
        scores: NDArray = X @ self.feature_log_prob_.T
        scores += self.class_log_prior_
        return scores

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags


class BernoulliNB(_Counting):
    """Naive Bayes for columns that are yes or no.

    Parameters
    ----------
    alpha, fit_prior, class_prior : as for `MultinomialNB`.
    binarize : float or None
        What is above it is a yes; None: X holds 0 and 1 already.

    Attributes
    ----------
    feature_count_, feature_log_prob_ : arrays of shape (n_classes, n_features); log p of a yes.
    class_log_prior_, class_count_, classes_ : arrays of shape (n_classes,).
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_Counting._parameter_constraints,
        "binarize": [None, Interval(Real, None, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        binarize: float | None = 0.0,
        fit_prior: bool = True,
        class_prior: ArrayLike | None = None,
    ) -> None:
        self.alpha = alpha
        self.binarize = binarize
        self.fit_prior = fit_prior
        self.class_prior = class_prior

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and the classes y (n,), with weights (n,) for the rows."""
        X, codes, weight = self._read(X, y, sample_weight, dtype=[np.float64, np.float32])
        X = self._yes(X)
        self.class_log_prior_ = self._log_prior(self.class_prior, self.fit_prior)
        self.feature_count_ = _class_sums(X, codes, weight, len(self.classes_))
        alpha = max(self.alpha, 1e-10)
        shares = (self.feature_count_ + alpha) / (self.class_count_[:, None] + 2 * alpha)
        self.feature_log_prob_ = np.log(shares)
        return self

    def _scores(self, X: ArrayLike) -> NDArray:
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        # Σ_j x log p + (1 - x) log(1 - p) = Σ_j log(1 - p) + x (log p - log(1 - p))
        no = np.log1p(-np.exp(self.feature_log_prob_))
        weights = (self.feature_log_prob_ - no).T.astype(X.dtype)
        start: NDArray = self.class_log_prior_ + no.sum(axis=1)
        return self._yes(X) @ weights + start

    def _yes(self, X: NDArray) -> NDArray:
        return X if self.binarize is None else (self.binarize < X).astype(X.dtype)


class CategoricalNB(_Counting):
    """Naive Bayes for categories, coded as whole numbers from 0.

    Parameters
    ----------
    alpha, fit_prior, class_prior : as for `MultinomialNB`.
    min_categories : int, array of shape (n_features,), or None
        The least number of categories of a column, where not all of them are seen in learning.

    Attributes
    ----------
    category_count_ : list of n_features arrays of shape (n_classes, n_categories of the column).
    feature_log_prob_ : list of arrays of the same shapes, log P(value | class).
    n_categories_ : array of shape (n_features,).
    class_log_prior_, class_count_, classes_ : arrays of shape (n_classes,).
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_Counting._parameter_constraints,
        "min_categories": [None, "array-like", Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        fit_prior: bool = True,
        class_prior: ArrayLike | None = None,
        min_categories: ArrayLike | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior
        self.min_categories = min_categories

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from codes X (n, d) and the classes y (n,), with weights (n,) for the rows.

        Raises ValueError for a negative code.
        """
        X, codes, weight = self._read(X, y, sample_weight, dtype=np.int64, ensure_all_finite=True)
        self._refuse_negative(X)
        self.class_log_prior_ = self._log_prior(self.class_prior, self.fit_prior)
        seen = X.max(axis=0) + 1
        if self.min_categories is not None:
            least = np.asarray(self.min_categories)
            if least.dtype.kind not in "iu" or least.shape not in ((), (X.shape[1],)):
                raise ValueError(
                    f"min_categories must be whole numbers, one or {X.shape[1]} of them; "
                    f"got {least.dtype} of shape {least.shape}"
                )
            seen = np.maximum(seen, least)
        self.n_categories_ = seen
        counts = np.zeros((X.shape[1], len(self.classes_), int(seen.max())))
        _category_counts(X, codes, weight, counts)
        self.category_count_ = [counts[j, :, :v] for j, v in enumerate(seen)]
        smoothed = [count + max(self.alpha, 1e-10) for count in self.category_count_]
        self.feature_log_prob_ = [np.log(s / s.sum(axis=1, keepdims=True)) for s in smoothed]
        # One block for prediction; beyond a column's categories it says "impossible".
        self._log_table = np.full((X.shape[1], int(seen.max()), len(self.classes_)), -np.inf)
        for j, log_probabilities in enumerate(self.feature_log_prob_):
            self._log_table[j, : seen[j]] = log_probabilities.T
        return self

    def _scores(self, X: ArrayLike) -> NDArray:
        X = validate_data(self, X, dtype=np.int64, ensure_all_finite=True, reset=False)
        self._refuse_negative(X)
        if (beyond := (self.n_categories_ <= X).any(axis=0)).any():
            j = int(beyond.argmax())
            raise IndexError(
                f"column {j} holds the category {X[:, j].max()}, and {self.n_categories_[j]} were "
                "known when learning; set min_categories"
            )
        return _category_scores(X, self._log_table, self.class_log_prior_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.positive_only = True
        return tags
