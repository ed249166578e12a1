"""The exercises: views and strides, broadcasting, einsum, indexing."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mnist_labs.exercises.marking import Exercise


def _numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 31 * len(shape) + sum(shape))
    if dtype == torch.int64:
        return torch.randint(0, 4, shape, generator=generator)
    return torch.randn(*shape, generator=generator).to(dtype)


def _tensors(*shapes: tuple[int, ...]) -> Callable[[], Sequence[tuple[Any, ...]]]:
    """One tensor an input, of each of these shapes."""
    return lambda: [(_numbers(*shape),) for shape in shapes]


def _with(*rows: tuple[tuple[int, ...], Any]) -> Callable[[], Sequence[tuple[Any, ...]]]:
    """A tensor and a plain value an input."""
    return lambda: [(_numbers(*shape), value) for shape, value in rows]


def _clear_a_copy(x: Tensor) -> Tensor:
    x[x < 0].zero_()  # a mask gives a copy
    return x


EXERCISES = [
    Exercise(
        "rows_as_columns",
        "The transpose of a matrix x (n, m), shape (m, n).",
        lambda x: x.T,
        _tensors((2, 3), (1, 4), (3, 3)),
        [lambda x: x.reshape(x.shape[1], x.shape[0]), lambda x: x.T.clone()],
        view=True,
    ),
    Exercise(
        "every_second",
        "Every second element of a vector x, from the first one on.",
        lambda x: x[::2],
        _tensors((4,), (5,), (1,)),
        [lambda x: x[1::2], lambda x: x[: (len(x) + 1) // 2], lambda x: x[::2].clone()],
        view=True,
    ),
    Exercise(
        "windows",
        "All windows of k neighbours of a vector x (n,), shape (n - k + 1, k).",
        lambda x, k: x.unfold(0, k, 1),
        _with(((5,), 2), ((6,), 3), ((4,), 4), ((3,), 1)),
        [
            lambda x, k: x[: len(x) // k * k].reshape(-1, k),
            lambda x, k: torch.stack([x[i : i + k] for i in range(len(x) - k + 1)]),
            lambda x, k: x.as_strided((len(x) - k, k), (1, 1)),
            lambda x, k: x.as_strided((len(x) - k + 1, k), (1, 1)),
        ],
        view=True,
    ),
    Exercise(
        "diagonal",
        "The diagonal of a square matrix x (n, n), shape (n,).",
        lambda x: x.diagonal(),
        _tensors((2, 2), (4, 4), (1, 1)),
        [lambda x: x[0], lambda x: x.flip(1).diagonal(), lambda x: torch.diagonal_copy(x)],
        view=True,
    ),
    Exercise(
        "flatten_images",
        "Contiguous images x (n, c, h, w) as rows, shape (n, c h w).",
        lambda x: x.flatten(1),
        _tensors((2, 1, 3, 3), (1, 3, 2, 4)),
        [
            lambda x: x.flatten(),
            lambda x: x.permute(0, 2, 3, 1).flatten(1),
            lambda x: x.flatten(1).clone(),
        ],
        view=True,
        strided=False,
    ),
    Exercise(
        "channels_last",
        "Images x (n, c, h, w) with the channels as the last dimension, (n, h, w, c).",
        lambda x: x.permute(0, 2, 3, 1),
        _tensors((2, 3, 4, 5), (1, 1, 2, 2)),
        [
            lambda x: x.reshape(x.shape[0], x.shape[2], x.shape[3], x.shape[1]),
            lambda x: x.transpose(1, 3),
        ],
        view=True,
    ),
    Exercise(
        "patches",
        "A matrix x (2 h, 2 w) cut into patches of 2×2, shape (h, w, 2, 2).",
        lambda x: x.unfold(0, 2, 2).unfold(1, 2, 2),
        _tensors((4, 4), (2, 6), (6, 2)),
        [
            lambda x: x.reshape(x.shape[0] // 2, x.shape[1] // 2, 2, 2),
            lambda x: x.unfold(0, 2, 2).unfold(1, 2, 2).transpose(2, 3),
        ],
        view=True,
    ),
    Exercise(
        "outer_sum",
        "s (n, m) with s[i, j] = a[i] + b[j], for vectors a (n,) and b (m,).",
        lambda a, b: a[:, None] + b[None, :],
        lambda: [(_numbers(n), _numbers(m, seed=1)) for n, m in ((2, 3), (3, 3), (1, 2))],
        [
            lambda a, b: a[None, :] + b[:, None],
            lambda a, b: (a + b).expand(len(a), len(b)),
            lambda a, b: torch.outer(a, b),
        ],
    ),
    Exercise(
        "standardise",
        "Columns of x (n, m) with mean 0 and standard deviation 1 (taken over n, not n - 1).",
        lambda x: (x - x.mean(0)) / x.std(0, correction=0),
        _tensors((4, 3), (5, 5), (3, 1)),
        [
            lambda x: (x - x.mean(0)) / x.std(0),
            lambda x: (x - x.mean()) / x.std(correction=0),
            lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, correction=0, keepdim=True),
        ],
    ),
    Exercise(
        "squared_distances",
        "d (n, m): the squared distance of each row of a (n, f) to each row of b (m, f).",
        lambda a, b: (a[:, None, :] - b[None, :, :]).square().sum(2),
        lambda: [(_numbers(n, 3), _numbers(m, 3, seed=2)) for n, m in ((2, 4), (3, 3), (1, 1))],
        [
            lambda a, b: torch.cdist(a, b),
            lambda a, b: (a[None, :, :] - b[:, None, :]).square().sum(2),
        ],
    ),
    Exercise(
        "stable_softmax",
        "The softmax of each row of x (n, m), for entries as large as 1e4 too.",
        lambda x: torch.softmax(x, 1),
        lambda: [(_numbers(2, 3),), (_numbers(3, 3) * 1e4,), (_numbers(1, 1),)],
        [lambda x: x.exp() / x.exp().sum(1, keepdim=True), lambda x: torch.softmax(x, 0)],
    ),
    Exercise(
        "batched_product",
        "The matrix product of each pair, a (n, i, j) and b (n, j, k), shape (n, i, k).",
        lambda a, b: torch.einsum("nij,njk->nik", a, b),
        lambda: [
            (_numbers(n, i, j), _numbers(n, j, k, seed=3))
            for n, i, j, k in ((2, 3, 4, 2), (3, 2, 2, 2), (1, 1, 3, 1))
        ],
        [
            lambda a, b: torch.einsum("nij,njk->ik", a, b),
            lambda a, b: torch.einsum("nij,njk->nki", a, b),
        ],
    ),
    Exercise(
        "bilinear",
        "s (n,) with s[i] = x[i]ᵀ w y[i], for x (n, f), w (f, g), y (n, g).",
        lambda x, w, y: torch.einsum("nf,fg,ng->n", x, w, y),
        lambda: [
            (_numbers(n, f), _numbers(f, g, seed=4), _numbers(n, g, seed=5))
            for n, f, g in ((2, 3, 4), (3, 2, 2), (1, 1, 1))
        ],
        [
            lambda x, w, y: torch.einsum("nf,fg,ng->", x, w, y).expand(len(x)),
            lambda x, w, y: (x @ w @ y.T).sum(1),
        ],
    ),
    Exercise(
        "trace_of_each",
        "The trace of each matrix of x (n, k, k), shape (n,).",
        lambda x: torch.einsum("nii->n", x),
        _tensors((2, 3, 3), (3, 1, 1), (1, 4, 4)),
        [lambda x: x.sum((1, 2)), lambda x: torch.einsum("nij->n", x)],
    ),
    Exercise(
        "pick_by_label",
        "The entry x[i, y[i]] of each row of x (n, m), with labels y (n,); shape (n,).",
        lambda x, y: x.gather(1, y[:, None]).squeeze(1),
        lambda: [(_numbers(n, 4), _numbers(n, dtype=torch.int64)) for n in (1, 3, 4, 5)],
        [
            lambda x, y: x[:, y],
            lambda x, y: x.gather(0, y[None, :]).squeeze(0),
        ],
    ),
    Exercise(
        "one_hot",
        "Labels y (n,) as rows with a single 1.0 (float32), shape (n, classes).",
        lambda y, classes: torch.nn.functional.one_hot(y, classes).float(),
        lambda: [(_numbers(n, dtype=torch.int64), c) for n, c in ((3, 4), (5, 6), (1, 4))],
        [
            lambda y, classes: torch.nn.functional.one_hot(y, classes),
            lambda y, classes: torch.nn.functional.one_hot(y).float(),
        ],
    ),
    Exercise(
        "count_labels",
        "How often each of 0 … classes - 1 is in y (n,); int64, shape (classes,).",
        lambda y, classes: torch.bincount(y, minlength=classes),
        lambda: [(_numbers(n, dtype=torch.int64), c) for n, c in ((5, 4), (3, 7), (0, 4))],
        [
            lambda y, classes: torch.bincount(y),
            lambda y, classes: torch.zeros(classes, dtype=torch.int64).index_put((y,), y * 0 + 1),
        ],
    ),
    Exercise(
        "sum_by_group",
        "The sum of the rows of x (n, m) by group y (n,), shape (groups, m).",
        lambda x, y, groups: x.new_zeros(groups, x.shape[1]).index_add(0, y, x),
        lambda: [
            (_numbers(n, 2), _numbers(n, dtype=torch.int64), g) for n, g in ((6, 4), (3, 5), (9, 4))
        ],
        [
            lambda x, y, groups: x.new_zeros(groups, x.shape[1]).index_put((y,), x),
            lambda x, y, groups: torch.stack([x[y == g].mean(0) for g in range(groups)]),
        ],
    ),
    Exercise(
        "masked_mean",
        "The mean of each row of x (n, m) over the entries where mask (n, m) is true; 0 for none. "
        "What the mask leaves out may be NaN.",
        lambda x, mask: torch.where(mask, x, 0.0).sum(1) / mask.sum(1).clamp(min=1),
        lambda: [
            (torch.tensor([[2.0, 4.0, 6.0]]), torch.tensor([[True, False, True]])),
            (torch.tensor([[1.0], [3.0]]), torch.tensor([[True], [False]])),
            (torch.tensor([[1.0, torch.nan]]), torch.tensor([[True, False]])),
            (_numbers(4, 5), _numbers(4, 5, seed=6) > 0),
        ],
        [
            lambda x, mask: torch.where(mask, x, 0.0).mean(1),
            lambda x, mask: torch.where(mask, x, 0.0).sum(1) / mask.sum(1),
            lambda x, mask: (x * mask).sum(1) / mask.sum(1).clamp(min=1),
        ],
    ),
    Exercise(
        "causal_mask",
        "A boolean matrix (n, n), true where column ≤ row.",
        lambda n: torch.ones(n, n, dtype=torch.bool).tril(),
        lambda: [(1,), (2,), (5,)],
        [
            lambda n: torch.ones(n, n, dtype=torch.bool).triu(),
            lambda n: torch.ones(n, n).tril(),
            lambda n: torch.ones(n, n, dtype=torch.bool).tril(-1),
        ],
    ),
    Exercise(
        "row_major_strides",
        "The strides, in elements, of a contiguous tensor of this shape (a tuple, no size 0).",
        lambda shape: torch.empty(shape, device="meta").stride(),
        lambda: [((3,),), ((2, 3),), ((4, 1, 5),), ((2, 3, 4, 5),)],
        [
            lambda shape: (*shape[1:], 1),
            lambda shape: tuple(torch.tensor((1, *shape[:-1])).cumprod(0).tolist()),
        ],
    ),
    Exercise(
        "image_windows",
        "The k×k window at each place of x (h, w): s[i, j, a, b] = x[i + a, j + b], "
        "shape (h - k + 1, w - k + 1, k, k).",
        lambda x, k: x.as_strided(
            (x.shape[0] - k + 1, x.shape[1] - k + 1, k, k), x.stride() + x.stride()
        ),
        _with(((2, 3), 2), ((3, 3), 1), ((5, 4), 3)),
        [
            lambda x, k: x.unfold(0, k, 1).unfold(1, k, 1).transpose(2, 3),
            lambda x, k: x.unfold(0, k, 1).unfold(1, k, 1).contiguous(),
            lambda x, k: x.as_strided(
                (x.shape[0] - k + 1, x.shape[1] - k + 1, k, k), (x.shape[1], 1, x.shape[1], 1)
            ),
        ],
        view=True,
    ),
    Exercise(
        "repeat_row",
        "A matrix (n, m) each of whose rows is the vector x (m,).",
        lambda x, n: x.expand(n, -1),
        _with(((2,), 3), ((3,), 3), ((1,), 2)),
        [lambda x, n: x.repeat(n, 1), lambda x, n: x[:, None].expand(-1, n)],
        view=True,
    ),
    Exercise(
        "attention_scores",
        "Queries q (n, t, h, d) and keys k (n, s, h, d): their inner products over √d for each of "
        "the h heads, shape (n, h, t, s).",
        lambda q, k: torch.einsum("nthd,nshd->nhts", q, k) / q.shape[-1] ** 0.5,
        lambda: [
            (_numbers(n, t, h, d), _numbers(n, s, h, d, seed=7))
            for n, t, s, h, d in ((1, 1, 2, 1, 4), (2, 3, 3, 3, 2), (2, 2, 5, 3, 4))
        ],
        [
            lambda q, k: torch.einsum("nthd,nshd->nhts", q, k),
            lambda q, k: torch.einsum("nthd,nshd->nhst", q, k) / q.shape[-1] ** 0.5,
            lambda q, k: q @ k.transpose(2, 3) / q.shape[-1] ** 0.5,
        ],
    ),
    Exercise(
        "undo_order",
        "The permutation that undoes the permutation p (n,): x[p][undo_order(p)] is x.",
        lambda p: torch.empty_like(p).scatter_(0, p, torch.arange(len(p))),
        lambda: [(torch.tensor(p),) for p in ([0, 1], [1, 2, 0], [3, 0, 1, 4, 2])],
        [lambda p: p, lambda p: p[p], lambda p: p.flip(0)],
    ),
    Exercise(
        "clear_negatives",
        "Set the negative entries of x to 0 in x itself, and return x.",
        lambda x: x.clamp_(min=0),
        _tensors((2,), (3, 4), (2, 3, 2)),
        [lambda x: x.clamp(min=0), _clear_a_copy],
        in_place=True,
    ),
]
