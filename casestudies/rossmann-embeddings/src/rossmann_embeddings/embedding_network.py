r"""The network: a vector for each value of each category, and dense layers on them.

A category with $k$ values, written as one-hot columns in front of a dense layer, costs $k$ columns
and tells nothing about which values are alike. Here value $i$ is a vector $e_i$ of a few numbers,
a row of a matrix that is learnt with everything else. Values that do the same to the target are
pulled to the same place, because the layers that follow see nothing but that place.

The vectors of all categories, and the numbers where there are some, go side by side into the dense
layers. A linear map past them carries what is proportional already, such as the sales of a year
ago. Code 0 stands for a value that was not seen; in training a few codes are hidden behind it, so
that its vector has a meaning.

Several members may share the vectors: dense layers of their own, one loss each, and the mean of
what they say as the answer. They err in different ways, so that the mean errs less, as that of a
boosting library's many trees does; side by side they cost little more than one.

C. Guo and F. Berkhahn, Entity embeddings of categorical variables, 2016; Y. Gorishniy and others,
TabM: advancing tabular deep learning with parameter-efficient ensembling, 2025.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def embedding_width(cardinality: int, most: int = 10) -> int:
    """Numbers for a category with so many codes: half as many, at most `most`, as in the paper."""
    return max(1, min(most, cardinality // 2))


class EmbeddingNetwork(nn.Module):
    """Codes int64 (n, categories) and numbers float32 (n, numbers) → one value a row (n,).

    Parameters
    ----------
    cardinalities : codes of each category, the 0 of unseen values among them.
    numbers : how many columns of numbers there are.
    hidden : widths of the dense layers.
    hide : share of the codes that training replaces by 0.
    widths : of the embeddings; by default those of `embedding_width`.
    members : networks that share the vectors.

    Raises ValueError for codes that no table has.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        numbers: int = 0,
        *,
        hidden: Sequence[int] = (256, 128),
        hide: float = 0.01,
        widths: Sequence[int] | None = None,
        members: int = 1,
    ) -> None:
        super().__init__()
        widths = [embedding_width(k) for k in cardinalities] if widths is None else widths
        self.cardinalities = tuple(cardinalities)
        self.widths = tuple(widths)
        self.hide = hide
        self.tables = nn.ModuleList(
            nn.Embedding(k, width) for k, width in zip(cardinalities, widths, strict=True)
        )
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.1)
        inputs = sum(widths) + numbers
        layers: list[nn.Module] = []
        before = inputs
        for width in hidden:
            layers += [MembersLinear(members, before, width), nn.ReLU()]
            before = width
        layers.append(MembersLinear(members, before, 1))
        self.dense = nn.Sequential(*layers)
        self.linear = nn.Linear(inputs, 1, bias=False)
        nn.init.zeros_(self.linear.weight)

    def embed(self, codes: Tensor) -> Tensor:
        """The vectors of all categories side by side (n, sum of widths)."""
        return torch.cat([table(codes[:, i]) for i, table in enumerate(self.tables)], dim=1)

    def each(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """What each member says (members, n)."""
        if self.training and self.hide > 0:
            codes = codes.masked_fill(torch.rand(codes.shape) < self.hide, 0)
        x = torch.cat([self.embed(codes), numbers], dim=1)
        return (self.dense(x) + self.linear(x)).squeeze(2)

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """One value a row (n,): the members' mean."""
        return self.each(codes, numbers).mean(0)

    @torch.no_grad()
    def vectors(self, category: int) -> NDArray[np.float32]:
        """The embedding of a category's values, without the unseen one (cardinality - 1, width)."""
        return self.tables[category].weight[1:].numpy().copy()


class MembersLinear(nn.Module):
    """Linear maps side by side: (n, inputs) or (members, n, inputs) → (members, n, outputs)."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        most = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-most, most))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-most, most))

    def forward(self, x: Tensor) -> Tensor:
        """Each member's map of its own rows, or of rows that all share."""
        shared = x.expand(len(self.weight), *x.shape[-2:])
        return torch.baddbmm(self.bias, shared, self.weight)


class OneHotNetwork(nn.Module):
    """The same dense layers on one-hot columns; what the embeddings are held against.

    A one-hot column in front of a dense layer picks a row of its matrix: that is how it is
    computed. Parameters and shapes are those of `EmbeddingNetwork`.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        numbers: int = 0,
        *,
        hidden: Sequence[int] = (256, 128),
        hide: float = 0.01,
    ) -> None:
        super().__init__()
        first, *others = hidden
        self.hide = hide
        self.rows = nn.ModuleList(nn.Embedding(k, first) for k in cardinalities)
        for table in self.rows:
            nn.init.uniform_(table.weight, -0.05, 0.05)
        self.numbers = nn.Linear(numbers, first) if numbers else None
        layers: list[nn.Module] = [nn.ReLU()]
        before = first
        for width in others:
            layers += [nn.Linear(before, width), nn.ReLU()]
            before = width
        layers.append(nn.Linear(before, 1))
        self.dense = nn.Sequential(*layers)

    def each(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """What the only member says (1, n)."""
        return self(codes, numbers)[None]

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """One value a row (n,)."""
        if self.training and self.hide > 0:
            codes = codes.masked_fill(torch.rand(codes.shape) < self.hide, 0)
        x = sum(table(codes[:, i]) for i, table in enumerate(self.rows))
        if self.numbers is not None:
            x = x + self.numbers(numbers)
        return self.dense(x).squeeze(1)
