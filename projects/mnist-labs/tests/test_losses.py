import numpy as np
import pytest
import torch
from torch.nn import functional

from groundwork.testing import gradcheck
from mnist_labs.losses import cross_entropy


def inputs(
    rows: int = 6, classes: int = 5, scale: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (rows,), generator=generator)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_value_and_gradient_are_torchs(reduction: str, smoothing: float, scale: float) -> None:
    logits, target = inputs(scale=scale)
    results = []
    for loss in (
        lambda z: cross_entropy(z, target, smoothing=smoothing, reduction=reduction),
        lambda z: functional.cross_entropy(
            z, target, label_smoothing=smoothing, reduction=reduction
        ),
    ):
        z = logits.clone().requires_grad_()
        value = loss(z)
        value.pow(2).sum().backward()  # an upstream gradient other than 1
        results.append((value.detach(), z.grad))
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_gradient_by_central_differences() -> None:
    logits, target = inputs()

    def loss(z: np.ndarray) -> float:
        return float(cross_entropy(torch.from_numpy(z), target, smoothing=0.2))

    def gradient(z: np.ndarray) -> torch.Tensor:
        leaf = torch.from_numpy(z).requires_grad_()
        cross_entropy(leaf, target, smoothing=0.2).backward()
        assert leaf.grad is not None
        return leaf.grad

    gradcheck(loss, gradient, logits.numpy())


def test_extreme_logits_stay_finite_and_right() -> None:
    z = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    value = cross_entropy(z, torch.tensor([0, 0]), reduction="none")
    value.sum().backward()
    assert value.tolist() == [0.0, 2e4]
    assert z.grad is not None
    assert z.grad.tolist() == [[0.0, 0.0], [-1.0, 1.0]]


def test_the_logits_are_left_as_they_are() -> None:
    logits, target = inputs()
    before = logits.clone()
    cross_entropy(logits.requires_grad_(), target).backward()
    assert torch.equal(logits.detach(), before)


def test_one_graph_can_be_walked_twice() -> None:
    logits, target = inputs()
    logits.requires_grad_()
    loss = cross_entropy(logits, target)
    first, second = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"smoothing": 1.0}, "smoothing=1.0"),
        ({"smoothing": -0.1}, "at least 0"),
        ({"reduction": "max"}, "mean, sum or none"),
    ],
)
def test_what_is_not_taken_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cross_entropy(*inputs(), **change)  # type: ignore[arg-type]


def test_shapes_and_targets_that_do_not_fit_are_refused() -> None:
    logits, target = inputs()
    with pytest.raises(ValueError, match=r"\(6, 5\) and target \(5,\)"):
        cross_entropy(logits, target[:-1])
    with pytest.raises(ValueError, match="0 to 4 are taken"):
        cross_entropy(logits, target + 1 + (target == target.max()) * 5)
