"""A tree to look at: as indented text, or drawn on axes.

Both start from an outline, which holds the words for each node and for the way to it. Leaves stand
side by side at equal distance and each inner node above the middle of its children, so no two lines
cross (E. Reingold and J. Tilford, *Tidier Drawings of Trees*, 1981, improve on its width).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from supervised_learning.tree.structure import Tree

#: One color for each class: blue, orange, green, red, purple, brown, sky, grey.
_COLORS = (
    "#2c5f9e", "#e08a1e", "#3a8f5c", "#c23b4a", "#7b5ea7", "#8a6642", "#5aa9d6", "#7a7f87",
)  # fmt: skip


@dataclass
class Outline:
    """A node as words, and the nodes below it.

    Attributes
    ----------
    question : what an inner node asks; empty in a leaf, and where the outline ends.
    answer : the node's own prediction and its rows.
    way : what leads here from the node above; empty in the root.
    kind : which color the node has: the number of its class, or 0.
    strength : from 0 to 1, how strong the color is: how pure a node is, or how high its mean.
    children : the nodes below.
    """

    question: str
    answer: str
    way: str = ""
    kind: int = 0
    strength: float = 0.5
    children: list["Outline"] = field(default_factory=list)


def outline(
    estimator: Any,
    *,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    max_depth: int | None = None,
) -> Outline:
    """The outline of a fitted `DecisionTreeClassifier` or `DecisionTreeRegressor`.

    Parameters
    ----------
    feature_names : of the columns; by default those of the frame that the tree was fitted to.
    class_names : of the classes; by default `classes_`.
    max_depth : leave out what lies deeper; None: nothing.

    Raises NotFittedError, and ValueError where there are too few names.
    """
    check_is_fitted(estimator)
    tree: Tree = estimator.tree_
    if feature_names is None:
        count = range(estimator.n_features_in_)
        feature_names = getattr(estimator, "feature_names_in_", [f"x{i}" for i in count])
    classes = is_classifier(estimator)
    if classes and class_names is None:
        class_names = [str(label) for label in estimator.classes_]
    for what, names, needed in (
        ("feature_names", feature_names, estimator.n_features_in_),
        ("class_names", class_names, estimator.n_classes_ if classes else 0),
    ):
        if names is not None and len(names) < needed:
            raise ValueError(f"{what}: {len(names)} names for {needed}; give one for each")
    low, high = float(tree.value.min()), float(tree.value.max())

    def describe(node: int, way: str, depth: int) -> Outline:
        value, rows = tree.value[node], tree.n_node_samples[node]
        if classes:
            kind, share = int(value.argmax()), float(value.max())
            chance = 1 / len(value)
            assert class_names is not None
            answer = f"{class_names[kind]} {share:.0%} of {rows}"
            strength = (share - chance) / (1 - chance) if chance < 1 else 1.0
        else:
            kind, answer = 0, f"{value[0]:.4g}, {rows} rows"
            strength = (value[0] - low) / (high - low) if high > low else 0.5
        result = Outline("", answer, way, kind, strength)
        if not tree.is_leaf[node] and (max_depth is None or depth < max_depth):
            result.question = f"{feature_names[tree.feature[node]]} ≤ {tree.threshold[node]:.4g}"
            result.children = [
                describe(tree.children_left[node], "yes", depth + 1),
                describe(tree.children_right[node], "no", depth + 1),
            ]
        return result

    return describe(0, "", 0)


def as_text(node: Outline) -> str:
    """One line for each node, its children indented below it."""
    way = f"{node.way}: " if node.way else ""
    lines = [f"{way}{node.question}? ({node.answer})" if node.question else f"{way}{node.answer}"]
    for child in node.children:
        lines += [f"    {line}" for line in as_text(child).splitlines()]
    return "\n".join(lines)


def draw(node: Outline, axes: Any, *, font_size: float = 7.5) -> None:
    """Draw an outline on matplotlib axes: boxes, and lines that say which way they go."""
    axes.set_axis_off()
    across = iter(range(10**9))
    depth = _draw_branch(node, axes, 0, across, font_size)[1]
    axes.set(xlim=(-0.6, max(0.6, next(across) - 0.4)), ylim=(-depth - 0.5, 0.5))


def _draw_branch(
    node: Outline, axes: Any, depth: int, across: Any, font_size: float
) -> tuple[float, int]:
    """Draw what hangs below a node, then the node; gives its place and the greatest depth."""
    below = [_draw_branch(child, axes, depth + 1, across, font_size) for child in node.children]
    x = float(np.mean([below[0][0], below[-1][0]])) if below else float(next(across))
    for (child_x, _), child in zip(below, node.children, strict=True):
        axes.plot([x, child_x], [-depth, -depth - 1], color="#9aa0aa", linewidth=1, zorder=1)
        middle = (x + child_x) / 2
        axes.text(
            middle, -depth - 0.5, child.way, ha="center", va="center", fontsize=font_size - 1,
            color="#5b6270", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    color = _COLORS[node.kind % len(_COLORS)]
    words = f"{node.question}\n{node.answer}" if node.question else node.answer
    axes.text(
        x,
        -depth,
        words.replace(" of ", "\nof ") if not node.question else words,
        ha="center",
        va="center",
        fontsize=font_size,
        zorder=3,
        bbox={
            "boxstyle": "round,pad=0.35",
            "facecolor": _mix(color, 0.08 + 0.5 * node.strength),
            "edgecolor": color,
            "linewidth": 0.8,
        },
    )
    return x, max([depth, *(deepest for _, deepest in below)])


def _mix(color: str, share: float) -> str:
    """A color with so much of it, and white for the rest."""
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in parts)
