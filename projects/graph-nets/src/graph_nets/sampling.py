r"""Sample a few neighbors of a few nodes, layer by layer, so that a step does not need the graph.

A layer's output at some nodes needs their neighbors' rows, the layer before it those neighbors'
neighbors, and so on: on a large graph two or three layers reach everything. Sampling at most $k$
neighbors of each node bounds a batch by $b \prod_l (k_l + 1)$ rows, whatever the degrees are.

With $S$ drawn uniformly and without replacement from the $d$ neighbors, the sample's mean is an
unbiased estimate of the neighborhood's, with variance

$$\mathrm{Var} = \frac{\sigma^2}{k} \, \frac{d - k}{d - 1}, \qquad
\sigma^2 = \frac 1 d \sum_j (h_j - \bar h)^2,$$

and exact where $k \ge d$. What follows through a nonlinearity, or by a maximum, is biased.

Sources: William Hamilton, Rex Ying and Jure Leskovec, *Inductive representation learning on large
graphs*, 2017; the subsets, Robert Floyd in Jon Bentley, *Programming pearls: a sample of
brilliance*, 1987; the variance, William Cochran, *Sampling techniques*, 1977, section 2.6.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from graph_nets.edges import Edges, neighborhood_maximum
from graph_nets.graph import Graph

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """What some layers need to compute some targets.

    nodes : int64 (sources of the first block,), the graph's nodes whose rows go in; the targets
        are the first.
    blocks : for each layer, the first one first, the edges from its rows to those that the next
        layer takes; a block's targets are the first of its sources.
    """

    nodes: Tensor
    blocks: list[Edges]

    @property
    def targets(self) -> Tensor:
        """The nodes that were asked for, int64 (targets,)."""
        return self.nodes[: self.blocks[-1].n]


class NeighborSampler:
    """Draws batches from a graph.

    Parameters
    ----------
    edges : of the graph; every source is a target too.
    fanouts : how many neighbors of each node at most, the targets' first; one a layer. None takes
        all of them, in the order of the edges; a sample is in random order, as an LSTM wants it.
    rng : draws the samples.

    Raises ValueError for edges between two sets, or a fan-out that is not None or 1 and above.
    """

    def __init__(
        self, edges: Edges, fanouts: Sequence[int | None], rng: np.random.Generator
    ) -> None:
        if edges.sources != edges.n:
            raise ValueError(f"{edges.sources} sources and {edges.n} targets; as many are taken")
        if not fanouts:
            raise ValueError("no fan-outs; one for each layer is taken")
        for fanout in fanouts:
            if fanout is not None and (not isinstance(fanout, int | np.integer) or fanout < 1):
                raise ValueError(
                    f"a fan-out of {fanout!r}; whole numbers from 1 and None are taken"
                )
        self.edges, self.fanouts, self.rng = edges, tuple(fanouts), rng
        self._pointers = edges.pointers.numpy()
        self._sources = edges.source.numpy()
        self._places = np.full(edges.n, -1, np.int64)

    def sample(self, nodes: Tensor) -> Batch:
        """The blocks for these targets, int64 (targets,); ValueError where they are none of it."""
        reached = self._checked(nodes)
        blocks: list[Edges] = []
        for fanout in self.fanouts:
            begin = self._pointers[reached]
            degree = self._pointers[reached + 1] - begin
            counts = degree if fanout is None else np.minimum(degree, fanout)
            total = int(counts.sum())
            chosen = np.empty(total, np.int64)
            if fanout is None:
                _take_all(begin, counts, chosen)
            else:
                _choose(begin, degree, counts, self.rng.random(2 * total), chosen)
            local, further = _number(reached, self._sources[chosen], self._places)
            index = np.stack([local, np.repeat(np.arange(len(reached)), counts)])
            blocks.insert(0, Edges(torch.from_numpy(index), len(reached), len(further)))
            reached = further
        return Batch(torch.from_numpy(reached), blocks)

    def batches(self, nodes: Tensor, size: int) -> Iterator[Batch]:
        """All the nodes once, in random order, so many at a time.

        Raises ValueError for a size below 1.
        """
        if size < 1:
            raise ValueError(f"batches of {size} nodes; 1 and above is taken")
        order = torch.from_numpy(self.rng.permutation(len(nodes)))
        for part in nodes[order].split(size):
            yield self.sample(part)

    def _checked(self, nodes: Tensor) -> Integers:
        if nodes.ndim != 1 or nodes.dtype != torch.int64 or len(nodes) == 0:
            raise ValueError(
                f"nodes of shape {tuple(nodes.shape)} and {nodes.dtype}; "
                "int64 (targets,) with one or more is taken"
            )
        wrong = nodes[(nodes < 0) | (nodes >= self.edges.n)]
        if len(wrong):
            raise ValueError(f"node {int(wrong[0])}; 0 to {self.edges.n - 1} are taken")
        found: Integers = nodes.numpy()
        values, counts = np.unique(found, return_counts=True)
        if len(values) < len(found):
            raise ValueError(f"node {values[counts > 1][0]} is given twice; each once is taken")
        return found


@njit(cache=True)
def _take_all(begin: Integers, counts: Integers, chosen: Integers) -> None:
    at = 0
    for i in range(len(begin)):
        for p in range(counts[i]):
            chosen[at + p] = begin[i] + p
        at += counts[i]


@njit(cache=True)
def _choose(
    begin: Integers,
    degree: Integers,
    counts: Integers,
    draws: NDArray[np.float64],
    chosen: Integers,
) -> None:
    """`counts[i]` places from `begin[i]` on, of `degree[i]`, in random order."""
    most = 0
    for i in range(len(begin)):
        most = max(most, degree[i])
    deck = np.empty(most, np.int64)
    at = 0
    for i in range(len(begin)):
        k, d = counts[i], degree[i]
        if k * k > 4 * d:  # shuffle the whole range as far as it is needed: O(d)
            for p in range(d):
                deck[p] = p
            for p in range(k):
                other = p + int(draws[2 * at + p] * (d - p))
                deck[p], deck[other] = deck[other], deck[p]
                chosen[at + p] = begin[i] + deck[p]
        else:  # Floyd's way needs no range, O(k * k), but an order of its own
            for p in range(k):
                limit = d - k + p
                pick = begin[i] + int(draws[2 * at + p] * (limit + 1))
                for q in range(p):
                    if chosen[at + q] == pick:
                        pick = begin[i] + limit
                        break
                chosen[at + p] = pick
            for p in range(k - 1, 0, -1):
                other = int(draws[2 * at + k + p] * (p + 1))
                chosen[at + p], chosen[at + other] = chosen[at + other], chosen[at + p]
        at += k


@njit(cache=True)
def _number(targets: Integers, sources: Integers, places: Integers) -> tuple[Integers, Integers]:
    """The sources numbered from the targets on, and the nodes in that order.

    places : (n,), -1 everywhere before and after.
    """
    nodes = np.empty(len(targets) + len(sources), np.int64)
    local = np.empty(len(sources), np.int64)
    for i in range(len(targets)):
        nodes[i] = targets[i]
        places[targets[i]] = i
    found = len(targets)
    for e in range(len(sources)):
        if places[sources[e]] < 0:
            places[sources[e]] = found
            nodes[found] = sources[e]
            found += 1
        local[e] = places[sources[e]]
    for i in range(found):
        places[nodes[i]] = -1
    return local, nodes[:found].copy()


def expected_error(x: Tensor, edges: Edges, fanout: int) -> float:
    """Root mean square error of the sampled mean, by Cochran's formula.

    Over all nodes and features of x (n, features); see the module's docstring.
    """
    mean = edges.mean @ x
    variance = (edges.mean @ (x * x) - mean * mean).clamp(min=0)
    degree = edges.degree.to(x.dtype)
    share = (degree - fanout).clamp(min=0) / (degree - 1).clamp(min=1) / fanout
    return float((variance * share.view(-1, 1)).mean().sqrt())


@torch.no_grad()
def sampling_errors(
    x: Tensor, edges: Edges, fanout: int, draws: int, rng: np.random.Generator
) -> dict[str, float]:
    """What sampling does to the neighborhoods of all nodes, for rows x (n, features).

    Root mean square errors over that of the whole means: `one` sample's mean, what the `theory`
    says of it, the `average` of so many samples' means, and of so many samples' `maximum`.
    """
    sampler, everyone = NeighborSampler(edges, (fanout,), rng), torch.arange(edges.n)
    mean, largest = edges.mean @ x, neighborhood_maximum(x, edges)
    total, top, squares = torch.zeros_like(mean), torch.zeros_like(mean), 0.0
    for _ in range(draws):
        batch = sampler.sample(everyone)
        rows, block = x[batch.nodes], batch.blocks[0]
        estimate = block.mean @ rows
        squares += float((estimate - mean).square().mean())
        total += estimate
        top += neighborhood_maximum(rows, block)
    scale = float(mean.square().mean().sqrt())
    return {
        "one": (squares / draws) ** 0.5 / scale,
        "theory": expected_error(x, edges, fanout) / scale,
        "average": float((total / draws - mean).square().mean().sqrt()) / scale,
        "maximum": float((top / draws - largest).square().mean().sqrt()) / scale,
    }


def without_nodes(graph: Graph, nodes: Tensor) -> Graph:
    """The graph that is left when these nodes and their edges are taken out, numbered anew.

    The order of the others stays. They leave the split, too.
    """
    kept = torch.ones(graph.n, dtype=torch.bool)
    kept[nodes] = False
    number = torch.cumsum(kept, 0) - 1
    index = graph.index[:, kept[graph.index].all(0)]
    return replace(
        graph,
        x=graph.x[kept],
        index=number[index],
        y=None if graph.y is None else graph.y[kept],
        split={name: number[part[kept[part]]] for name, part in graph.split.items()},
        names=None if graph.names is None else [graph.names[int(k)] for k in kept.nonzero()],
    )
