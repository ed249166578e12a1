"""Parts of the labs' figures."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graph_nets.attention import entropy_share
from graph_nets.edges import Edges
from groundwork.plots import PALETTE


def dots(
    axes: Any, at: float, values: NDArray[np.float64], color: str, label: str | None = None
) -> None:
    """A dot for each seed above one place, and a line at their mean."""
    spread = np.linspace(-0.08, 0.08, len(values)) if len(values) > 1 else np.zeros(1)
    axes.plot(at + spread, values, "o", markersize=3.5, alpha=0.7, color=color, label=label)
    axes.plot([at - 0.12, at + 0.12], [values.mean()] * 2, color=color)


def draw_neighborhood(axes: Any, shares: Tensor, edges: Edges, y: Tensor) -> None:
    """Who one node listens to: edges as wide as their coefficients, nodes coloured by class.

    Of the nodes with 6 to 10 neighbors it is the one whose coefficients are the least even, or of
    all nodes where none has as many. Its own coefficient is written into it.

    Parameters
    ----------
    shares : attention coefficients (m, heads) of these edges, which have a loop at each node.
    y : int64 (n,), the classes.
    """
    degree = edges.degree
    drawable = (degree >= 7) & (degree <= 11)
    if not drawable.any():
        drawable = degree > 1
    entropy = entropy_share(shares, edges).mean(1)
    center = int(torch.where(drawable, entropy, torch.inf).argmin())
    of = edges.target == center
    nodes, weights = edges.source[of], shares[of].mean(1)
    pairs = zip(nodes.tolist(), weights.tolist(), strict=True)
    others = sorted((int(y[j]), weight) for j, weight in pairs if j != center)
    own = float(weights[nodes == center][0])
    for i, (label, weight) in enumerate(others):
        angle = 2 * np.pi * i / len(others) + np.pi / 2
        right, up = np.cos(angle), np.sin(angle)
        axes.plot([0, right], [0, up], "-", color="#5b6270", linewidth=40 * weight, alpha=0.45)
        axes.plot(right, up, "o", markersize=15, color=_color(label), markeredgecolor="white")
        axes.text(1.3 * right, 1.25 * up, f"{weight:.2f}", ha="center", va="center", fontsize=9)
    label = int(y[center])
    axes.plot(0, 0, "o", markersize=26, color=_color(label), markeredgecolor="white")
    axes.text(0, 0, f"{own:.2f}", ha="center", va="center", fontsize=9, color="white")
    axes.set(title=f"One neighborhood; even: {1 / len(nodes):.2f}", xticks=[], yticks=[])
    axes.set(xlim=(-1.5, 1.5), ylim=(-1.4, 1.4), aspect="equal")
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _color(label: int) -> str:
    return PALETTE[label % len(PALETTE)]
