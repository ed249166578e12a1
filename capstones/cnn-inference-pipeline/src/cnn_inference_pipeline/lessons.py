r"""What a student learns from: many views of the images, and what the teachers say of each.

A view is an image moved and mirrored at random; every other one is a mixture of two,
$\lambda x_i + (1 - \lambda) x_j$ with $\lambda$ uniform, which no label fits and which the teachers
answer all the same. They are asked once, their answers are kept, and every student, pruned network
and quantized network learns from the same answers for as long as it takes; a long training then
costs no more than the small network itself does.

Several teachers speak as one: by the mean of their probabilities. The student's loss is
$T^2\,\mathrm{KL}(p_T^{\text{teachers}} \| p_T)$ at a temperature $T$; no label is used.

Source: Geoffrey Hinton, Oriol Vinyals and Jeff Dean, *Distilling the knowledge in a neural
network*, 2015; Lucas Beyer and others, *Knowledge distillation: a good teacher is patient and
consistent*, 2022; Hongyi Zhang and others, *mixup: beyond empirical risk minimization*, 2018.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from quantized_cnn.distillation import logits_loss
from quantized_cnn.images import Images
from quantized_cnn.training import Store, fit

#: Bytes that the views may take.
MOST_BYTES = 1_500_000_000


@dataclass(frozen=True)
class Lessons:
    """Views as bytes with the teachers' answers.

    x : uint8 (views · n, channels, height, width); a value is low + step · x.
    logits : float32 (views · n, classes), logarithms of probabilities.
    """

    x: Tensor
    logits: Tensor
    low: float
    step: float

    def images(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Bytes as the networks take them; an `augment` for training, which draws nothing."""
        values = x.float().mul_(self.step).add_(self.low)
        return values.contiguous(memory_format=torch.channels_last)


def make_views(images: Images, count: int, seed: int) -> Lessons:
    """Views of the images to learn from, without answers yet; fewer where they would not fit."""
    count = max(1, min(count, MOST_BYTES // images.x_train.numel()))
    draw = Generator().manual_seed(seed)
    low, high = float(images.x_train.min()), float(images.x_train.max())
    step = max((high - low) / 255.0, 1e-12)
    views = []
    for k in range(count):
        x = images.augment(images.x_train, draw)
        if k % 2:
            share = torch.rand(len(x), 1, 1, 1, generator=draw)
            x = share * x + (1 - share) * x[torch.randperm(len(x), generator=draw)]
        views.append(((x - low) / step).round_().clamp_(0, 255).to(torch.uint8))
    return Lessons(torch.cat(views), torch.empty(0), low, step)


@torch.no_grad()
def ask(
    teachers: Sequence[nn.Module],
    lessons: Lessons,
    bf16: bool,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
    checkpoint: Store | None = None,
    batch_size: int = 500,
) -> Tensor:
    """What the teachers say of each view, (views · n, classes): the log of their mean probability.

    With a checkpoint, a second call goes on after the last part that was answered.
    """
    for teacher in teachers:
        teacher.eval().to(memory_format=torch.channels_last)
    parts = lessons.x.split(20 * batch_size)
    answers: list[Tensor] = (checkpoint.load() if checkpoint else None) or []
    for k in progress(range(len(answers), len(parts))):
        found = []
        for x in parts[k].split(batch_size):
            batch = lessons.images(x)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                said = [teacher(batch).float().softmax(1) for teacher in teachers]
            found.append(torch.stack(said).mean(0).clamp_min(1e-8).log())
        answers.append(torch.cat(found))
        if checkpoint:
            checkpoint.save(answers)
    for teacher in teachers:
        teacher.to(memory_format=torch.contiguous_format)
    return torch.cat(answers)


def learn(
    model: nn.Module,
    lessons: Lessons,
    *,
    passes: int,
    views: int,
    temperature: float = 2.0,
    **options: Any,
) -> list[float]:
    """Train a network on the lessons; `passes` over the images, each time by other views.

    From as many passes as there are views on, they are rounded down to whole rounds of the views.

    views : how many the lessons hold. options : those of `quantized_cnn.training.fit`.
    """

    def loss(network: nn.Module, x: Tensor, answers: Tensor) -> Tensor:
        return logits_loss(network(x).float(), answers, temperature)

    whole, rest = divmod(passes, views)
    x, logits, epochs = lessons.x, lessons.logits, max(whole, 1)
    if not whole:  # a short training sees only so many of the views
        part = len(x) * rest // views
        x, logits = x[:part], logits[:part]
    return fit(model, x, logits, epochs=epochs, loss=loss, augment=lessons.images, **options)
