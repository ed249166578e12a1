r"""The edges of a graph in the two forms that message passing takes.

A node $i$ receives from its neighbors $j \in \mathcal N(i)$. Written edge by edge, a layer
*gathers* the neighbors' rows and *scatters* their sum to the targets: any function of an edge is
possible, and each edge's message stands in memory once. Written as a matrix, the sum over neighbors
is the sparse product $A X$ with $A_{ij}$ the weight of the edge from $j$ to $i$: no message is
stored.

The matrices that the layers need are kept once they are made:

- GCN's $\hat A = \tilde D^{-1/2} (A + I) \tilde D^{-1/2}$, where every node has exactly one loop;
- the mean's $D^{-1} A$, where a node without neighbors has an empty row.

An edge that is given twice counts twice.
"""

import warnings
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn


class Edges:
    """Edges from sources to targets, ordered by target.

    Parameters
    ----------
    index : int64 (2, m), a source and a target for each edge.
    n : how many targets there are.
    sources : how many sources; where a node is both, it is among the first. None: n.

    Raises ValueError for another shape or an index out of range.
    """

    def __init__(self, index: Tensor, n: int, sources: int | None = None) -> None:
        if index.ndim != 2 or index.shape[0] != 2 or index.dtype != torch.int64:
            raise ValueError(
                f"edges of shape {tuple(index.shape)} and {index.dtype}; int64 (2, m) is taken"
            )
        self.n, self.sources = n, n if sources is None else sources
        for row, most, what in ((0, self.sources, "source"), (1, n, "target")):
            wrong = index[row][(index[row] < 0) | (index[row] >= most)]
            if len(wrong):
                raise ValueError(
                    f"an edge's {what} is node {int(wrong[0])}; 0 to {most - 1} are taken"
                )
        order = torch.argsort(index[1], stable=True)
        self.source, self.target = index[0][order], index[1][order]

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def index(self) -> Tensor:
        """int64 (2, m), ordered by target."""
        return torch.stack([self.source, self.target])

    @cached_property
    def degree(self) -> Tensor:
        """How many edges reach each target, int64 (n,)."""
        return torch.bincount(self.target, minlength=self.n)

    @cached_property
    def pointers(self) -> Tensor:
        """Where each target's edges begin, int64 (n + 1,)."""
        return torch.cat([self.degree.new_zeros(1), self.degree.cumsum(0)])

    @cached_property
    def by_source(self) -> tuple[Tensor, Tensor]:
        """The edges' order by source, int64 (m,), and where each source's begin, (sources + 1,)."""
        counts = torch.bincount(self.source, minlength=self.sources)
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return torch.argsort(self.source, stable=True), starts

    @cached_property
    def with_loops(self) -> "Edges":
        """The same with exactly one loop at each node."""
        others = self.source != self.target
        loops = torch.arange(self.n, device=self.source.device)
        index = torch.cat([self.index[:, others], torch.stack([loops, loops])], 1)
        return Edges(index, self.n, self.sources)

    def matrix(self, weights: Tensor) -> "SparseMatrix":
        """The matrix (n, sources) of edge weights (m,)."""
        return SparseMatrix(self, weights)

    @cached_property
    def normalized(self) -> "SparseMatrix":
        r"""GCN's $\tilde D^{-1/2} (A + I) \tilde D^{-1/2}$, in float32."""
        edges = self.with_loops
        scale = edges.degree.to(torch.float32).rsqrt()
        return edges.matrix(scale[edges.target] * scale[edges.source])

    @cached_property
    def mean(self) -> "SparseMatrix":
        r"""$D^{-1} A$, in float32."""
        return self.matrix((1.0 / self.degree.clamp(min=1).to(torch.float32))[self.target])


class SparseMatrix:
    """A matrix of edge weights, in rows for the way forward and in columns for the way back.

    Parameters
    ----------
    edges : where the entries are: an edge's target is the row, its source the column.
    weights : (m,), in the order of the edges.
    """

    def __init__(self, edges: Edges, weights: Tensor) -> None:
        self.edges, self.weights = edges, weights
        self._made: dict[torch.dtype, tuple[Tensor, Tensor]] = {}

    def both(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The matrix and its transpose, as PyTorch's CSR tensors of this type."""
        if dtype not in self._made:
            edges, weights = self.edges, self.weights.to(dtype)
            order, starts = edges.by_source
            shape = (edges.n, edges.sources)
            self._made[dtype] = (
                csr_tensor(edges.pointers, edges.source, weights, shape),
                csr_tensor(starts, edges.target[order], weights[order], shape[::-1]),
            )
        return self._made[dtype]

    @classmethod
    def of(cls, dense: Tensor) -> "SparseMatrix":
        """The entries of a matrix that are not 0."""
        rows, columns = dense.nonzero(as_tuple=True)
        edges = Edges(torch.stack([columns, rows]), *dense.shape)
        return cls(edges, dense[edges.target, edges.source])

    def dropout(self, share: float) -> "SparseMatrix":
        """Entries dropped at random, and the others made larger, so that the mean stays."""
        return SparseMatrix(self.edges, nn.functional.dropout(self.weights, share))

    def __len__(self) -> int:
        return self.edges.n

    def __matmul__(self, x: Tensor) -> Tensor:
        """The product with x (sources, features): (n, features)."""
        product: Tensor = _Product.apply(x, self)
        return product


def csr_tensor(pointers: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """PyTorch's matrix in rows, without its warning that it may change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(pointers, columns, values, shape, check_invariants=False)


class _Product(torch.autograd.Function):
    """A X, whose gradient by X is the transpose of A by the gradient; A is not learnt."""

    @staticmethod
    def forward(context: Any, x: Tensor, matrix: SparseMatrix) -> Tensor:
        context.matrix = matrix
        return matrix.both(x.dtype)[0] @ x

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return context.matrix.both(gradients[0].dtype)[1] @ gradients[0].contiguous(), None


def gather_scatter(x: Tensor, edges: Edges, weights: Tensor | None = None) -> Tensor:
    """The sum of each target's neighbors, edge by edge: (n, …) for x (sources, …).

    weights : (m,) or broadcasting against the messages (m, …).
    """
    messages = x[edges.source]
    if weights is not None:
        messages = messages * weights.view(-1, *[1] * (x.ndim - weights.ndim), *weights.shape[1:])
    total = x.new_zeros(edges.n, *x.shape[1:])
    return total.index_add_(0, edges.target, messages)


def neighborhood_maximum(x: Tensor, edges: Edges) -> Tensor:
    """The largest of each target's neighbors in every feature; 0 where there are none."""
    index = edges.target.view(-1, 1).expand(-1, x.shape[1])
    start = x.new_zeros(edges.n, x.shape[1])
    return start.scatter_reduce(0, index, x[edges.source], "amax", include_self=False)


def edge_softmax(scores: Tensor, edges: Edges) -> Tensor:
    r"""$\exp e_{ij} / \sum_{k \in \mathcal N(i)} \exp e_{ik}$ for scores (m, heads)."""
    index = edges.target.view(-1, 1).expand_as(scores)
    start = scores.new_full((edges.n, scores.shape[1]), -torch.inf)
    top = start.scatter_reduce(0, index, scores.detach(), "amax")
    shares = (scores - top[edges.target]).exp()
    total = scores.new_zeros(edges.n, scores.shape[1]).index_add_(0, edges.target, shares)
    return shares / total[edges.target]
