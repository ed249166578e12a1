"""Drawing a dendrogram: every merge a bracket, as high as the two clusters lay apart.

The rows stand side by side at the bottom, so that no two brackets cross: the rows of each cluster
are neighbors. A bracket's legs stand over the middle of the two clusters that it joins. Where there
are too many rows to read, only the last merges are drawn, and what lies below stands as one leaf
with the number of its rows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Dendrogram(NamedTuple):
    """Where the brackets stand.

    leaves : the node under each place at the bottom, from the left.
    size : how many rows each of them holds.
    x, y : (links, 4), the corners of each bracket: up, across, down.
    node : (links,), the node that each bracket makes.
    """

    leaves: NDArray[np.int64]
    size: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    node: NDArray[np.int64]


def arrange(linkage: ArrayLike, leaves: int | None = None) -> Dendrogram:
    """Find a place for every bracket.

    Parameters
    ----------
    linkage : (n - 1, 4): two children, distance, size, as `hierarchical.linkage_matrix` gives it.
    leaves : draw the last `leaves` - 1 merges only; None draws all.

    Raises ValueError for another shape, and for fewer than 2 leaves.
    """
    merges = np.asarray(linkage, dtype=np.float64)
    if merges.ndim != 2 or merges.shape[1] != 4 or not len(merges):
        raise ValueError(
            f"linkage has the shape {merges.shape}; give (n - 1, 4): two children, distance, size"
        )
    n = len(merges) + 1
    if leaves is not None and leaves < 2:
        raise ValueError(f"leaves={leaves} leaves nothing to draw; give at least 2")
    first = 0 if leaves is None else max(0, n - leaves)
    children = merges[:, :2].astype(np.int64)
    bottom, stack = [], [2 * n - 2]
    while stack:
        node = stack.pop()
        if node < n + first:
            bottom.append(node)
        else:
            stack += [children[node - n, 1], children[node - n, 0]]
    place, height = np.zeros(2 * n - 1), np.zeros(2 * n - 1)
    place[bottom] = np.arange(len(bottom))
    x, y = [], []
    for node in range(n + first, 2 * n - 1):
        a, b = children[node - n]
        place[node], height[node] = (place[a] + place[b]) / 2, merges[node - n, 2]
        x.append((place[a], place[a], place[b], place[b]))
        y.append((height[a], height[node], height[node], height[b]))
    size = np.concatenate([np.ones(n, np.int64), merges[:, 3].astype(np.int64)])
    return Dendrogram(
        np.array(bottom), size[bottom], np.array(x), np.array(y), np.arange(n + first, 2 * n - 1)
    )


def draw_dendrogram(
    axes: Any,
    linkage: ArrayLike,
    *,
    leaves: int | None = None,
    threshold: float | None = None,
    palette: Sequence[str] = ("C0", "C1", "C2", "C3", "C4", "C5"),
    above: str = "#7a7f87",
) -> Dendrogram:
    """Draw the tree on a matplotlib axes.

    Parameters
    ----------
    linkage, leaves : as for `arrange`.
    threshold : merges below it are colored by cluster, from the left; a line marks it. None draws
        all in one color.
    palette : the colors of the clusters, in turns.
    above : the color of the other merges.
    """
    tree = arrange(linkage, leaves)
    children = np.asarray(linkage)[:, :2].astype(np.int64)
    n = len(children) + 1
    color = dict.fromkeys(range(2 * n - 1), above)
    cut = np.inf if threshold is None else threshold
    # From the left, a bracket below the cut whose parent is not one begins a cluster.
    parent = np.full(2 * n - 1, -1)
    for node in tree.node:
        parent[children[node - n]] = node
    height = dict(zip(tree.node.tolist(), tree.y[:, 1].tolist(), strict=True))
    tops = [
        k
        for k, node in enumerate(tree.node)
        if height[node] < cut and height.get(parent[node], np.inf) >= cut
    ]
    for turn, k in enumerate(sorted(tops, key=lambda k: tree.x[k, 1])):
        color[tree.node[k]] = palette[turn % len(palette)]
    for node in tree.node[::-1]:
        if height.get(parent[node], np.inf) < cut:
            color[node] = color[parent[node]]
    for shade in dict.fromkeys(color[node] for node in tree.node):
        chosen = np.array([color[node] == shade for node in tree.node])
        gap = np.full((chosen.sum(), 1), np.nan)
        axes.plot(
            np.hstack([tree.x[chosen], gap]).ravel(),
            np.hstack([tree.y[chosen], gap]).ravel(),
            color=shade,
            linewidth=1.2,
        )
    if threshold is not None:
        axes.axhline(threshold, color=above, linewidth=0.9, linestyle=":")
    names = [
        str(node) if node < n else f"({size})"
        for node, size in zip(tree.leaves, tree.size, strict=True)
    ]
    axes.set_xticks(np.arange(len(names)), names, rotation=90, fontsize=6)
    axes.set(xlim=(-1, len(names)), ylim=(0, None), ylabel="distance of the merge")
    axes.grid(False, axis="x")
    return tree
