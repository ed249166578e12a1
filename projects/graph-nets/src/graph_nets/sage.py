r"""GraphSAGE: a node's own features beside a sample of its neighborhood, aggregated.

$$h_i' = W_1 \, \mathrm{aggregate}\{h_j : j \in \mathcal N(i)\} + W_2 h_i + b.$$

The node's own row has a map of its own, so nothing of it is lost in the mean. The aggregator does
not know how many neighbors there are, so that a layer which was trained on samples of them serves
nodes that it never saw. Three aggregators:

- *mean*, $D^{-1} A H$;
- *max-pool*, the largest value of $\mathrm{relu}(W h_j + b)$ in each feature: whether anybody in
  the neighborhood has it;
- *LSTM*, which reads the neighbors one after the other, and so depends on their order: that of the
  edges.

Source: William Hamilton, Rex Ying and Jure Leskovec, *Inductive representation learning on large
graphs*, 2017.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from graph_nets.edges import Edges, SparseMatrix, gather_scatter, neighborhood_maximum

Aggregator = Literal["mean", "max-pool", "lstm"]


class SageLayer(nn.Module):
    """One layer of GraphSAGE.

    Parameters
    ----------
    inputs, outputs : features of a node before and after.
    aggregator : of the neighbors' rows; a node without neighbors gets zeros.
    product : the mean as a sparse product; otherwise edge by edge.
    through_padding : let the LSTM run on over zeros up to the largest degree, as torch-geometric's
        does; otherwise a node's state is the one after its last neighbor.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        aggregator: Aggregator = "mean",
        product: bool = True,
        through_padding: bool = False,
    ) -> None:
        super().__init__()
        self.neighbors = nn.Linear(inputs, outputs)
        self.own = nn.Linear(inputs, outputs, bias=False)
        self.aggregator, self.product = aggregator, product
        self.through_padding = through_padding
        self.pool = nn.Linear(inputs, inputs) if aggregator == "max-pool" else None
        self.lstm = nn.LSTM(inputs, inputs, batch_first=True) if aggregator == "lstm" else None

    def forward(self, x: Tensor | SparseMatrix, edges: Edges) -> Tensor:
        """(n, outputs) for x (sources, inputs), whose first n rows are the targets'.

        A sparse x is taken by the mean alone.
        """
        if edges.sources < edges.n:
            raise ValueError(
                f"{edges.sources} sources for {edges.n} targets, which are sources too"
            )
        own = (x @ self.own.weight.T)[: edges.n]
        if self.aggregator == "mean" and self.own.out_features <= self.own.in_features:
            # The mean is linear: the map comes first where it makes the rows shorter.
            return self._mean(x @ self.neighbors.weight.T, edges) + self.neighbors.bias + own
        if isinstance(x, SparseMatrix):
            raise TypeError(f"sparse features for {self.aggregator}; a tensor is taken")
        return self.neighbors(self.aggregate(x, edges)) + own

    def aggregate(self, x: Tensor, edges: Edges) -> Tensor:
        """What the neighborhoods say, (n, inputs)."""
        if self.pool is not None:
            return neighborhood_maximum(self.pool(x).relu(), edges)
        if self.lstm is not None:
            return self._read(self.lstm, x, edges)
        return self._mean(x, edges)

    def _mean(self, x: Tensor, edges: Edges) -> Tensor:
        if self.product:
            return edges.mean @ x
        return gather_scatter(x, edges) / edges.degree.clamp(min=1).view(-1, 1)

    def _read(self, lstm: nn.LSTM, x: Tensor, edges: Edges) -> Tensor:
        longest = int(edges.degree.max()) if len(edges) else 0
        if longest == 0:
            return x.new_zeros(edges.n, x.shape[1])
        place = torch.arange(len(edges)) - edges.pointers[edges.target]
        if not self.through_padding:
            return self._read_packed(lstm, x, edges, place)
        sequences = x.new_zeros(edges.n, longest, x.shape[1])
        sequences[edges.target, place] = x[edges.source]
        return lstm(sequences)[0][:, -1]

    def _read_packed(self, lstm: nn.LSTM, x: Tensor, edges: Edges, place: Tensor) -> Tensor:
        """Long neighborhoods first, and the k-th neighbors of all together: no padding is read."""
        order = torch.argsort(edges.degree, descending=True, stable=True)
        rank = torch.argsort(order)
        turn = torch.argsort(place * edges.n + rank[edges.target])
        packed = PackedSequence(x[edges.source[turn]], torch.bincount(place))
        last = lstm(packed)[1][0][0]
        return x.new_zeros(edges.n, x.shape[1]).index_copy(0, order[: len(last)], last)
