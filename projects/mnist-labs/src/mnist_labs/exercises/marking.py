"""Marking: an answer is right when it gives the reference's result on every input."""

import importlib.util
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundwork import UsageError
from groundwork.files import write_text

Answer = Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """One drill.

    name : the function's name on the worksheet.
    task : what it has to give, in words.
    reference : a right answer; its signature is the worksheet's.
    inputs : the argument lists that answers are tried on, the simplest first.
    wrong : answers that people give and that are not right.
    view : whether the result has to share the first argument's storage.
    """

    name: str
    task: str
    reference: Answer
    inputs: Callable[[], Sequence[tuple[Any, ...]]]
    wrong: Sequence[Answer]
    view: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the marking says: `right`, `wrong` or `not answered`, and why."""

    name: str
    mark: str
    why: str = ""


class NotAnsweredError(Exception):
    """Raised by a worksheet's functions until they are answered."""


def mark(exercise: Exercise, answer: Answer | None) -> Verdict:
    """Try an answer on every input; the first that goes wrong is told."""
    if answer is None:
        return Verdict(exercise.name, "not answered")
    for arguments in exercise.inputs():
        expected = exercise.reference(*_copies(arguments))
        given = _copies(arguments)
        try:
            got = answer(*given)
        except NotAnsweredError:
            return Verdict(exercise.name, "not answered")
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1].lineno
            why = f"for {_show(arguments)}: {type(error).__name__} in line {line}: {error}"
            return Verdict(exercise.name, "wrong", why)
        if trouble := _difference(got, expected):
            return Verdict(exercise.name, "wrong", f"for {_show(arguments)}: {trouble}")
        if any(_difference(a, b) for a, b in zip(given, arguments, strict=True)):
            return Verdict(exercise.name, "wrong", f"for {_show(arguments)}: it changed its input")
        if exercise.view and got.numel() and not _shares(got, given[0]):
            why = f"for {_show(arguments)}: right numbers, but a copy; a view is asked for"
            return Verdict(exercise.name, "wrong", why)
    return Verdict(exercise.name, "right")


def mark_all(exercises: Sequence[Exercise], answers: Mapping[str, Answer]) -> list[Verdict]:
    """Mark every exercise; answers by name."""
    return [mark(exercise, answers.get(exercise.name)) for exercise in exercises]


def write_worksheet(exercises: Sequence[Exercise], path: Path) -> None:
    """Write a file for a learner to edit: one function an exercise. An existing file is kept."""
    if path.exists():
        return
    parts = [
        '"""Answer each exercise in its function; then mark them with the command below.\n\n'
        f"groundwork run mnist-labs/tensor-exercises --file {path.name}\n"
        '"""\n\nimport torch\n\nfrom mnist_labs.exercises.marking import NotAnsweredError\n'
    ]
    for exercise in exercises:
        names = ", ".join(inspect.signature(exercise.reference).parameters)
        view = " Give a view, not a copy." if exercise.view else ""
        parts.append(
            f'\n\ndef {exercise.name}({names}):\n    """{exercise.task}{view}"""\n'
            f"    raise NotAnsweredError\n"
        )
    write_text(path, "".join(parts))


def read_answers(path: Path) -> dict[str, Answer]:
    """The functions of a learner's file; UsageError where it cannot be read as Python."""
    spec = importlib.util.spec_from_file_location("worksheet", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"{path} is no Python file; a file that ends in .py is taken")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UsageError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise UsageError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return {name: value for name, value in vars(module).items() if inspect.isfunction(value)}


def _copies(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(a.clone() if isinstance(a, Tensor) else a for a in arguments)


def _shares(a: Tensor, b: Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _difference(got: Any, expected: Any) -> str:
    """What is wrong with a result; nothing where it is right."""
    if not isinstance(expected, Tensor):
        return (
            "" if type(got) is type(expected) and got == expected else f"{got!r}, not {expected!r}"
        )
    if not isinstance(got, Tensor):
        return f"a {type(got).__name__}, not a tensor"
    if got.shape != expected.shape:
        return f"shape {tuple(got.shape)}, not {tuple(expected.shape)}"
    if got.dtype != expected.dtype:
        return f"{got.dtype}, not {expected.dtype}"
    if not torch.allclose(got, expected, rtol=1e-5, atol=1e-6, equal_nan=True):
        return f"{_short(got)}, not {_short(expected)}"
    return ""


def _show(arguments: tuple[Any, ...]) -> str:
    return ", ".join(_short(a) if isinstance(a, Tensor) else repr(a) for a in arguments)


def _short(tensor: Tensor) -> str:
    text = str(tensor.tolist())
    return text if len(text) <= 80 else f"a tensor of shape {tuple(tensor.shape)}"
