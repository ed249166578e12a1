r"""Which edges are missing: held-out edges, pairs that are none, and scores for both.

Edges are hidden from a graph and mixed with as many pairs of nodes that are no edges; a score says
how likely a pair is an edge. Two nodes' *neighborhoods* give such scores without any learning. A
*graph auto-encoder* learns an embedding $z_i$ from features and training edges, and says
$p(i \sim j) = \sigma(z_i^\top z_j)$.

An undirected edge is one pair $(i, j)$, $i < j$, throughout: both of its directions are hidden
together, else the network would be given half of what it is asked.

Sources: David Liben-Nowell and Jon Kleinberg, *The link-prediction problem for social networks*,
2007; Thomas Kipf and Max Welling, *Variational graph auto-encoders*, 2016.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from graph_nets.edges import Edges, SparseMatrix
from graph_nets.gcn import GraphConvolution
from graph_nets.networks import NodeClassifier

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """A split of the undirected edges of a graph of n nodes.

    Parameters
    ----------
    n : how many nodes.
    train, validation, test : the pairs that are edges, int64 (m, 2), each with i < j.
    no_validation, no_test : as many pairs that are no edges, in none of the three parts.
    """

    n: int
    train: Pairs
    validation: Pairs
    test: Pairs
    no_validation: Pairs
    no_test: Pairs

    @property
    def edges(self) -> Edges:
        """What messages may pass along: the training edges alone, both ways."""
        index = torch.from_numpy(np.concatenate([self.train, self.train[:, ::-1]]).T.copy())
        return Edges(index, self.n)

    def judged(self, part: str = "test") -> tuple[Pairs, NDArray[np.int64]]:
        """The pairs of `test` or `validation`, edges first, and 1 for each that is an edge."""
        if part not in ("validation", "test"):
            raise ValueError(f"part {part!r}; validation and test are taken")
        yes, no = getattr(self, part), getattr(self, f"no_{part}")
        truth = np.repeat(np.array([1, 0]), [len(yes), len(no)])
        return np.concatenate([yes, no]), truth


def undirected(index: Tensor) -> Pairs:
    """Each edge once, int64 (m, 2) with i < j in ascending order; loops are left out."""
    ends = np.sort(index.numpy().T, axis=1)
    found: Pairs = np.unique(ends[ends[:, 0] != ends[:, 1]], axis=0)
    return found


def split_links(
    index: Tensor,
    n: int,
    rng: np.random.Generator,
    *,
    validation: float = 0.05,
    test: float = 0.1,
) -> Links:
    """Hide shares of the undirected edges at random, and draw as many pairs that are none.

    index : int64 (2, m), a source and a target each; an edge may stand there both ways.

    Raises ValueError for shares that are not positive or leave no part an edge.
    """
    if validation <= 0 or test <= 0 or validation + test >= 1:
        raise ValueError(
            f"validation={validation} and test={test}; positive shares that sum to less than 1"
        )
    pairs = undirected(index)
    counts = int(validation * len(pairs)), int(test * len(pairs))
    if min(counts) == 0:
        raise ValueError(f"{len(pairs)} undirected edges; too few to hide {validation:.0%} of")
    pairs = pairs[rng.permutation(len(pairs))]
    negatives = draw_negatives(sum(counts), n, pairs, rng)
    hidden = sum(counts)
    return Links(
        n,
        pairs[hidden:],
        pairs[: counts[0]],
        pairs[counts[0] : hidden],
        negatives[: counts[0]],
        negatives[counts[0] :],
    )


def draw_negatives(count: int, n: int, edges: Pairs, rng: np.random.Generator) -> Pairs:
    r"""Different pairs that are none of the edges, uniformly: int64 (count, 2) with i < j.

    Pairs are numbered $k = j (j - 1) / 2 + i$. The r-th number that is no edge's is r plus the
    count of edges before it, so that nothing is drawn in vain, however dense the graph.

    Raises ValueError where there are fewer such pairs.
    """
    taken = np.unique(_number(edges))
    free = n * (n - 1) // 2 - len(taken)
    if not 0 <= count <= free:
        raise ValueError(f"{count} pairs that are no edges; the graph has {free}")
    drawn = rng.choice(free, size=count, replace=False)
    before = np.searchsorted(taken - np.arange(len(taken)), drawn, side="right")
    return _pair(drawn + before)


def _number(pairs: Pairs) -> NDArray[np.int64]:
    i, j = np.sort(pairs, axis=1).T
    numbers: NDArray[np.int64] = j * (j - 1) // 2 + i
    return numbers


def _pair(number: NDArray[np.int64]) -> Pairs:
    j = ((1 + np.sqrt(1.0 + 8.0 * number)) / 2).astype(np.int64)
    j -= j * (j - 1) // 2 > number  # the root's rounding
    j += (j + 1) * j // 2 <= number
    return np.stack([number - j * (j - 1) // 2, j], axis=1)


class Neighborhoods:
    r"""Scores of pairs from the nodes that both ends know; $\Gamma(i)$ are the neighbors of i.

    Row $i$ of the adjacency matrix times row $j$, entry by entry, marks the common neighbors; so
    each score is a sparse product over all pairs at once.

    Parameters
    ----------
    n : how many nodes.
    edges : int64 (m, 2), undirected, each once.
    """

    def __init__(self, n: int, edges: Pairs) -> None:
        ends = np.concatenate([edges, edges[:, ::-1]])
        values = np.ones(len(ends))
        self.adjacency = sparse.csr_matrix((values, ends.T), shape=(n, n))
        self.adjacency.data[:] = 1.0  # an edge that is given twice counts once
        self.degree = np.diff(self.adjacency.indptr).astype(float)

    def _common(self, pairs: Pairs) -> sparse.csr_matrix:
        return self.adjacency[pairs[:, 0]].multiply(self.adjacency[pairs[:, 1]]).tocsr()

    def common_neighbors(self, pairs: Pairs) -> NDArray[np.float64]:
        r"""$|\Gamma(i) \cap \Gamma(j)|$ for pairs (p, 2)."""
        return np.asarray(self._common(pairs).sum(axis=1), float).ravel()

    def adamic_adar(self, pairs: Pairs) -> NDArray[np.float64]:
        r"""$\sum_{k \in \Gamma(i) \cap \Gamma(j)} 1 / \log |\Gamma(k)|$: a hub says little."""
        weight = 1.0 / np.log(np.maximum(self.degree, 2))  # a common neighbor has two at least
        return np.asarray(self._common(pairs) @ weight)

    def jaccard(self, pairs: Pairs) -> NDArray[np.float64]:
        r"""$|\Gamma(i) \cap \Gamma(j)| / |\Gamma(i) \cup \Gamma(j)|$; 0 for two lonely nodes."""
        common = self.common_neighbors(pairs)
        union = self.degree[pairs].sum(axis=1) - common
        return common / np.maximum(union, 1.0)

    def preferential_attachment(self, pairs: Pairs) -> NDArray[np.float64]:
        r"""$|\Gamma(i)| \cdot |\Gamma(j)|$: who has many edges gets more."""
        return np.asarray(self.degree[pairs].prod(axis=1))


def cosine_similarity(x: Tensor, pairs: Pairs) -> NDArray[np.float64]:
    """The features' cosine for each pair: what can be said without edges."""
    rows = normalize(x, dim=1)
    score = (rows[pairs[:, 0]] * rows[pairs[:, 1]]).sum(1)
    return score.double().numpy()


def baseline_scores(x: Tensor, links: Links, pairs: Pairs) -> dict[str, NDArray[np.float64]]:
    """Each score that is not learnt, by its name, from features x (n, f) and training edges."""
    near = Neighborhoods(links.n, links.train)
    return {
        "features": cosine_similarity(x, pairs),
        "common_neighbors": near.common_neighbors(pairs),
        "adamic_adar": near.adamic_adar(pairs),
        "jaccard": near.jaccard(pairs),
        "preferential_attachment": near.preferential_attachment(pairs),
    }


def make_encoder(
    inputs: int, hidden: int, size: int, seed: int, drop: float = 0.0
) -> NodeClassifier:
    """Two graph convolutions that give each node an embedding of this size."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [GraphConvolution(inputs, hidden), GraphConvolution(hidden, size)]
    return NodeClassifier(layers, drop)


def decode(z: Tensor, pairs: Pairs | Tensor) -> Tensor:
    """The logit of an edge for each pair (p, 2): the product of its ends' embeddings (n, size)."""
    ends = torch.as_tensor(pairs)
    return (z[ends[:, 0]] * z[ends[:, 1]]).sum(1)


def link_loss(z: Tensor, positives: Pairs, negatives: Pairs) -> Tensor:
    """Binary cross-entropy, the mean over all pairs of both kinds."""
    logits = decode(z, np.concatenate([positives, negatives]))
    truth = torch.zeros_like(logits)
    truth[: len(positives)] = 1.0
    return binary_cross_entropy_with_logits(logits, truth)


@dataclass(frozen=True)
class LinkFit:
    """A trained encoder; losses, and the area under the ROC curve on validation, by epoch."""

    encoder: nn.Module
    losses: list[float]
    validation: list[float]


def fit_links(
    encoder: nn.Module,
    x: Tensor | SparseMatrix,
    links: Links,
    rng: np.random.Generator,
    *,
    epochs: int = 200,
    learning_rate: float = 0.01,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda epochs: epochs,
) -> LinkFit:
    """Train in place; the weights of the epoch that was best on validation are kept.

    Each epoch draws as many new negatives as there are training edges. They avoid the training
    edges alone: to avoid the hidden ones, too, would tell where those are.
    """
    edges = links.edges
    optimizer = torch.optim.Adam(encoder.parameters(), lr=learning_rate)
    best, kept = -1.0, copy.deepcopy(encoder.state_dict())
    losses, curve = [], []
    for _ in progress(range(epochs)):
        encoder.train()
        optimizer.zero_grad(set_to_none=True)
        negatives = draw_negatives(len(links.train), links.n, links.train, rng)
        loss = link_loss(encoder(x, edges), links.train, negatives)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        pairs, truth = links.judged("validation")
        curve.append(judge(embedding_scores(encoder, x, edges, pairs), truth)[0])
        if curve[-1] > best:
            best, kept = curve[-1], copy.deepcopy(encoder.state_dict())
    encoder.load_state_dict(kept)
    encoder.eval()
    return LinkFit(encoder, losses, curve)


@torch.no_grad()
def embedding_scores(
    encoder: nn.Module, x: Tensor | SparseMatrix, edges: Edges, pairs: Pairs
) -> NDArray[np.float64]:
    """The decoder's logits of the pairs, without dropout."""
    encoder.eval()
    return decode(encoder(x, edges), pairs).double().numpy()


def judge(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> tuple[float, float]:
    """Area under the ROC curve and average precision, in percent."""
    return (
        100.0 * float(roc_auc_score(truth, scores)),
        100.0 * float(average_precision_score(truth, scores)),
    )
