"""The graphs of the labs by name."""

from typing import Literal

from graph_nets.generators import citations
from graph_nets.graph import Graph
from groundwork import Run

DataName = Literal["generated", "cora", "citeseer"]


def load_graph(run: Run, name: DataName) -> Graph:
    """The Planetoid graph with its fixed split, or generated citations, the same for each seed."""
    if name == "generated":
        return citations()
    return Graph.from_planetoid(run.data(f"planetoid_{name}"))
