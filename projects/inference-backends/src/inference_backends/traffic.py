r"""How many bytes operators move, and how long a machine takes to move them.

An operator that runs alone reads its inputs from memory and writes its output back. With tensors of
$N$ bytes, a batch norm and a ReLU move $2N$ each and a sum of two $3N$; one loop that does all of
it reads $x$ and $z$ and writes $y$, $3N$ instead of $7N$. A time follows if memory is the limit:

$$t \ge \frac{\text{bytes}}{B},$$

with $B$ the bandwidth that a triad $a = b + s c$ reaches on tensors of the same size. Each byte is
counted once a pass over it, and lines that are fetched to be overwritten are not counted, so that
nothing reaches more than the triad does.

Source: John McCalpin, *Memory bandwidth and machine balance in current high performance computers*,
1995; Samuel Williams, Andrew Waterman and David Patterson, *Roofline*, 2009.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Operation:
    """What an operator reads and writes, in bytes."""

    name: str
    reads: int
    writes: int

    @property
    def bytes(self) -> int:
        """All that it moves."""
        return self.reads + self.writes


def chain_operations(
    shape: Sequence[int], kernel: int = 0, width: int = 4
) -> tuple[list[Operation], list[Operation]]:
    """What conv → batch norm → ReLU → add moves, operator by operator and fused.

    Parameters
    ----------
    shape : (n, channels, height, width) of every tensor.
    kernel : of the convolution, as many channels out as in; 0: the chain has none.
    width : bytes of a number.

    Fused, what is elementwise is one loop; the convolution is a loop of its own.
    """
    if len(shape) != 4 or min(shape) < 1 or kernel < 0 or width < 1:
        raise ValueError(f"shape {tuple(shape)}, kernel {kernel}, width {width}; four sizes >= 1")
    channels = shape[1]
    tensor, vector = width * int(np.prod(shape)), width * channels
    weights = width * channels * channels * kernel * kernel
    conv = [Operation("conv", tensor + weights, tensor)] if kernel else []
    alone = [
        *conv,
        Operation("batch norm", tensor + 2 * vector, tensor),
        Operation("ReLU", tensor, tensor),
        Operation("add", 2 * tensor, tensor),
    ]
    together = [*conv, Operation("one loop", 2 * tensor + 2 * vector, tensor)]
    return alone, together


class _Watch(TorchDispatchMode):
    def __init__(self, seen: list[Operation]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        outputs = _tensors(result)
        # `out=` tensors are outputs, not inputs.
        inputs = [t for t in _tensors((args, kwargs)) if all(t is not other for other in outputs)]
        reads, writes = (sum(t.nbytes for t in part) for part in (inputs, outputs))
        self.seen.append(Operation(str(func).removeprefix("aten."), reads, writes))
        return result


@contextmanager
def watch() -> Iterator[list[Operation]]:
    """The operators that PyTorch runs within, with the bytes of the tensors that each is given."""
    seen: list[Operation] = []
    with _Watch(seen):
        yield seen


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def triad(count: int) -> tuple[Callable[[], object], int]:
    """A call of $a = b + s c$ on three float32 tensors of `count` numbers, and the bytes it moves.

    Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count = {count}; 1 or more is taken")
    a, b, c = (torch.ones(count) for _ in range(3))
    return lambda: torch.add(b, c, alpha=0.5, out=a), 12 * count


def time_in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int = 15, min_time: float = 0.002
) -> dict[str, float]:
    """Median seconds of each call, all of them in turns.

    rounds : how often each is timed; min_time : seconds that one timing lasts at least, by
    repetition.
    """
    repeats, times = {}, {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        spent = time.perf_counter() - start
        repeats[name] = max(1, min(1000, int(min_time / max(spent, 1e-7))))
        times[name] = [0.0] * rounds
    for turn in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            times[name][turn] = (time.perf_counter() - start) / repeats[name]
    return {name: float(np.median(found)) for name, found in times.items()}
