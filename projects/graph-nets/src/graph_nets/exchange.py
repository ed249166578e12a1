"""Weights to and from torch-geometric's layers, so that both compute the same.

>>> theirs = to_geometric(GraphConvolution(16, 7))
>>> ours = from_geometric(theirs)
"""

import warnings
from types import ModuleType

import torch
from torch import Tensor, nn

from graph_nets.gat import DynamicGraphAttention, GraphAttention
from graph_nets.gcn import GraphConvolution
from graph_nets.sage import Aggregator, SageLayer

#: torch-geometric's name of each aggregator.
_AGGREGATORS: dict[Aggregator, str] = {"mean": "mean", "max-pool": "max", "lstm": "lstm"}


def geometric_layers() -> ModuleType:
    """torch-geometric's layers; what it says of PyTorch's next versions is not for our readers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        from torch_geometric import nn as layers
    return layers


def geometric_data() -> type:
    """torch-geometric's `Data`."""
    geometric_layers()
    from torch_geometric.data import Data

    found: type = Data
    return found


def to_geometric(layer: nn.Module) -> nn.Module:
    """torch-geometric's layer with copies of our weights; TypeError for another module.

    Their LSTM runs over padding: ours must, too (`through_padding`), else ValueError.
    """
    geometric = geometric_layers()
    theirs: nn.Module
    if isinstance(layer, GraphConvolution):
        theirs = geometric.GCNConv(*layer.weight.shape)
    elif isinstance(layer, SageLayer):
        if layer.lstm is not None and not layer.through_padding:
            raise ValueError("an LSTM that stops at the last neighbor; through_padding is taken")
        theirs = geometric.SAGEConv(
            layer.own.in_features,
            layer.own.out_features,
            aggr=_AGGREGATORS[layer.aggregator],
            project=layer.pool is not None,
        )
    elif isinstance(layer, GraphAttention | DynamicGraphAttention):
        kind = geometric.GATConv if isinstance(layer, GraphAttention) else geometric.GATv2Conv
        inputs = (
            layer.weight.shape[0] if isinstance(layer, GraphAttention) else layer.said.in_features
        )
        outputs = (layer.by_source if isinstance(layer, GraphAttention) else layer.score).shape[1]
        theirs = kind(
            inputs, outputs, layer.heads, layer.concatenate, layer.slope, dropout=layer.drop
        )
    else:
        raise TypeError(f"{type(layer).__name__}; a layer of graph_nets is taken")
    _copy(_pairs(layer, theirs), to_theirs=True)
    return theirs.to(next(layer.parameters()).dtype).train(layer.training)


def from_geometric(theirs: nn.Module) -> nn.Module:
    """Our layer with copies of the weights of a GCNConv, SAGEConv, GATConv or GATv2Conv.

    Raises TypeError for another module, ValueError for a setting that ours does not have.
    """
    geometric = geometric_layers()
    ours: nn.Module
    if isinstance(theirs, geometric.GCNConv):
        if theirs.improved or not theirs.add_self_loops or not theirs.normalize:
            raise ValueError("a GCNConv that is improved, unnormalized or without self-loops")
        _want(theirs.bias is not None, "a bias")
        ours = GraphConvolution(theirs.in_channels, theirs.out_channels)
    elif isinstance(theirs, geometric.SAGEConv):
        names: dict[str, Aggregator] = {name: ours for ours, name in _AGGREGATORS.items()}
        aggregator = names.get(theirs.aggr) if isinstance(theirs.aggr, str) else None
        projects = getattr(theirs, "project", False)
        if aggregator is None or projects != (aggregator == "max-pool"):
            raise ValueError(
                f"a SAGEConv with aggr={theirs.aggr!r} and project={projects}; mean and lstm "
                "without, max with project=True are taken"
            )
        _want(theirs.root_weight and not theirs.normalize, "root_weight and no normalize")
        _want(theirs.lin_l.bias is not None, "a bias")
        ours = SageLayer(
            theirs.lin_r.weight.shape[1], theirs.out_channels, aggregator, through_padding=True
        )
    elif isinstance(theirs, geometric.GATConv | geometric.GATv2Conv):
        kind = GraphAttention if isinstance(theirs, geometric.GATConv) else DynamicGraphAttention
        _want(theirs.add_self_loops and theirs.bias is not None, "self-loops and a bias")
        _want(theirs.lin_edge is None and theirs.res is None, "no edge features, no residual")
        _want(not getattr(theirs, "share_weights", False), "weights that are not shared")
        ours = kind(
            theirs.in_channels,
            theirs.out_channels,
            theirs.heads,
            theirs.concat,
            theirs.dropout,
            theirs.negative_slope,
        )
    else:
        raise TypeError(
            f"{type(theirs).__name__}; GCNConv, SAGEConv, GATConv and GATv2Conv are taken"
        )
    _copy(_pairs(ours, theirs), to_theirs=False)
    return ours.to(next(theirs.parameters()).dtype).train(theirs.training)


def _want(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"a layer of torch-geometric without {what}; that is taken only")


def _pairs(ours: nn.Module, theirs: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Views of the same shape: our parameters, and where theirs keep the same numbers."""
    if isinstance(ours, GraphConvolution):
        return [(ours.weight.T, theirs.lin.weight), (ours.bias, theirs.bias)]
    if isinstance(ours, SageLayer):
        pairs = [
            (ours.neighbors.weight, theirs.lin_l.weight),
            (ours.neighbors.bias, theirs.lin_l.bias),
            (ours.own.weight, theirs.lin_r.weight),
        ]
        if ours.pool is not None:
            pairs += [(ours.pool.weight, theirs.lin.weight), (ours.pool.bias, theirs.lin.bias)]
        if ours.lstm is not None:
            pairs += list(
                zip(ours.lstm.parameters(), theirs.aggr_module.lstm.parameters(), strict=True)
            )
        return pairs
    if isinstance(ours, GraphAttention):
        return [
            (ours.weight.T, theirs.lin.weight),
            (ours.by_source, theirs.att_src[0]),
            (ours.by_target, theirs.att_dst[0]),
            (ours.bias, theirs.bias),
        ]
    assert isinstance(ours, DynamicGraphAttention)
    return [
        (ours.said.weight, theirs.lin_l.weight),
        (ours.said.bias, theirs.lin_l.bias),
        (ours.heard.weight, theirs.lin_r.weight),
        (ours.heard.bias, theirs.lin_r.bias),
        (ours.score, theirs.att[0]),
        (ours.bias, theirs.bias),
    ]


@torch.no_grad()
def _copy(pairs: list[tuple[Tensor, Tensor]], to_theirs: bool) -> None:
    for ours, theirs in pairs:
        target, origin = (theirs, ours) if to_theirs else (ours, theirs)
        target.copy_(origin)
