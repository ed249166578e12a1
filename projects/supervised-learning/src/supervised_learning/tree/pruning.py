r"""Cut a grown tree back: to the branches worth their leaves, or to a number of leaves.

Let $R(t)$ be a node's impurity times its share of the weight, and $R(T)$ the sum over the leaves of
a tree $T$. Minimal cost-complexity pruning looks for the subtree that minimizes
$R_\alpha(T) = R(T) + \alpha |T|$, where $|T|$ counts the leaves. A branch $T_t$ is worth keeping
while $R(T_t) + \alpha |T_t| < R(t) + \alpha$, so it falls at

$$g(t) = \frac{R(t) - R(T_t)}{|T_t| - 1}.$$

The node with the smallest $g$ is the weakest link. Cutting there again and again, until the root is
left, passes through the best subtree for every $\alpha$.

References: L. Breiman, J. Friedman, R. Olshen, C. Stone, *Classification and Regression Trees*,
1984, chapter 3; H. Shi, *Best-first Decision Tree Learning*, 2007.
"""

import heapq

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised_learning.tree.structure import LEAF, Tree


def weakest_links(tree: Tree) -> tuple[NDArray[np.int64], NDArray, NDArray]:
    r"""The nodes in the order in which they fall, with $\alpha$ and the impurity of what is left.

    The three arrays begin with the uncut tree: node -1, alpha 0, its own impurity.
    """
    share = tree.weighted_n_node_samples / tree.weighted_n_node_samples[0]
    return _weakest_links(tree.impurity * share, tree.children_left, tree.children_right)


def prune(tree: Tree, ccp_alpha: float) -> tuple[Tree, NDArray[np.int64]]:
    r"""The smallest subtree that minimizes $R_\alpha$, and the numbers that `Tree.cut` gives."""
    nodes, alphas, _ = weakest_links(tree)
    inner = ~tree.is_leaf
    inner[nodes[1:][alphas[1:] <= ccp_alpha]] = False
    return tree.cut(inner)


def best_first(tree: Tree, max_leaf_nodes: int) -> tuple[Tree, NDArray[np.int64]]:
    """Keep the splits that a tree grown best first makes: always the leaf that gains most.

    A node's split does not depend on when it is made. So the order in which a tree of
    `max_leaf_nodes` leaves grows can be read off the one that is grown out.
    """
    gains, left, right = tree.gains(), tree.children_left, tree.children_right
    inner = np.zeros(tree.node_count, np.bool_)
    leaves = [(-gains[0], 0)]
    while leaves and np.count_nonzero(inner) < max_leaf_nodes - 1:
        node = heapq.heappop(leaves)[1]
        if left[node] == LEAF:
            continue
        inner[node] = True
        for child in (left[node], right[node]):
            heapq.heappush(leaves, (-gains[child], int(child)))
    return tree.cut(inner)


@njit(cache=True, nogil=True)
def _weakest_links(risk, child_left, child_right):
    n = len(risk)
    parent = np.full(n, -1)
    branch_risk, leaves = risk.copy(), np.ones(n)
    for t in range(n - 1, -1, -1):  # children before their parents
        if child_left[t] != LEAF:
            below_left, below_right = child_left[t], child_right[t]
            parent[below_left] = parent[below_right] = t
            branch_risk[t] = branch_risk[below_left] + branch_risk[below_right]
            leaves[t] = leaves[below_left] + leaves[below_right]
    inner = child_left != LEAF
    g = np.full(n, np.inf)
    links = [(0.0, 0) for _ in range(0)]
    for t in range(n):
        if inner[t]:
            g[t] = (risk[t] - branch_risk[t]) / (leaves[t] - 1)
            links.append((g[t], t))
    heapq.heapify(links)
    order, alphas, risks = [-1], [0.0], [branch_risk[0]]
    while links:
        alpha, t = heapq.heappop(links)
        if not inner[t] or alpha != g[t]:
            continue  # an old entry: the node is gone, or its branch has become smaller
        below = [t]
        while below:
            s = below.pop()
            if inner[s]:
                inner[s] = False
                below.append(child_left[s])
                below.append(child_right[s])
        more_risk, fewer = risk[t] - branch_risk[t], leaves[t] - 1
        branch_risk[t], leaves[t] = risk[t], 1.0
        above = parent[t]
        while above >= 0:
            branch_risk[above] += more_risk
            leaves[above] -= fewer
            g[above] = (risk[above] - branch_risk[above]) / (leaves[above] - 1)
            heapq.heappush(links, (g[above], above))
            above = parent[above]
        order.append(t)
        alphas.append(alpha)
        risks.append(branch_risk[0])
    return np.array(order), np.array(alphas), np.array(risks)
