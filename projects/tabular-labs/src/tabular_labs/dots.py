"""Scores of models as dots on lines: all repetitions, and the mean as a mark."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from groundwork import plots

GREY = plots.PALETTE[7]


def draw_dots(
    axes: Any, values: Mapping[str, Any], colors: Mapping[str, str] | None = None
) -> None:
    """A line for each name and its numbers, the first on top; grey where no color is told."""
    names = list(values)[::-1]
    for place, name in enumerate(names):
        color = (colors or {}).get(name, GREY)
        points = np.asarray(values[name])
        axes.plot(points, np.full(len(points), place), "o", markersize=4, alpha=0.4, color=color)
        axes.plot(points.mean(), place, "|", markersize=15, markeredgewidth=2, color=color)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(axis="y", visible=False)
