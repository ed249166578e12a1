r"""Graph convolution: the mean of the neighborhood, and a linear map.

A filter on a graph is a function of its Laplacian $L = I - D^{-1/2} A D^{-1/2}$. The simplest that
looks at the direct neighbors alone, $\theta (I + D^{-1/2} A D^{-1/2})$, has eigenvalues up to 2 and
grows when layers are stacked. Putting the loops in before normalizing keeps them within $(-1, 1]$:

$$H' = \hat A H W + b, \qquad \hat A = \tilde D^{-1/2} (A + I) \tilde D^{-1/2}.$$

The order of the two products does not change the result, but the cost: W first where it makes the
rows shorter.

Source: Thomas Kipf and Max Welling, *Semi-supervised classification with graph convolutional
networks*, 2017.
"""

import torch
from torch import Tensor, nn

from graph_nets.edges import Edges, SparseMatrix, gather_scatter


class GraphConvolution(nn.Module):
    """One layer of GCN.

    Parameters
    ----------
    inputs, outputs : features of a node before and after.
    product : the neighborhood's sum as a sparse product; otherwise edge by edge.
    """

    def __init__(self, inputs: int, outputs: int, product: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.product = product
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor | SparseMatrix, edges: Edges) -> Tensor:
        """(n, outputs) for x (n, inputs)."""
        matrix = edges.normalized
        h = x @ self.weight
        if self.product:
            return matrix @ h + self.bias
        return gather_scatter(h, matrix.edges, matrix.weights.to(h.dtype)) + self.bias
