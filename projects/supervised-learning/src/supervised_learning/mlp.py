r"""The multilayer perceptron: layers of weighted sums with a bend between them.

Forward, layer by layer: $a_0 = x$, $z_l = a_{l-1} W_l + b_l$, $a_l = \varphi(z_l)$; the last layer
gives probabilities (sigmoid, softmax) or values. Backward, by the chain rule: with softmax and
cross-entropy, with sigmoid and its likelihood, and with the identity and half the squared error
alike, the derivative of the loss by the last $z$ is $\delta_L = a_L - y$. Then

$$ \partial W_l = a_{l-1}^\top \delta_l, \quad \partial b_l = \sum \delta_l, \quad
   \delta_{l-1} = (\delta_l W_l^\top) \odot \varphi'(z_{l-1}), $$

where $\varphi'$ can be had from $a$ itself: $1 - a^2$ for tanh, $a (1 - a)$ for the sigmoid,
$[a > 0]$ for the rectifier. (D. Rumelhart, G. Hinton and R. Williams, *Learning representations by
back-propagating errors*, 1986.) All weights lie in one flat vector, so that a step of the
optimizer is one pass over memory, and L-BFGS can take the same loss.

Weights start uniform within $\pm\sqrt{6 / (n_{in} + n_{out})}$, which keeps the variance of the
signals from layer to layer (X. Glorot and Y. Bengio, *Understanding the difficulty of training
deep feedforward neural networks*, 2010). Steps by Adam (D. Kingma and J. Ba, 2015), or by SGD with
Nesterov's momentum.
"""

import warnings
from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from supervised_learning.lbfgs import lbfgs
from supervised_learning.logistic import sigmoid, softmax

#: Rows that go through the network together in prediction: their signals stay in the cache.
_BLOCK = 1024


@njit(cache=True, nogil=True)
def adam_step(theta, gradient, m, v, step, beta_1, beta_2, epsilon):
    """One step of Adam in place; `step` contains the correction of the averages' start at 0."""
    for i in range(theta.shape[0]):
        m[i] = beta_1 * m[i] + (1 - beta_1) * gradient[i]
        v[i] = beta_2 * v[i] + (1 - beta_2) * gradient[i] * gradient[i]
        theta[i] -= step * m[i] / (np.sqrt(v[i]) + epsilon)


@njit(cache=True, nogil=True)
def momentum_step(theta, gradient, velocity, rate, momentum, nesterov):
    """One step of SGD with momentum in place."""
    for i in range(theta.shape[0]):
        velocity[i] = momentum * velocity[i] - rate * gradient[i]
        if nesterov:
            theta[i] += momentum * velocity[i] - rate * gradient[i]
        else:
            theta[i] += velocity[i]


class _Network:
    """Flat weights with a view for each layer, and the loss with its gradient."""

    def __init__(self, sizes: Sequence[int], activation: str, output: str, dtype: Any) -> None:
        self.sizes, self.activation, self.output = list(sizes), activation, output
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        self.theta = np.zeros(sum((a + 1) * b for a, b in pairs), dtype)
        self.gradient = np.zeros_like(self.theta)
        self.weights, self.biases = self._views(self.theta)
        self.weight_gradients, self.bias_gradients = self._views(self.gradient)

    def _views(self, flat: NDArray) -> tuple[list[NDArray], list[NDArray]]:
        weights, biases, start = [], [], 0
        for a, b in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            weights.append(flat[start : start + a * b].reshape(a, b))
            biases.append(flat[start + a * b : start + (a + 1) * b])
            start += (a + 1) * b
        return weights, biases

    def start(self, random: np.random.RandomState) -> None:
        """Draw the first weights and biases, layer by layer."""
        gain = 2.0 if self.activation == "logistic" else 6.0
        for w, b in zip(self.weights, self.biases, strict=True):
            bound = np.sqrt(gain / sum(w.shape))
            w[...] = random.uniform(-bound, bound, w.shape)
            b[...] = random.uniform(-bound, bound, b.shape)

    def forward(self, X: NDArray) -> list[NDArray]:
        """The signals of every layer, the input first: arrays of shape (n, size of the layer)."""
        signals = [X]
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = signals[-1] @ w
            z += b
            signals.append(_bend(z, self.activation))
        z = signals[-1] @ self.weights[-1]
        z += self.biases[-1]
        if self.output == "softmax":
            z = softmax(z)
        elif self.output == "sigmoid":
            z = sigmoid(z).astype(z.dtype, copy=False)
        return [*signals, z]

    def backward(self, X: NDArray, y: NDArray, weight: NDArray | None, alpha: float) -> float:
        """The mean loss with its penalty; leaves the derivatives in `gradient`.

        y has the shape of the output; weight (n,) weighs the rows. The penalty is
        ½ α ‖W‖² over the sum of the weights, biases left out.
        """
        signals = self.forward(X)
        total = len(X) if weight is None else float(weight.sum())
        loss = self._loss(signals[-1], y, weight) / total
        delta = signals[-1] - y
        if weight is not None:
            delta *= weight[:, None]
        for layer in reversed(range(len(self.weights))):
            w = self.weights[layer]
            np.dot(signals[layer].T, delta, out=self.weight_gradients[layer])
            delta.sum(axis=0, out=self.bias_gradients[layer])
            if alpha:
                self.weight_gradients[layer] += alpha * w
                loss += 0.5 * alpha * float(np.vdot(w, w)) / total
            if layer:
                delta = delta @ w.T
                _times_slope(delta, signals[layer], self.activation)
        self.gradient /= total
        return loss

    def _loss(self, p: NDArray, y: NDArray, weight: NDArray | None) -> float:
        if self.output == "identity":
            each = 0.5 * np.square(p - y).mean(axis=1)
        else:
            tiny = np.finfo(p.dtype).eps
            p = np.clip(p, tiny, 1 - tiny)
            if self.output == "softmax":
                each = -np.log(p[y.astype(bool)])
            else:
                each = -np.log(np.where(y > 0, p, 1 - p))[:, 0]
        return float(each.sum() if weight is None else weight @ each)


def _bend(z: NDArray, activation: str) -> NDArray:
    """φ(z); z itself is overwritten where that can be."""
    if activation == "relu":
        return np.maximum(z, 0, out=z)
    if activation == "tanh":
        return np.tanh(z, out=z)
    return z if activation == "identity" else sigmoid(z).astype(z.dtype, copy=False)


def _times_slope(delta: NDArray, a: NDArray, activation: str) -> None:
    """Multiply delta by φ'(z) in place, where a = φ(z)."""
    if activation == "relu":
        delta *= a > 0
    elif activation == "tanh":
        delta *= 1 - a * a
    elif activation == "logistic":
        delta *= a * (1 - a)


class _MultilayerPerceptron(BaseEstimator):
    """What the classifier and the regressor share: the settings and the training."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
        "solver": [StrOptions({"adam", "sgd", "lbfgs"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 1e-4,
        batch_size: Any = "auto",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    def _train(self, X: NDArray, y: NDArray, weight: NDArray | None, output: str) -> None:
        """Learn the targets y (n, outputs); sets all learnt attributes."""
        hidden = np.atleast_1d(self.hidden_layer_sizes).tolist()
        if any(not isinstance(size, int) or size < 1 for size in hidden):
            raise ValueError(f"hidden_layer_sizes must be whole numbers of 1 or more, got {hidden}")
        random = check_random_state(self.random_state)
        network = _Network([X.shape[1], *hidden, y.shape[1]], self.activation, output, X.dtype)
        network.start(random)
        self.loss_curve_: list[float] = []
        if self.solver == "lbfgs":
            self._descend(network, X, y, weight)
        else:
            for loss in self._epochs(network, X, y, weight, random):
                self.loss_curve_.append(loss)
                if self._stalled():
                    break
            else:
                self._warn(f"{self.max_iter} passes have not ended the learning")
        if not np.isfinite(network.theta).all():
            raise ValueError(
                "the weights have grown without bound; lower learning_rate_init, or bring the "
                "columns to one scale"
            )
        self.coefs_, self.intercepts_ = network.weights, network.biases
        self.n_iter_ = len(self.loss_curve_)
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = min(self.loss_curve_)
        self.n_layers_, self.n_outputs_ = len(network.sizes), y.shape[1]
        self.out_activation_ = {"sigmoid": "logistic"}.get(output, output)

    def _stalled(self) -> bool:
        """Whether the last `n_iter_no_change` passes in a row lowered the best loss too little."""
        best, idle = np.inf, 0
        for loss in self.loss_curve_:
            idle = idle + 1 if loss > best - self.tol else 0
            best = min(best, loss)
        return idle > self.n_iter_no_change

    def _epochs(
        self,
        network: _Network,
        X: NDArray,
        y: NDArray,
        weight: NDArray | None,
        random: np.random.RandomState,
    ) -> Iterator[float]:
        """Train pass by pass; yields the mean loss of each, as met on the way."""
        n = len(X)
        batch = min(200, n) if self.batch_size == "auto" else min(int(self.batch_size), n)
        m, v = np.zeros_like(network.theta), np.zeros_like(network.theta)
        order, steps = np.arange(n), 0
        whole = n if weight is None else float(weight.sum())
        for _ in range(self.max_iter):
            if self.shuffle:
                random.shuffle(order)
            loss = 0.0
            for start in range(0, n, batch):
                rows = order[start : start + batch]
                part = None if weight is None else weight[rows]
                share = len(rows) if part is None else float(part.sum())
                if share == 0:
                    continue
                loss += share * network.backward(X[rows], y[rows], part, self.alpha)
                steps += 1
                rate = float(self.learning_rate_init)
                if self.solver == "adam":
                    rate *= np.sqrt(1 - self.beta_2**steps) / (1 - self.beta_1**steps)
                    adam_step(
                        network.theta, network.gradient, m, v, rate,
                        float(self.beta_1), float(self.beta_2), float(self.epsilon),
                    )  # fmt: skip
                else:
                    momentum_step(
                        network.theta, network.gradient, v, rate,
                        float(self.momentum), bool(self.nesterovs_momentum),
                    )  # fmt: skip
            yield loss / whole

    def _descend(self, network: _Network, X: NDArray, y: NDArray, weight: NDArray | None) -> None:
        """Train on all rows at once with L-BFGS."""

        def objective(theta: NDArray) -> tuple[float, NDArray]:
            network.theta[...] = theta
            loss = network.backward(X, y, weight, self.alpha)
            self.loss_curve_.append(loss)
            return loss, network.gradient.astype(np.float64)

        start = network.theta.astype(np.float64)
        theta, _, converged = lbfgs(objective, start, tol=self.tol, max_iter=self.max_iter)
        network.theta[...] = theta
        if not converged:
            self._warn(f"L-BFGS has not brought the gradient below tol={self.tol}")

    def _warn(self, what: str) -> None:
        warnings.warn(f"{what}; raise max_iter or tol", ConvergenceWarning, stacklevel=4)

    def _output(self, X: ArrayLike, output: str) -> NDArray:
        """The network's last signals for rows X (n, d): shape (n, outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        sizes = [self.coefs_[0].shape[0], *(len(b) for b in self.intercepts_)]
        network = _Network(sizes, self.activation, output, self.coefs_[0].dtype)
        network.weights, network.biases = self.coefs_, self.intercepts_
        blocks = range(0, len(X), _BLOCK)
        return np.concatenate([network.forward(X[i : i + _BLOCK])[-1] for i in blocks])


class MLPClassifier(ClassifierMixin, _MultilayerPerceptron):
    """A multilayer perceptron that gives classes and their probabilities.

    Parameters
    ----------
    hidden_layer_sizes : the number of units of each hidden layer.
    activation : "identity", "logistic", "tanh" or "relu"
    solver : "adam", "sgd" or "lbfgs" (all rows at once; for few rows)
    alpha : float
        The weight of ½‖W‖², per batch.
    batch_size : int or "auto" (200 rows, or all where there are fewer)
    learning_rate_init : float
    max_iter : int, the largest number of passes (of steps, for lbfgs).
    shuffle : bool
    random_state : int, RandomState or None
    tol : float
        A pass has to lower the mean loss by this much; for lbfgs the bound of the gradient.
    momentum, nesterovs_momentum : of sgd.
    beta_1, beta_2, epsilon : of adam.
    n_iter_no_change : int, passes without progress that end the learning.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coefs_, intercepts_ : the weights and biases of each layer.
    loss_curve_ : the mean loss of each pass; loss_ the last, best_loss_ the least.
    n_iter_, n_layers_, n_outputs_, out_activation_

    Examples
    --------
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    >>> MLPClassifier((8,), solver="lbfgs", random_state=1).fit(X, y).predict(X).tolist()
    [0, 1, 1, 0]
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and the classes y (n,), with weights (n,) for the rows.

        Warns with ConvergenceWarning when `max_iter` ends the learning.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if len(self.classes_) > 2:
            targets = np.eye(len(self.classes_), dtype=X.dtype)[codes]
        else:
            targets = codes.astype(X.dtype)[:, None]
        self._train(X, targets, weight, self._kind())
        return self

    def _kind(self) -> str:
        return "softmax" if len(self.classes_) > 2 else "sigmoid"

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """The classes' probabilities: shape (n, n_classes), rows sum to 1."""
        check_is_fitted(self)
        p = self._output(X, self._kind())
        return p if p.shape[1] > 1 else np.column_stack([1 - p[:, 0], p[:, 0]])

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each row: shape (n,)."""
        check_is_fitted(self)
        p = self._output(X, self._kind())
        best = p.argmax(axis=1) if p.shape[1] > 1 else (p[:, 0] > 0.5).astype(np.intp)
        return self.classes_[np.minimum(best, len(self.classes_) - 1)]


class MLPRegressor(RegressorMixin, _MultilayerPerceptron):
    """A multilayer perceptron that gives values, by half the mean squared error.

    Parameters and attributes are those of `MLPClassifier`, without `classes_`.

    Examples
    --------
    >>> X = [[0.0], [1.0], [2.0], [3.0]]
    >>> model = MLPRegressor((4,), solver="lbfgs", max_iter=500, tol=1e-6, random_state=0)
    >>> model.fit(X, [0.0, 1.0, 4.0, 9.0]).score(X, [0.0, 1.0, 4.0, 9.0]) > 0.9
    True
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and values y (n,) or (n, outputs), with weights (n,) for the rows.

        Warns with ConvergenceWarning when `max_iter` ends the learning.
        """
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], order="C", multi_output=True, y_numeric=True
        )
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        self._flat = y.ndim == 1
        self._train(X, y.reshape(len(X), -1).astype(X.dtype, copy=False), weight, "identity")
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        """The values for rows X (n, d): shape (n,), or (n, outputs) where y had columns."""
        check_is_fitted(self)
        values = self._output(X, "identity")
        return values[:, 0] if self._flat else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
