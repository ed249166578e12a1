"""Graph neural networks by hand, held against torch-geometric, and compiled to run fast.

>>> from graph_nets import Graph, train_network

A name's module is loaded when it is asked for: PyTorch takes its time.
"""

from importlib import import_module
from typing import Any

#: What each module offers.
_MODULES = {
    "edges": "Edges SparseMatrix",
    "exchange": "from_geometric to_geometric",
    "gat": "DynamicGraphAttention GraphAttention",
    "gcn": "GraphConvolution",
    "generators": "citations power_law",
    "graph": "Graph",
    "inference": "FusedNetwork",
    "networks": "NodeClassifier make_network",
    "sage": "SageLayer",
    "training": "fit train_network",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "DynamicGraphAttention",
    "Edges",
    "FusedNetwork",
    "Graph",
    "GraphAttention",
    "GraphConvolution",
    "NodeClassifier",
    "SageLayer",
    "SparseMatrix",
    "citations",
    "fit",
    "from_geometric",
    "make_network",
    "power_law",
    "to_geometric",
    "train_network",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
