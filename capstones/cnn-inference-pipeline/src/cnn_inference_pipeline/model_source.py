"""The network that the pipeline begins with: a built-in one, or a user's own.

`--model FILE.py:factory` names a function in a Python file. It is called with those of `classes`
and `channels` that it has parameters for, and gives a `torch.nn.Module` that takes normalized
images (n, channels, height, width) and gives logits (n, classes). It may be trained already.
"""

import hashlib
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from groundwork.errors import UsageError
from quantized_cnn.networks import ResNet

#: Name → widths and blocks of a residual network.
BUILT_IN: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "resnet20": ((16, 32, 64), (3, 3, 3)),
    "resnet6": ((8, 16), (1, 1)),
}


@dataclass(frozen=True)
class Source:
    """Where a network comes from.

    name : for tables; digest : of what decides it, part of the stages' keys; make : makes a fresh
        one for a number of classes and channels.
    """

    name: str
    digest: str
    make: Callable[[int, int], nn.Module]


def load_model(name: str) -> Source:
    """A built-in network by name, or `FILE.py:factory`.

    Raises UsageError for another name, a file or function that is not there, and a file that
    cannot be run.
    """
    if name in BUILT_IN:
        widths, blocks = BUILT_IN[name]
        return Source(name, f"{name} {widths} {blocks}", lambda n, c: ResNet(n, c, widths, blocks))
    place, colon, function = name.rpartition(":")
    if not colon or not place.endswith(".py"):
        raise UsageError(
            f"model {name!r} is not taken; {', '.join(BUILT_IN)} or FILE.py:factory is"
        )
    path = Path(place).expanduser()
    if not path.is_file():
        raise UsageError(f"model {name!r}: there is no file {place}")
    factory = getattr(_run_file(path), function, None)
    if not callable(factory):
        raise UsageError(f"model {name!r}: {path.name} has no function {function}")
    digest = hashlib.sha256(path.read_bytes() + function.encode()).hexdigest()[:16]
    return Source(f"{path.stem}:{function}", digest, lambda n, c: _call(name, factory, n, c))


def _run_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"_model_of_the_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path.name} cannot be run: {_line(error)}") from error
    return module


def _call(name: str, factory: Callable[..., Any], classes: int, channels: int) -> nn.Module:
    offered = {"classes": classes, "channels": channels}
    taken = inspect.signature(factory).parameters
    try:
        made = factory(**{key: value for key, value in offered.items() if key in taken})
    except Exception as error:
        raise UsageError(f"model {name!r} cannot be made: {_line(error)}") from error
    if not isinstance(made, nn.Module):
        raise UsageError(f"model {name!r} gives a {type(made).__name__}; a torch module is taken")
    return made


def check_model(name: str, model: nn.Module, shape: tuple[int, int, int], classes: int) -> None:
    """Raise UsageError where the network does not take the images, or has other outputs."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = model(torch.zeros(2, *shape))
    except Exception as error:
        told = "×".join(map(str, shape))
        raise UsageError(f"{name} does not take images {told}: {_line(error)}") from error
    found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != (2, classes):
        raise UsageError(
            f"{name} gives {found} for 2 images; (2, {classes}) is taken, the data's classes"
        )
    model.train(training)


def _line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"
