"""A trained network of two layers compiled for one graph: fused, its rows in 32, 16 or 8 bits.

>>> plan = FusedNetwork(network, graph.edges, threads=2, short=True)
>>> logits = plan.run(graph.x.numpy())
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from graph_nets import kernels
from graph_nets.edges import Edges
from graph_nets.gcn import GraphConvolution
from graph_nets.kernels import Floats, Integers, Rows
from graph_nets.networks import NodeClassifier
from graph_nets.sage import SageLayer

#: Rows of the first map that are made at once.
ROWS = 2048
NO_ROWS: Floats = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Weights:
    """A layer as the kernels take it.

    neighbors : (inputs, outputs), of the neighbors' rows. own : of the node's row, or (0, 0).
    bias : (outputs,).
    """

    neighbors: Floats
    own: Floats
    bias: Floats

    @property
    def both(self) -> Floats:
        """The two maps side by side, so that one product computes both."""
        if not self.own.size:
            return self.neighbors
        return np.ascontiguousarray(np.hstack([self.neighbors, self.own]))


class FusedNetwork:
    """Two layers of GCN, or of GraphSAGE with the mean, as kernels.

    What stands in memory beside the graph and the features: the rows after the first map, and those
    after the second; see `kernels`. Their room is kept from one run to the next, since fresh memory
    costs as much as the work that fills it; a plan is for one run at a time.

    Parameters
    ----------
    network : trained; its nonlinearity is relu.
    edges : of the graph.
    threads : for the dense products and the kernels.
    short : send rows in 16 bits; the logits are those of float32 to 1e-4 of the largest.
    by_degree : put the nodes in order of their degree; what comes back is in the graph's own order.
    calibration : features (n, inputs) to find the int8 ranges with, for a network in int8
        (which tells no NaN: features must be finite).

    Raises TypeError for other layers, ValueError for too many edges.
    """

    def __init__(
        self,
        network: NodeClassifier,
        edges: Edges,
        threads: int = 1,
        by_degree: bool = False,
        short: bool = False,
        calibration: Floats | None = None,
    ) -> None:
        layers = list(network.layers)
        names = [type(layer).__name__ for layer in layers]
        if len(layers) != 2 or network.nonlinearity is not torch.nn.functional.relu:
            raise TypeError(f"{', '.join(names)}; two layers with relu between them are taken")
        if all(isinstance(layer, GraphConvolution) for layer in layers):
            edges = edges.with_loops
            degree = edges.degree.numpy().astype(np.float32)
            self.before = self.scale = (1.0 / np.sqrt(degree)).astype(np.float32)
        elif all(isinstance(layer, SageLayer) and layer.aggregator == "mean" for layer in layers):
            degree = edges.degree.numpy().astype(np.float32)
            self.before = np.ones(edges.n, np.float32)
            self.scale = (1.0 / np.maximum(degree, 1.0)).astype(np.float32)
        else:
            raise TypeError(
                f"{', '.join(names)}; GraphConvolution, or SageLayer with the mean, are taken"
            )
        self.first, self.last = map(_weights, layers)
        self.first_both, self.last_both = self.first.both, self.last.both
        if len(edges) >= 2**31:
            raise ValueError(f"{len(edges)} edges; fewer than 2³¹ are taken")
        self.threads, self.short = threads, short
        self.order: NDArray[np.int64] | None = None
        self.pointers = edges.pointers.numpy().astype(np.int32)
        self.sources = edges.source.numpy().astype(np.int32)
        if by_degree:
            self.order = np.argsort(-degree, kind="stable")
            self.pointers, self.sources = _renumbered(self.pointers, self.sources, self.order)
            self.before, self.scale = self.before[self.order], self.scale[self.order]
        self.parts = kernels.parts_of(self.pointers, threads)
        self.n = edges.n
        self._kept: dict[str, Rows] = {}
        self.int8 = None
        if calibration is not None:
            self.int8 = _Int8.find(self, calibration)

    @property
    def graph_bytes(self) -> int:
        """What the compiled graph takes."""
        return self.pointers.nbytes + self.sources.nbytes + self.scale.nbytes

    @property
    def kept_bytes(self) -> int:
        """What is kept from one run to the next beside it."""
        return sum(rows.nbytes for rows in self._kept.values())

    def run(self, x: Floats | csr_matrix) -> Floats:
        """Logits (n, classes) for features x (n, inputs), float32, sparse in rows or not.

        Raises ValueError for another shape, TypeError for sparse features in int8.
        """
        if x.shape != (self.n, len(self.first.neighbors)):
            raise ValueError(
                f"features of shape {x.shape}; {(self.n, len(self.first.neighbors))} is taken"
            )
        if self.int8 and isinstance(x, csr_matrix):
            raise TypeError("sparse features for an int8 network; an array is taken")
        before = torch.get_num_threads(), numba.get_num_threads()
        torch.set_num_threads(self.threads)
        numba.set_num_threads(min(self.threads, numba.config.NUMBA_NUM_THREADS))
        try:
            ordered = x if self.order is None else x[self.order]
            out = self._run_int8(ordered) if self.int8 else self._run(ordered)
        finally:
            torch.set_num_threads(before[0])
            numba.set_num_threads(before[1])
        if self.order is None:
            return out
        back = np.empty_like(out)
        back[self.order] = out
        return back

    def _run(self, x: Floats | csr_matrix) -> Floats:
        mapped, factor = self._rows("second", self.last_both.shape[1])
        kernels.propagate_and_map(
            self.pointers, self.sources, self.parts, *self._first_map(x), self.scale,
            self.first.bias, self.last_both, self.before, self.short, mapped, factor,
        )  # fmt: skip
        out = np.empty((self.n, len(self.last.bias)), np.float32)
        kernels.propagate(
            self.pointers, self.sources, self.parts, mapped, factor, self.scale, self.last.bias, out
        )
        return out

    def _rows(self, name: str, width: int) -> tuple[Rows, Floats]:
        """Room for rows to send, and for their factors."""
        kind = np.int16 if self.short else np.float32
        return self._room(name, width, kind), self._room(f"{name}, factors", 1, np.float32)[:, 0]

    def _room(self, name: str, width: int, kind: type[np.generic]) -> Rows:
        """A row for each node, as the last run left them."""
        if name not in self._kept:
            self._kept[name] = _aligned((self.n, width), kind)
        return self._kept[name]

    def _first_map(self, x: Floats | csr_matrix) -> tuple[Rows, Floats]:
        """The rows that the neighbors send, beside them each node's own part; the factors."""
        width = self.first_both.shape[1]
        if isinstance(x, csr_matrix):
            z = self._room("sparse", width, np.float32)
            kernels.map_sparse(x.indptr, x.indices, x.data, self.first_both, z)
            if not self.short:
                return z, self.before
            out, factor = self._rows("first", width)
            kernels.write_rows(z, self.before, True, out, factor)
            return out, factor
        out, factor = self._rows("first", width)
        even = np.linspace(0, self.n, len(self.parts)).astype(np.int64)
        kernels.map_rows(even, x, self.first_both, self.before, self.short, out, factor)
        return out, factor

    def _first_map_int8(self, x: Floats, told: "_Int8") -> NDArray[np.int8]:
        """The features times the weights, both in int8, rounded to int8 again."""
        out = self._room("first, int8", self.first_both.shape[1], np.int8)
        step = told.step / (np.float32(told.x_step) * told.weight_step)
        for rows in self._blocks():
            units = torch.from_numpy(x[rows]).mul(1.0 / told.x_step).round_().clamp_(-127, 127)
            sums = torch._int_mm(units.to(torch.int8), told.weight).numpy()
            kernels.round_rows(sums, self.before[rows], step, out[rows])
        return out

    def _blocks(self) -> Iterator[slice]:
        """Rows whose products stay in the second-level cache."""
        for start in range(0, self.n, ROWS):
            yield slice(start, min(start + ROWS, self.n))

    def _run_int8(self, x: Floats) -> Floats:
        told = self.int8
        assert told is not None
        mapped = self._room("second, int8", self.last_both.shape[1], np.int8)
        kernels.propagate_and_map_int8(
            self.pointers, self.sources, self.parts, self._first_map_int8(x, told), self.scale,
            told.step, self.first.bias, self.last_both, self.before, told.mapped_step, mapped,
        )  # fmt: skip
        out = np.empty((self.n, len(self.last.bias)), np.float32)
        kernels.propagate_int8(
            self.pointers, self.sources, self.parts, mapped, self.scale, told.mapped_step,
            self.last.bias, out,
        )  # fmt: skip
        return out


@dataclass(frozen=True)
class _Int8:
    """The grids of the int8 network.

    x_step : what a unit of a feature is worth. weight : int8 (inputs, outputs), with `weight_step`
    for each output. step : of the rows after the first map. mapped_step : after the second.
    """

    x_step: float
    weight: Tensor
    weight_step: Floats
    step: Floats
    mapped_step: np.float32

    @classmethod
    def find(cls, plan: FusedNetwork, x: Floats) -> "_Int8":
        """Ranges from the features of a graph."""
        if plan.order is not None:
            x = x[plan.order]
        both = plan.first_both
        weight_step = np.maximum(np.abs(both).max(0), 1e-12) / 127.0
        weight = np.rint(both / weight_step).astype(np.int8)
        z, factor = plan._first_map(x)
        mapped, mapped_factor = plan._rows("second", plan.last_both.shape[1])
        kernels.propagate_and_map(
            plan.pointers, plan.sources, plan.parts, z, factor, plan.scale, plan.first.bias,
            plan.last_both, plan.before, plan.short, mapped, mapped_factor,
        )  # fmt: skip
        z, mapped = (rows * by[:, None] for rows, by in ((z, factor), (mapped, mapped_factor)))
        plan._kept.clear()  # the int8 network needs none of them
        return cls(
            max(float(np.abs(x).max()), 1e-12) / 127.0,
            torch.from_numpy(weight),
            weight_step.astype(np.float32),
            (np.maximum(np.abs(z).max(0), 1e-12) / 127.0).astype(np.float32),
            np.float32(max(float(np.abs(mapped).max()), 1e-12) / 127.0),
        )


def _aligned(shape: tuple[int, int], kind: type[np.generic]) -> Rows:
    """An empty array that begins a cache line, so that a row lies in as few as can be."""
    size = shape[0] * shape[1] * np.dtype(kind).itemsize
    room = np.empty(size + kernels.LINE_BYTES, np.uint8)
    first = -room.ctypes.data % kernels.LINE_BYTES
    return room[first : first + size].view(kind).reshape(shape)


def _weights(layer: torch.nn.Module) -> Weights:
    def array(tensor: Tensor) -> Floats:
        return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)

    if isinstance(layer, GraphConvolution):
        return Weights(array(layer.weight), NO_ROWS, array(layer.bias))
    assert isinstance(layer, SageLayer)
    return Weights(
        array(layer.neighbors.weight.T), array(layer.own.weight.T), array(layer.neighbors.bias)
    )


def _renumbered(
    pointers: Integers, sources: Integers, order: NDArray[np.int64]
) -> tuple[Integers, Integers]:
    """The same graph with node order[k] called k."""
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    counts = np.diff(pointers)[order]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    # Where each new edge was: the old start of its row, and its place within the row.
    old = np.repeat(pointers[:-1][order] - starts[:-1], counts) + np.arange(len(sources))
    return starts, place[sources[old]]
