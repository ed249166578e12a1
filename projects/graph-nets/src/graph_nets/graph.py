"""A graph with features, classes and a split; read from what people have their graphs in.

>>> from groundwork import data
>>> cora = Graph.from_planetoid(data.load("planetoid_cora"))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graph_nets.edges import Edges

if TYPE_CHECKING:
    import networkx

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Graph:
    """Nodes with features and directed edges; an undirected edge stands there both ways.

    Parameters
    ----------
    x : float32 (n, features).
    index : int64 (2, m), a source and a target for each edge.
    y : int64 (n,), the class, -1 where it is not known; None without classes.
    split : node numbers, int64, for train, validation and test; empty without a split.
    names : of the nodes, where they had other names than numbers.

    Raises ValueError where the parts do not fit each other.
    """

    x: Tensor
    index: Tensor
    y: Tensor | None = None
    split: Mapping[str, Tensor] = field(default_factory=dict)
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or self.x.dtype != torch.float32:
            raise ValueError(
                f"features of shape {tuple(self.x.shape)} and {self.x.dtype}; "
                "float32 (n, features) is taken"
            )
        if not torch.isfinite(self.x).all():
            row = int((~torch.isfinite(self.x)).any(1).nonzero()[0])
            raise ValueError(f"node {row} has a feature that is not a finite number")
        _ = self.edges
        if self.y is not None and self.y.shape != (len(self.x),):
            raise ValueError(f"{len(self.y)} classes for {len(self.x)} nodes")
        for name, nodes in self.split.items():
            if name not in SPLITS:
                raise ValueError(f"a split called {name!r}; {', '.join(SPLITS)} are taken")
            wrong = nodes[(nodes < 0) | (nodes >= len(self.x))]
            if len(wrong):
                raise ValueError(
                    f"the split's {name} has node {int(wrong[0])}; 0 to {len(self.x) - 1} are taken"
                )

    @property
    def n(self) -> int:
        """How many nodes."""
        return len(self.x)

    @property
    def classes(self) -> int:
        """How many classes; 0 without."""
        return 0 if self.y is None else int(self.y.max()) + 1

    @cached_property
    def edges(self) -> Edges:
        """As the layers take them."""
        return Edges(self.index, len(self.x))

    def row_normalized(self) -> "Graph":
        """Features whose magnitudes sum to 1 in each row, as on the citation graphs."""
        total = self.x.abs().sum(1, keepdim=True)
        return replace(self, x=torch.where(total > 0, self.x / total.clamp(min=1e-12), 0.0))

    def split_at_random(self, per_class: int, validation: int, test: int, seed: int) -> "Graph":
        """The same with so many nodes of each class to train with, and so many of the others.

        Nodes whose class is not known are in no part. Raises ValueError without classes, or where
        there are not as many nodes.
        """
        if self.y is None:
            raise ValueError("a graph without classes cannot be split by them")
        order = torch.randperm(self.n, generator=torch.Generator().manual_seed(seed))
        order = order[self.y[order] >= 0]
        parts = [order[self.y[order] == k] for k in range(self.classes)]
        fewest = min(range(self.classes), key=lambda k: len(parts[k]))
        if len(parts[fewest]) < per_class:
            raise ValueError(
                f"{per_class} nodes of each class; class {fewest} has {len(parts[fewest])}"
            )
        train = torch.cat([part[:per_class] for part in parts])
        rest = order[~torch.isin(order, train)]
        if validation + test > len(rest):
            raise ValueError(f"{validation} and {test} nodes; {len(rest)} are left of training")
        held, judged = rest[:validation], rest[validation : validation + test]
        return replace(self, split={"train": train, "validation": held, "test": judged})

    # Readers

    @classmethod
    def from_planetoid(cls, loaded: Mapping[str, Any]) -> "Graph":
        """The registry's `planetoid_cora` or `planetoid_citeseer`, with the fixed split."""
        return cls(
            torch.from_numpy(loaded["x"].toarray()),
            torch.from_numpy(loaded["edges"]),
            torch.from_numpy(loaded["y"]),
            {name: torch.from_numpy(loaded[name]) for name in SPLITS},
        )

    @classmethod
    def from_geometric(cls, data: Any) -> "Graph":
        """A `torch_geometric.data.Data` with x and edge_index; y and masks where it has them."""
        lacking = [key for key in ("x", "edge_index") if getattr(data, key, None) is None]
        if lacking:
            raise ValueError(f"the Data has no {' and no '.join(lacking)}")
        masks = {"train": "train_mask", "validation": "val_mask", "test": "test_mask"}
        split = {
            name: getattr(data, key).nonzero().flatten()
            for name, key in masks.items()
            if getattr(data, key, None) is not None
        }
        y = getattr(data, "y", None)
        return cls(data.x.float(), data.edge_index, None if y is None else y.flatten(), split)

    def to_geometric(self) -> Any:
        """A `torch_geometric.data.Data` of the same tensors."""
        from graph_nets.exchange import geometric_data

        masks = {}
        for name, key in (
            ("train", "train_mask"),
            ("validation", "val_mask"),
            ("test", "test_mask"),
        ):
            if name in self.split:
                masks[key] = torch.zeros(self.n, dtype=torch.bool)
                masks[key][self.split[name]] = True
        return geometric_data()(x=self.x, edge_index=self.index, y=self.y, **masks)

    @classmethod
    def from_networkx(
        cls, graph: "networkx.Graph", feature: str = "x", label: str = "y"
    ) -> "Graph":
        """A NetworkX graph, whose nodes may have a list of features and a class.

        Without features each node gets its degree. Edges of an undirected graph go both ways.
        """
        nodes = list(graph.nodes)
        place = {node: k for k, node in enumerate(nodes)}
        pairs = [(place[a], place[b]) for a, b in graph.edges()]
        index = _index(pairs, both_ways=not graph.is_directed())
        rows = [graph.nodes[node].get(feature) for node in nodes]
        labels = [graph.nodes[node].get(label) for node in nodes]
        named = None if nodes == list(range(len(nodes))) else [str(node) for node in nodes]
        return cls(
            _features(rows, [str(node) for node in nodes], index),
            index,
            _classes(labels, [str(node) for node in nodes]),
            names=named,
        )

    @classmethod
    def from_csv(
        cls,
        edges: str | Path,
        features: str | Path | None = None,
        directed: bool = False,
        label: str = "class",
    ) -> "Graph":
        """Files of comma-separated values, each with a header.

        Parameters
        ----------
        edges : two columns, the source and the target of each edge.
        features : a node in the first column, then its features; a column called `label` holds
            the classes. Without this file nodes are those of the edges, with their degrees.
        directed : otherwise each edge goes both ways.

        Raises FileNotFoundError, or ValueError that names the line or the node.
        """
        import pandas as pd

        pairs = _table(edges)
        if pairs.shape[1] != 2:
            raise ValueError(f"{edges} has {pairs.shape[1]} columns; a source and a target")
        given = None if features is None else _table(features)
        if given is None:
            names = sorted(pd.unique(pairs.to_numpy().ravel()), key=_by_number)
        else:
            names = list(given.iloc[:, 0])
            twice = given.iloc[:, 0][given.iloc[:, 0].duplicated()]
            if len(twice):
                raise ValueError(f"{features} has node {twice.iloc[0]!r} twice")
        place = {name: k for k, name in enumerate(names)}
        for line, row in enumerate(pairs.itertuples(index=False), start=2):
            unknown = next((name for name in row if name not in place), None)
            if unknown is not None:
                raise ValueError(f"{edges}, line {line}: node {unknown!r} is not in {features}")
        index = _index(
            [(place[a], place[b]) for a, b in pairs.itertuples(index=False)], not directed
        )
        rows: list[Any] = [None] * len(names)
        labels: list[Any] = [None] * len(names)
        if given is not None:
            labels = list(given[label]) if label in given else labels
            rows = given.drop(columns=[given.columns[0], label], errors="ignore").values.tolist()
        return cls(
            _features(rows, names, index),
            index,
            _classes(labels, names),
            names=None if names == [str(k) for k in range(len(names))] else names,
        )


def _table(path: str | Path) -> Any:
    """A file's cells as text; ValueError for a line that is longer or shorter than the header."""
    import csv

    import pandas as pd

    with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    if not lines:
        raise ValueError(f"{path} is empty; a header and a line for each row are taken")
    header = lines[0]
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} cells; the header has {len(header)}"
            )
    return pd.DataFrame(lines[1:], columns=header, dtype=str)


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (1 << 62, name)


def _index(pairs: Sequence[tuple[int, int]], both_ways: bool) -> Tensor:
    index = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    if both_ways:  # a loop is one edge
        back = index.flip(0)[:, index[0] != index[1]]
        index = torch.cat([index, back], 1)
    return index


def _features(rows: Sequence[Any], names: Sequence[str], index: Tensor) -> Tensor:
    """Rows of one length, as numbers; the degree where no node has any."""
    if all(row is None or len(row) == 0 for row in rows):
        return torch.bincount(index[1], minlength=len(rows)).float().view(-1, 1)
    width = next(len(row) for row in rows if row is not None)
    values = np.empty((len(rows), width), np.float32)
    for k, row in enumerate(rows):
        found = 0 if row is None else len(row)
        if found != width:
            raise ValueError(f"node {names[k]} has {found} features, others {width}")
        try:
            values[k] = [float(value) for value in row]
        except ValueError as error:
            raise ValueError(f"node {names[k]}: {error}") from error
    return torch.from_numpy(values)


def _classes(labels: Sequence[Any], names: Sequence[str]) -> Tensor | None:
    """Numbers from 0 in the order of the labels; -1 where a node has none."""
    known = {label for label in labels if label is not None and label != ""}
    if not known:
        return None
    numbers = {label: k for k, label in enumerate(sorted(known, key=lambda v: _by_number(str(v))))}
    return torch.tensor([numbers.get(label, -1) for label in labels])
