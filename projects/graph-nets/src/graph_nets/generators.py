r"""Graphs with a seed: one to learn on that needs no download, and ones as large as one likes."""

import numpy as np
import torch
from numpy.typing import NDArray

from graph_nets.graph import Graph


def citations(
    n: int = 1000,
    classes: int = 5,
    words: int = 300,
    degree: float = 4.0,
    alike: float = 0.8,
    seed: int = 0,
) -> Graph:
    r"""Documents of several fields that cite each other: a stochastic block model with words.

    A citation stays within the field with probability `alike`, and who is cited much is drawn from
    a power law (Brian Karrer and Mark Newman, *Stochastic blockmodels and community structure in
    networks*, 2011). Of a document's twenty words five are typical of its field. The split is that
    of the citation graphs: 20 nodes of each class, at most 300 to choose by, the others to judge.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    weight = 1.0 / np.sqrt(1.0 - rng.random(n))
    count = int(n * degree / 2)
    source = rng.integers(n, size=count)
    field = np.where(rng.random(count) < alike, y[source], rng.integers(classes, size=count))
    target = np.empty(count, np.int64)
    for k in range(classes):
        members = np.flatnonzero(y == k)
        chosen = field == k
        shares = weight[members] / weight[members].sum()
        target[chosen] = rng.choice(members, chosen.sum(), p=shares)
    kept = source != target
    pairs = np.unique(np.sort(np.stack([source[kept], target[kept]]), axis=0), axis=1)
    x = np.zeros((n, words), np.float32)
    typical = rng.permuted(np.tile(np.arange(words), (classes, 1)), axis=1)[:, : words // 10]
    for node in range(n):
        x[node, rng.choice(words, 15, replace=False)] = 1.0
        x[node, rng.choice(typical[y[node]], 5, replace=False)] = 1.0
    order = rng.permutation(n)
    train = np.concatenate([order[y[order] == k][:20] for k in range(classes)])
    rest = order[~np.isin(order, train)]
    held = min(300, len(rest) // 3)
    split = {"train": np.sort(train), "validation": rest[:held], "test": rest[held:]}
    return Graph(
        torch.from_numpy(x),
        torch.from_numpy(np.concatenate([pairs, pairs[::-1]], axis=1)),
        torch.from_numpy(y),
        {name: torch.from_numpy(nodes) for name, nodes in split.items()},
    )


def power_law(n: int, m: int, features: int, seed: int = 0, exponent: float = 2.5) -> Graph:
    r"""n nodes and m directed edges without loops, $P(d) \propto d^{-\text{exponent}}$.

    Both ends of an edge are drawn by weights (Fan Chung and Linyuan Lu, *Connected components in
    random graphs with given expected degree sequences*, 2002); features are normally distributed.
    """
    rng = np.random.default_rng(seed)
    weights = np.arange(1, n + 1) ** (-1.0 / (exponent - 1.0))
    cumulated = np.cumsum(rng.permutation(weights))
    cumulated /= cumulated[-1]

    def draw() -> NDArray[np.int64]:
        return np.minimum(np.searchsorted(cumulated, rng.random(m)), n - 1)

    source, target = draw(), draw()
    index = np.stack([source, np.where(source == target, (target + 1) % n, target)])
    x = rng.standard_normal((n, features), dtype=np.float32)
    return Graph(torch.from_numpy(x), torch.from_numpy(index))
