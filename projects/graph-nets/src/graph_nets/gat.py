r"""Graph attention: each node weighs its neighbors by what they say.

With $H W$ cut into heads, an edge from $j$ to $i$ has the score

$$e_{ij} = \mathrm{LeakyReLU}(a_1^\top W h_i + a_2^\top W h_j), \qquad
\alpha_{ij} = \frac{\exp e_{ij}}{\sum_{k \in \mathcal N(i) \cup \{i\}} \exp e_{ik}}, \qquad
h_i' = \sum_j \alpha_{ij} W h_j + b.$$

The score is a sum of a target's part and a source's part, so all targets rank their neighbors
alike: attention is *static*. GATv2 puts the nonlinearity between the two maps,

$$e_{ij} = a^\top \mathrm{LeakyReLU}(W_1 h_i + W_2 h_j),$$

at the price of a vector for each edge, and a node may then prefer whom another does not.

Sources: Petar Veličković and others, *Graph attention networks*, 2018; Shaked Brody, Uri Alon and
Eran Yahav, *How attentive are graph attention networks?*, 2022.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, leaky_relu

from graph_nets.edges import Edges, SparseMatrix, edge_softmax, gather_scatter


class GraphAttention(nn.Module):
    """One layer of GAT.

    Parameters
    ----------
    inputs, outputs : features of a node before, and of each head after.
    heads : how many; they are laid side by side, or averaged where `concatenate` is False.
    drop : the share of attention coefficients that is dropped in training.
    slope : of the leaky ReLU below 0.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        heads: int = 1,
        concatenate: bool = True,
        drop: float = 0.0,
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.heads, self.concatenate, self.drop, self.slope = heads, concatenate, drop, slope
        self.weight = nn.Parameter(torch.empty(inputs, heads * outputs))
        self.by_source = nn.Parameter(torch.empty(heads, outputs))
        self.by_target = nn.Parameter(torch.empty(heads, outputs))
        self.bias = nn.Parameter(torch.zeros(heads * outputs if concatenate else outputs))
        for parameter in (self.weight, self.by_source, self.by_target):
            nn.init.xavier_uniform_(parameter)

    def forward(self, x: Tensor | SparseMatrix, edges: Edges) -> Tensor:
        """(n, heads · outputs), or (n, outputs) averaged, for x (n, inputs)."""
        h = (x @ self.weight).view(len(x), self.heads, -1)
        shares = dropout(self._attend(h, edges.with_loops), self.drop, self.training)
        return self._join(gather_scatter(h, edges.with_loops, shares.unsqueeze(-1)))

    def attention(self, x: Tensor | SparseMatrix, edges: Edges) -> Tensor:
        """The coefficients of `edges.with_loops`, (m, heads)."""
        return self._attend((x @ self.weight).view(len(x), self.heads, -1), edges.with_loops)

    def _attend(self, h: Tensor, edges: Edges) -> Tensor:
        said = (h * self.by_source).sum(-1)[edges.source]
        heard = (h * self.by_target).sum(-1)[edges.target]
        return edge_softmax(leaky_relu(said + heard, self.slope), edges)

    def _join(self, h: Tensor) -> Tensor:
        return (h.flatten(1) if self.concatenate else h.mean(1)) + self.bias


class DynamicGraphAttention(nn.Module):
    """One layer of GATv2; the parameters are those of `GraphAttention`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        heads: int = 1,
        concatenate: bool = True,
        drop: float = 0.0,
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.heads, self.concatenate, self.drop, self.slope = heads, concatenate, drop, slope
        self.said = nn.Linear(inputs, heads * outputs)
        self.heard = nn.Linear(inputs, heads * outputs)
        self.score = nn.Parameter(torch.empty(heads, outputs))
        self.bias = nn.Parameter(torch.zeros(heads * outputs if concatenate else outputs))
        for parameter in (self.said.weight, self.heard.weight, self.score):
            nn.init.xavier_uniform_(parameter)
        for linear in (self.said, self.heard):
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor | SparseMatrix, edges: Edges) -> Tensor:
        """(n, heads · outputs), or (n, outputs) averaged, for x (n, inputs)."""
        said = self._map(self.said, x)
        shares = dropout(self._attend(x, said, edges.with_loops), self.drop, self.training)
        h = gather_scatter(said, edges.with_loops, shares.unsqueeze(-1))
        return (h.flatten(1) if self.concatenate else h.mean(1)) + self.bias

    def attention(self, x: Tensor | SparseMatrix, edges: Edges) -> Tensor:
        """The coefficients of `edges.with_loops`, (m, heads)."""
        return self._attend(x, self._map(self.said, x), edges.with_loops)

    def _map(self, linear: nn.Linear, x: Tensor | SparseMatrix) -> Tensor:
        return (x @ linear.weight.T + linear.bias).view(len(x), self.heads, -1)

    def _attend(self, x: Tensor | SparseMatrix, said: Tensor, edges: Edges) -> Tensor:
        heard = self._map(self.heard, x)
        both = leaky_relu(said[edges.source] + heard[edges.target], self.slope)
        return edge_softmax((both * self.score).sum(-1), edges)
