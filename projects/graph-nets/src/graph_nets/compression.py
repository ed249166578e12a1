r"""Smaller networks on graphs: int8 weights and activations, and weights that are zero.

**Int8.** A real number $v$ is stood for by an integer $q = \mathrm{round}(v / s)$ in
$-127 \dots 127$. A weight's step $s$ is its output channel's, an activation's is its tensor's, and
activations have theirs before anything is computed (*static*), from a calibration run.

GCN's matrix is never rounded. Its entries $1 / \sqrt{d_i d_j}$ span orders of magnitude, which one
step for all cannot hold; but $\hat A = \tilde D^{-1/2} (A + I) \tilde D^{-1/2}$, and $A + I$ counts
edges: it *is* of integers. The left factor belongs to the sum's rescaling and the right one to the
messages', the mean's $D^{-1} A$ likewise. A layer, with what each line is computed in:

| | | |
| --- | --- | --- |
| features | $X_8 = \mathrm{round}(X / s_x)$ | float32 to int8 |
| map | $H = X_8 W_8$ | int8 by int8 to int32 |
| messages | $M_8 = \mathrm{round}(D_c H s_x s_w / s_m)$ | int32 by float32 to int8 |
| sum | $S = (A + I) M_8$ | integers by int8 to int32 |
| output | $s_m D_r S + b$, GraphSAGE: $+ \; X_8 W_8' s_x s_w'$ | int32 by float32 |

**Pruning.** The weights of the smallest magnitude become zero and stay zero while the others are
trained on.

Sources: Benoit Jacob and others, *Quantization and training of neural networks for efficient
integer-arithmetic-only inference*, 2018; Shyam Tailor, Javier Fernandez-Marques and Nicholas Lane,
*Degree-Quant: quantization-aware training for graph neural networks*, 2021; Song Han and others,
*Learning both weights and connections for efficient neural networks*, 2015.
"""

import copy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn
from torch.nn.utils import parametrize

from graph_nets.edges import Edges, SparseMatrix
from graph_nets.gcn import GraphConvolution
from graph_nets.networks import NodeClassifier
from graph_nets.sage import SageLayer

Scope = Literal["global", "layer"]
Floats = NDArray[np.floating[Any]]
Arrays = dict[str, NDArray[Any]]
#: The largest integer; -128 is not used, so that both signs have the same range.
TOP = 127


# Weights that are zero


class Masked(nn.Module):
    """A weight times a mask: what is masked is zero and gets no gradient."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with zeros."""
        return weight * self.mask


def weight_holders(network: NodeClassifier) -> list[nn.Module]:
    """The modules whose `weight` is a matrix of the network, layer by layer.

    Raises TypeError for other layers than GCN's and GraphSAGE's with the mean.
    """
    found: list[nn.Module] = []
    for layer in network.layers:
        if isinstance(layer, GraphConvolution):
            found.append(layer)
        elif isinstance(layer, SageLayer) and layer.aggregator == "mean":
            found += [layer.neighbors, layer.own]
        else:
            kind = getattr(layer, "aggregator", "")
            raise TypeError(
                f"a layer {type(layer).__name__} {kind}".rstrip()
                + "; GraphConvolution and SageLayer with the mean are taken"
            )
    return found


def magnitude_masks(network: NodeClassifier, share: float, scope: Scope = "global") -> list[Tensor]:
    """0 for this share of the weights, those of smallest magnitude, and 1 for the others.

    scope : the smallest of the whole network, or of each matrix.

    Raises ValueError for a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share={share} of the weights; at least 0 and less than 1 is taken")
    sizes = [holder.weight.detach().abs() for holder in weight_holders(network)]
    if scope == "layer":
        return [_keep_largest(size.flatten(), share).view_as(size) for size in sizes]
    kept = _keep_largest(torch.cat([size.flatten() for size in sizes]), share)
    parts = kept.split([size.numel() for size in sizes])
    return [part.view_as(size) for part, size in zip(parts, sizes, strict=True)]


def _keep_largest(sizes: Tensor, share: float) -> Tensor:
    mask = torch.ones_like(sizes)
    mask[sizes.argsort(stable=True)[: round(share * len(sizes))]] = 0.0
    return mask


def masked(network: NodeClassifier, share: float, scope: Scope = "global") -> NodeClassifier:
    """A copy whose smallest weights are zero and stay so in training; see `unmasked`."""
    found = copy.deepcopy(network)
    masks = magnitude_masks(found, share, scope)
    for holder, mask in zip(weight_holders(found), masks, strict=True):
        parametrize.register_parametrization(holder, "weight", Masked(mask))
    return found


def unmasked(network: NodeClassifier) -> NodeClassifier:
    """In place: the masks are gone, and the zeros are plain weights."""
    for holder in weight_holders(network):
        if parametrize.is_parametrized(holder, "weight"):
            parametrize.remove_parametrizations(holder, "weight")
    return network


def zero_share(network: NodeClassifier) -> float:
    """Which share of the weights is zero."""
    weights = [holder.weight.detach() for holder in weight_holders(network)]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


# Integers


@dataclass(frozen=True)
class IntegerWeights:
    """int8 (inputs, outputs), and what a unit of each output is worth, float32 (outputs,)."""

    values: NDArray[np.int8]
    step: NDArray[np.float32]

    @classmethod
    def of(cls, weight: Tensor) -> "IntegerWeights":
        """Symmetric: the largest magnitude of an output channel becomes 127."""
        w = weight.detach().numpy()
        largest = np.abs(w).max(axis=0)
        step = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(TOP)
        return cls(to_int8(w / step), step)

    def real(self) -> NDArray[np.float64]:
        """The numbers that the integers stand for."""
        return self.values.astype(np.float64) * self.step


def to_int8(scaled: Floats) -> NDArray[np.int8]:
    """To the nearest integer, ties to the even one; what is beyond -127 … 127 is cut off."""
    rounded: NDArray[np.int8] = np.clip(np.rint(scaled), -TOP, TOP).astype(np.int8)
    return rounded


@dataclass(frozen=True)
class IntegerLayer:
    """A layer of the table above.

    counts : how often j is a neighbor of i, integers (n, n). row, column : the factors of the sum
    and of the messages, float32 (n,). x_step, message_step : a unit of the features and messages.
    """

    neighbors: IntegerWeights
    own: IntegerWeights | None
    bias: NDArray[np.float32]
    counts: sparse.csr_matrix
    row: NDArray[np.float32]
    column: NDArray[np.float32]
    x_step: np.float32
    message_step: np.float32


@dataclass(frozen=True)
class Levels:
    """What a run of an int8 network puts out: logits (n, classes); the integers on the way."""

    logits: Floats
    integers: list[NDArray[np.int8]]


@dataclass(frozen=True)
class IntegerNetwork:
    """A network of int8 layers for one graph; make it with `quantize`."""

    layers: list[IntegerLayer]

    def run(self, x: sparse.csr_matrix | Floats) -> Levels:
        """With integer products, for features (n, inputs), sparse or not."""
        seen: list[NDArray[np.int8]] = []
        h = x
        for k, layer in enumerate(self.layers):
            h = h if k == 0 else np.maximum(h, 0)
            x8 = _round_features(h, layer.x_step)
            factor = layer.neighbors.step * (layer.x_step / layer.message_step)
            scaled = integer_product(x8, layer.neighbors.values) * factor
            m8 = to_int8(scaled * layer.column[:, None])
            h = (layer.counts @ m8.astype(np.int32)) * (layer.row * layer.message_step)[:, None]
            h += layer.bias
            if layer.own is not None:
                h += integer_product(x8, layer.own.values) * (layer.own.step * layer.x_step)
            seen += [_values(x8), m8]
        return Levels(h, seen)

    def simulate(self, x: sparse.csr_matrix | Floats) -> Levels:
        """The same with float64 numbers that were rounded to the grids: *fake quantization*."""
        seen: list[NDArray[np.int8]] = []
        h = x.astype(np.float64)
        for k, layer in enumerate(self.layers):
            h = h if k == 0 else np.maximum(h, 0)
            x8 = _round_features(h, layer.x_step)
            features = x8.astype(np.float64) * float(layer.x_step)
            messages = layer.column[:, None] * (features @ layer.neighbors.real())
            m8 = to_int8(messages / float(layer.message_step))
            total = layer.counts.astype(np.float64) @ (m8 * float(layer.message_step))
            h = layer.row[:, None] * total + layer.bias
            if layer.own is not None:
                h += features @ layer.own.real()
            seen += [_values(x8), m8]
        return Levels(h, seen)


def integer_product(
    x: sparse.csr_matrix | NDArray[np.int8], weight: NDArray[np.int8]
) -> NDArray[np.int32]:
    """int8 by int8 to int32, exactly.

    PyTorch multiplies dense int8 as it is; SciPy has no such product for sparse x, which it adds up
    as int32. Raises ValueError where a sum could leave int32.
    """
    if x.shape[1] * TOP * TOP >= 2**31:
        raise ValueError(f"{x.shape[1]} inputs; sums of at most 133,144 products fit into int32")
    product: NDArray[np.int32]
    if sparse.issparse(x):
        product = x.astype(np.int32) @ weight.astype(np.int32)
    else:
        product = torch._int_mm(torch.from_numpy(x), torch.from_numpy(weight)).numpy()
    return product


def _round_features(x: Any, step: np.float32) -> Any:
    """int8 of the same form: zero stays zero, so that sparse features stay sparse."""
    if not sparse.issparse(x):
        return to_int8(x / x.dtype.type(step))
    data = to_int8(x.data / x.dtype.type(step))
    return sparse.csr_matrix((data, x.indices, x.indptr), shape=x.shape)


def _values(x: Any) -> NDArray[np.int8]:
    values: NDArray[np.int8] = x.data if sparse.issparse(x) else x
    return values


@torch.no_grad()
def quantize(
    network: NodeClassifier, x: Tensor | SparseMatrix, edges: Edges, coverage: float = 1.0
) -> IntegerNetwork:
    """The int8 form of a trained network of GCN's layers or GraphSAGE's with the mean.

    Ranges are those that the network has on the graph itself.

    coverage : the share of nodes whose whole row is in range; of the others what is too large is
        cut off.

    Raises TypeError for other layers, ValueError for a coverage outside (0, 1] and for nonlinearity
    other than relu.
    """
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage={coverage} of the nodes; more than 0 and at most 1 is taken")
    weight_holders(network)
    if network.nonlinearity is not torch.nn.functional.relu:
        raise ValueError("a nonlinearity between the layers that is not relu")
    network.eval()
    h: Tensor | SparseMatrix = x
    layers = []
    for layer in network.layers:
        linear: list[Tensor]
        if isinstance(layer, GraphConvolution):
            counted = edges.with_loops
            row = column = counted.degree.float().rsqrt()
            linear, bias = [layer.weight], layer.bias
        else:
            counted = edges
            row, column = 1.0 / edges.degree.clamp(min=1).float(), torch.ones(edges.sources)
            linear, bias = [layer.neighbors.weight.T, layer.own.weight.T], layer.neighbors.bias
        messages = column.view(-1, 1) * (h @ linear[0])
        counts = _scipy(counted.matrix(torch.ones(len(counted)))).astype(np.int32)
        counts.sum_duplicates()
        parts = [IntegerWeights.of(weight) for weight in linear]
        layers.append(
            IntegerLayer(
                parts[0],
                parts[1] if len(parts) > 1 else None,
                bias.detach().numpy().copy(),
                counts,
                row.numpy(),
                column.numpy(),
                _step(h, coverage),
                _step(messages, coverage),
            )
        )
        h = layer(h, edges).relu()
    return IntegerNetwork(layers)


def _step(x: Tensor | SparseMatrix, coverage: float) -> np.float32:
    largest = float(np.quantile(row_ranges(x), coverage, method="inverted_cdf"))
    return np.float32((largest or 1.0) / TOP)


def row_ranges(x: Tensor | SparseMatrix) -> NDArray[np.float32]:
    """The largest magnitude in each row, (n,)."""
    if isinstance(x, SparseMatrix):
        return np.asarray(abs(_scipy(x)).max(axis=1).toarray()).ravel()
    ranges: NDArray[np.float32] = x.detach().abs().amax(1).numpy()
    return ranges


def scipy_features(x: Tensor | SparseMatrix) -> sparse.csr_matrix | Floats:
    """As an `IntegerNetwork` takes them."""
    return _scipy(x) if isinstance(x, SparseMatrix) else x.numpy()


def _scipy(x: SparseMatrix) -> sparse.csr_matrix:
    parts = (x.weights.numpy(), x.edges.source.numpy(), x.edges.pointers.numpy())
    return sparse.csr_matrix(parts, shape=(x.edges.n, x.edges.sources))


# As stored


def pack(weight: NDArray[Any]) -> Arrays:
    """A matrix in the smallest of three forms: `unpack` gives it back bit by bit.

    All values; or those that are not zero with the column of each and where rows begin, in the
    smallest integers that hold them; or with a bit for each place.
    """
    there = weight != 0
    row, column = there.nonzero()
    values, shape = weight[there], np.array(weight.shape, np.uint32)
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    forms: list[Arrays] = [
        {"shape": shape, "all": weight.copy()},
        {
            "shape": shape,
            "values": values,
            "columns": column.astype(np.min_scalar_type(max(weight.shape[1] - 1, 0))),
            "starts": starts.astype(np.min_scalar_type(len(row))),
        },
        {"shape": shape, "values": values, "places": np.packbits(there)},
    ]
    return min(forms, key=stored_bytes)


def unpack(parts: Arrays) -> NDArray[Any]:
    """The matrix of `pack`."""
    if "all" in parts:
        return parts["all"]
    n, width = (int(size) for size in parts["shape"])
    weight = np.zeros((n, width), parts["values"].dtype)
    if "places" in parts:
        there = np.unpackbits(parts["places"], count=n * width).astype(bool).reshape(n, width)
        weight[there] = parts["values"]
    else:
        starts: NDArray[np.int64] = parts["starts"].astype(np.int64)
        rows = np.repeat(np.arange(n), starts[1:] - starts[:-1])
        weight[rows, parts["columns"]] = parts["values"]
    return weight


def stored(network: NodeClassifier | IntegerNetwork) -> Arrays:
    """All that has to be kept of a network; the graph is not part of it."""
    kept: Arrays = {}
    if isinstance(network, IntegerNetwork):
        for k, layer in enumerate(network.layers):
            for name, weights in (("neighbors", layer.neighbors), ("own", layer.own)):
                if weights is not None:
                    packed = pack(weights.values) | {"step": weights.step}
                    kept |= {f"{k}.{name}.{key}": value for key, value in packed.items()}
            kept[f"{k}.bias"] = layer.bias
            kept[f"{k}.steps"] = np.array([layer.x_step, layer.message_step], np.float32)
        return kept
    for k, holder in enumerate(weight_holders(network)):
        packed = pack(holder.weight.detach().numpy())
        kept |= {f"{k}.{key}": value for key, value in packed.items()}
        bias = getattr(holder, "bias", None)
        if bias is not None:
            kept[f"{k}.bias"] = bias.detach().numpy()
    return kept


def stored_bytes(arrays: Arrays) -> int:
    """The sum of the arrays' sizes in bytes."""
    return sum(array.nbytes for array in arrays.values())
