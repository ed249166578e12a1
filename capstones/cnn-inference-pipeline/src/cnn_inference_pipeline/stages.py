"""Stages that are done once: a result is kept under a key made of all that decides it.

The key is a digest of the stage's name, of the source of the modules that do its work, of its
parameters and of its inputs' keys. So a change redoes the stages that depend on it and no others,
and an unchanged pipeline ends at once. A result is written whole or not at all. Within a long stage
the state of training is kept beside it, and a pipeline that was killed goes on there.
"""

import hashlib
import io
import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from groundwork import files

#: Bump to forget all kept results.
FORMAT = 1


@dataclass(frozen=True)
class Result:
    """What a stage gave: a mapping of tensors, numbers, text and lists of them; and its key."""

    key: str
    value: dict[str, Any]


class Progress:
    """Where the state of an unfinished stage is kept; a `Store` for `quantized_cnn.training`."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key = folder, key

    def named(self, name: str) -> "Progress":
        """A place for one of several trainings of the same stage."""
        return Progress(self._folder, f"{self._key}-{name}")

    @property
    def path(self) -> Path:
        """The file; it is there only while the stage is unfinished."""
        return self._folder / f"{self._key}.unfinished"

    def load(self) -> Any | None:
        """The state that was saved last, or None."""
        return pickle.loads(self.path.read_bytes()) if self.path.is_file() else None

    def save(self, state: object) -> None:
        """Replace the saved state; a kill in the middle leaves the former one."""
        files.write_bytes(self.path, pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL))


@dataclass
class Stages:
    """The results of a pipeline in a folder.

    Parameters
    ----------
    folder : where they are kept; it is made.
    log : is told one line for each stage: that it is done, or that it was there.
    done, found : the names of the stages that were done now, and of those that were there.
    """

    folder: Path
    log: Callable[[str], None] = lambda line: None
    done: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def run(
        self,
        name: str,
        make: Callable[[Progress], Mapping[str, Any]],
        *,
        parameters: Mapping[str, Any],
        inputs: Sequence[str] = (),
        modules: Iterable[ModuleType] = (),
    ) -> Result:
        """The stage's result: the kept one, or that of `make`.

        Parameters
        ----------
        name : of the stage, letters, digits and hyphens.
        make : does the work; given a place for the state of training.
        parameters : plain numbers and text that decide the result.
        inputs : keys of the results, and digests of the data, that it works on.
        modules : whose source decides the result.
        """
        key = stage_key(name, parameters, inputs, modules)
        path = self.folder / f"{key}.pt"
        if path.is_file():
            self.found.append(name)
            return Result(key, torch.load(path, weights_only=True))
        self.log(f"{name} …")
        value = dict(make(Progress(self.folder, key)))
        buffer = io.BytesIO()
        torch.save(value, buffer)
        torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)  # only what can be read again
        files.write_bytes(path, buffer.getvalue())
        for leftover in self.folder.glob(f"{key}*.unfinished"):
            leftover.unlink(missing_ok=True)
        self.done.append(name)
        return Result(key, value)


def stage_key(
    name: str,
    parameters: Mapping[str, Any],
    inputs: Sequence[str],
    modules: Iterable[ModuleType],
) -> str:
    """The name and a digest of all that decides the result."""
    told = json.dumps([FORMAT, name, dict(parameters), list(inputs)], sort_keys=True)
    digest = hashlib.sha256(told.encode())
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    return f"{name}-{digest.hexdigest()[:16]}"
