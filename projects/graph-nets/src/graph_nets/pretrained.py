"""Networks trained on a graph of the labs: trained once, then taken from the user's cache.

Several labs ask for the same network with the same seed. The key in the cache is made of all that
decides the weights: the network and its settings, the data's checksum, the epochs, the seed, and
the sources of the modules that do it. Another number, or another line of code, is another key.
"""

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor

from graph_nets import edges, gat, gcn, generators, graph, networks, sage, training
from graph_nets.datasets import DataName
from graph_nets.edges import SparseMatrix
from graph_nets.graph import Graph
from graph_nets.networks import SETTINGS, make_network
from graph_nets.training import Fit, train_network
from groundwork import Run, files
from groundwork.data import fetch

#: The modules whose code decides the weights.
MODULES = (edges, gat, gcn, generators, graph, networks, sage, training)


def pretrained(
    run: Run,
    name: str,
    data: DataName,
    graph: Graph,
    seed: int,
    *,
    epochs: int,
    x: Tensor | SparseMatrix | None = None,
) -> Fit:
    """The network of this name, trained on `data`, which is `graph`, with the papers' settings.

    x : `training.features_of(graph)`, where it is there already.
    """
    checksum = run.data_used.get(f"planetoid_{data}", "")
    digest = hashlib.sha256(repr((name, SETTINGS[name], data, checksum, epochs, seed)).encode())
    for module in MODULES:
        digest.update(Path(str(module.__file__)).read_bytes())
    place = fetch.cache() / "graph-nets" / f"{name}-{data}-{seed}-{digest.hexdigest()[:16]}.pt"
    if place.is_file():
        told = torch.load(place, weights_only=True)
        network = make_network(name, graph.x.shape[1], graph.classes, seed)
        network.load_state_dict(told.pop("weights"))
        return Fit(network.eval(), **told)
    done = train_network(name, graph, seed, x=x, epochs=epochs)
    content = io.BytesIO()
    rest = {key: getattr(done, key) for key in ("test", "losses", "validation", "epoch_s")}
    torch.save({"weights": done.network.state_dict()} | rest, content)
    files.write_bytes(place, content.getvalue())
    return done
