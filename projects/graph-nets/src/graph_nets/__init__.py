"""Graph neural networks by hand, held against torch-geometric, and compiled to run fast.

>>> from graph_nets import Graph, train_network

A name's module is loaded when it is asked for: PyTorch takes its time.
"""

from groundwork.lazy import on_demand

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
__getattr__, __dir__ = on_demand(__name__, _MODULES)

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
