"""A multilayer perceptron in NumPy: forward pass, backward pass, Adam.

For a batch x of n rows, with layers h₀ = x, zᵢ = hᵢ₋₁ Wᵢ + bᵢ, hᵢ = max(zᵢ, 0) and the last z as
logits, the loss is the mean cross-entropy, L = mean(log Σⱼ exp zⱼ - z_y). Its derivatives, from the
last layer to the first (Rumelhart, Hinton, Williams, 1986):

    ∂L/∂z = (softmax(z) - onehot(y)) / n
    ∂L/∂Wᵢ = hᵢ₋₁ᵀ ∂L/∂zᵢ        ∂L/∂bᵢ = column sums of ∂L/∂zᵢ
    ∂L/∂hᵢ₋₁ = ∂L/∂zᵢ Wᵢᵀ         ∂L/∂zᵢ₋₁ = ∂L/∂hᵢ₋₁ where hᵢ₋₁ > 0, else 0

Speed comes from three habits. All parameters are views of one vector, so that Adam is a handful of
operations on the whole of it. Every array is allocated once, and every operation writes into one
(`out=`). Adam works through the vector in blocks that stay in the cache. What is left is the matrix
products, which the BLAS does as fast for NumPy as for anybody.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Network:
    """A perceptron with ReLU layers and a softmax on top.

    Parameters
    ----------
    sizes : units of each layer, the input and the classes included, such as (784, 128, 10).
    rng : draws the weights, with variance 2 / inputs (He et al., 2015).
    dtype : float32, or float64 to check gradients.
    """

    def __init__(
        self, sizes: Sequence[int], rng: np.random.Generator, dtype: type = np.float32
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes={tuple(sizes)}: two or more positive whole numbers are taken")
        self.sizes = tuple(sizes)
        pairs = list(itertools.pairwise(sizes))
        count = sum(inputs * outputs + outputs for inputs, outputs in pairs)
        self.parameters: Array = np.zeros(count, dtype)
        self.gradient: Array = np.zeros(count, dtype)
        self.weights, self.biases = self._views(self.parameters)
        self._weight_gradients, self._bias_gradients = self._views(self.gradient)
        for weight in self.weights:
            weight[:] = rng.standard_normal(weight.shape) * np.sqrt(2 / len(weight))
        self._buffers: dict[int, tuple[list[Array], list[Array]]] = {}

    def _views(self, vector: Array) -> tuple[list[Array], list[Array]]:
        weights, biases, start = [], [], 0
        for inputs, outputs in itertools.pairwise(self.sizes):
            end = start + inputs * outputs
            weights.append(vector[start:end].reshape(inputs, outputs))
            biases.append(vector[end : end + outputs])
            start = end + outputs
        return weights, biases

    def _arrays(self, rows: int) -> tuple[list[Array], list[Array]]:
        """Layer outputs and their gradients for a batch of this many rows, made once."""
        if rows not in self._buffers:
            shapes = [(rows, size) for size in self.sizes[1:]]
            dtype = self.parameters.dtype
            self._buffers[rows] = (
                [np.empty(shape, dtype) for shape in shapes],
                [np.empty(shape, dtype) for shape in shapes],
            )
        return self._buffers[rows]

    def forward(self, x: Array) -> Array:
        """Inputs (n, features) → logits (n, classes); the array is used again by the next call."""
        outputs, _ = self._arrays(len(x))
        h = x
        for weight, bias, out in zip(self.weights, self.biases, outputs, strict=True):
            np.matmul(h, weight, out=out)
            out += bias
            if out is not outputs[-1]:
                np.maximum(out, 0, out=out)
            h = out
        return h

    def loss_and_gradient(self, x: Array, y: NDArray[np.integer]) -> float:
        """The mean cross-entropy of a batch; leaves its gradient in `gradient`.

        x has shape (n, features), y (n,) with classes from 0.
        """
        n = len(x)
        logits = self.forward(x)
        outputs, gradients = self._arrays(n)
        rows = np.arange(n)
        # softmax, shifted by the largest logit so that exp cannot overflow
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[rows, y]
        dz = np.exp(logits, out=gradients[-1])
        total = dz.sum(axis=1, keepdims=True)
        loss = float(np.mean(np.log(total[:, 0]) - chosen))
        dz /= total * n
        dz[rows, y] -= 1 / n
        for layer in range(len(self.weights) - 1, -1, -1):
            h = outputs[layer - 1] if layer else x
            np.matmul(h.T, dz, out=self._weight_gradients[layer])
            np.sum(dz, axis=0, out=self._bias_gradients[layer])
            if layer:
                dh = np.matmul(dz, self.weights[layer].T, out=gradients[layer - 1])
                dz = np.multiply(dh, h > 0, out=dh)
        return loss

    def accuracy(self, x: Array, y: NDArray[np.integer], rows: int = 1000) -> float:
        """The share of x whose largest logit is at y."""
        right = 0
        for start in range(0, len(x), rows):
            batch = slice(start, start + rows)
            right += int((self.forward(x[batch]).argmax(axis=1) == y[batch]).sum())
        return right / len(x)


class Adam:
    """Adam (Kingma, Ba, 2015) on one vector of parameters, in place and block by block."""

    def __init__(
        self,
        parameters: Array,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        block: int = 32_768,
    ) -> None:
        self.parameters = parameters
        self.mean = np.zeros_like(parameters)
        self.square = np.zeros_like(parameters)
        self.betas, self.epsilon, self.block = betas, epsilon, block
        self.steps = 0
        self._scratch = np.empty(min(block, len(parameters)), parameters.dtype)

    def step(self, gradient: Array, learning_rate: float) -> None:
        """Move the parameters by one step against the gradient."""
        self.steps += 1
        first, second = self.betas
        # p -= lr · (m / c₁) / (√(v / c₂) + ε), with the two corrections drawn out of the vector
        correction = np.sqrt(1 - second**self.steps)
        rate = learning_rate * correction / (1 - first**self.steps)
        epsilon = self.epsilon * correction
        for start in range(0, len(self.parameters), self.block):
            part = slice(start, start + self.block)
            g, m, v = gradient[part], self.mean[part], self.square[part]
            scratch = self._scratch[: len(g)]
            m *= first
            np.multiply(g, 1 - first, out=scratch)
            m += scratch
            v *= second
            np.multiply(g, g, out=scratch)
            scratch *= 1 - second
            v += scratch
            np.sqrt(v, out=scratch)
            scratch += epsilon
            np.divide(m, scratch, out=scratch)
            scratch *= rate
            self.parameters[part] -= scratch


def batches(
    x: Array, y: NDArray[np.integer], size: int, rng: np.random.Generator
) -> Iterator[tuple[Array, NDArray[np.integer]]]:
    """Batches of `size` rows in a fresh random order; the incomplete last one is left out.

    The arrays that are yielded are used again for the next batch.
    """
    order = rng.permutation(len(x))
    x_batch = np.empty((size, x.shape[1]), x.dtype)
    y_batch = np.empty(size, y.dtype)
    for start in range(0, len(x) - size + 1, size):
        rows = order[start : start + size]
        yield (
            np.take(x, rows, axis=0, out=x_batch, mode="clip"),
            np.take(y, rows, out=y_batch, mode="clip"),
        )


def train_epoch(
    network: Network,
    optimizer: Adam,
    x: Array,
    y: NDArray[np.integer],
    *,
    batch_size: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> float:
    """One pass over the training set; returns the mean loss of its batches."""
    losses = []
    for x_batch, y_batch in batches(x, y, batch_size, rng):
        losses.append(network.loss_and_gradient(x_batch, y_batch))
        optimizer.step(network.gradient, learning_rate)
    return float(np.mean(losses))
