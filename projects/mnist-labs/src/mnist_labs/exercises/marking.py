"""Marking: an answer is right when it gives the reference's result on every input."""

import ast
import importlib.util
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, TracebackType
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
    strided : whether the inputs are tried a second time with gaps between their elements.
    in_place : whether the first argument has to become, and to be, the result.
    """

    name: str
    task: str
    reference: Answer
    inputs: Callable[[], Sequence[tuple[Any, ...]]]
    wrong: Sequence[Answer]
    view: bool = False
    strided: bool = True
    in_place: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the marking says: `right`, `wrong` or `not answered`, and why."""

    name: str
    mark: str
    why: str = ""


class NotAnsweredError(Exception):
    """Raised by a worksheet's functions until they are answered."""


def mark(exercise: Exercise, answer: Answer | None) -> Verdict:
    """Try an answer on every input; the first that goes wrong is told.

    Each input comes as it is, and (where `strided`) with its elements lying apart in memory.
    """
    if answer is None:
        return Verdict(exercise.name, "not answered")
    for apart in (False, True) if exercise.strided else (False,):
        for arguments in exercise.inputs():
            given = _copies(arguments, apart)
            try:
                trouble = _trouble(exercise, answer, given, arguments)
            except NotAnsweredError:
                return Verdict(exercise.name, "not answered")
            except Exception as error:
                line = (
                    error.lineno
                    if isinstance(error, SyntaxError)
                    else _line(error.__traceback__, answer)
                )
                said = str(error).strip().partition("\n")[0]
                trouble = f"{type(error).__name__} in line {line}: {said}"
            if trouble:
                where = f"for {_show(arguments)}"
                if apart:
                    where += f", of strides {', '.join(_strides(given))}"
                return Verdict(exercise.name, "wrong", f"{where}: {trouble}")
    return Verdict(exercise.name, "right")


def _trouble(
    exercise: Exercise, answer: Answer, given: tuple[Any, ...], arguments: tuple[Any, ...]
) -> str:
    """What is wrong with the answer's result for `given`; nothing where it is right."""
    expected = exercise.reference(*_copies(arguments))
    got = answer(*given)
    if trouble := _difference(got, expected):
        return trouble
    if exercise.in_place:
        arguments = (expected, *arguments[1:])
        if got is not given[0]:
            return "another tensor; the tensor that was given is to be changed and returned"
    if any(_difference(a, b) for a, b in zip(given, arguments, strict=True)):
        return "it changed its input"
    if exercise.view and got.numel() and not _shares(got, given[0]):
        return "right numbers, but a copy; a view is asked for"
    return ""


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
    """The functions of a learner's file.

    A function that is not Python stands for an answer that raises its SyntaxError, so that the
    others are still marked. Raises UsageError, with the line, where what stands outside the
    functions is not Python or fails.
    """
    if path.suffix != ".py" or not path.is_file():
        raise UsageError(f"{path} is no Python file; a file that ends in .py is taken")
    loader = _AnswersLoader("worksheet", str(path))
    spec = importlib.util.spec_from_file_location("worksheet", path, loader=loader)
    if spec is None:
        raise UsageError(f"{path} is no Python file; a file that ends in .py is taken")
    module = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except SyntaxError as error:
        raise UsageError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise UsageError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    answers = {name: value for name, value in vars(module).items() if inspect.isfunction(value)}
    return answers | {name: _raising(error) for name, error in loader.broken.items()}


class _AnswersLoader(SourceFileLoader):
    """Compiles a worksheet without the functions that are not Python; `broken` has their errors."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name, path)
        self.broken: dict[str, SyntaxError] = {}

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source as it is now; bytecode is neither read nor written."""
        lines = self.get_data(self.path).decode("utf-8-sig", errors="replace").splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith("def ")]
        for start, end in zip(starts, [*starts, len(lines)][1:], strict=True):
            try:
                # The empty lines in front keep the numbers of the lines.
                ast.parse("\n" * start + "\n".join(lines[start:end]), self.path)
            except SyntaxError as error:
                self.broken[lines[start][4:].partition("(")[0].strip()] = error
                lines[start:end] = [""] * (end - start)
        return self.source_to_code("\n".join(lines).encode(), self.path)


def _raising(error: SyntaxError) -> Answer:
    def answer(*arguments: Any) -> Any:
        raise error

    return answer


def _line(trace: TracebackType | None, answer: Answer) -> int | None:
    """The last line of the answer's own file that an error passed through."""
    frames = traceback.extract_tb(trace)
    own = [frame.lineno for frame in frames if frame.filename == answer.__code__.co_filename]
    return own[-1] if own else frames[-1].lineno


def _copies(arguments: tuple[Any, ...], apart: bool = False) -> tuple[Any, ...]:
    """Copies of the tensors; `apart` leaves a gap behind each element and each row."""

    def copy(value: Any) -> Any:
        if not isinstance(value, Tensor) or not apart:
            return value.clone() if isinstance(value, Tensor) else value
        roomy = value.new_zeros([2 * size for size in value.shape])
        gaps = roomy[tuple(slice(None, None, 2) for _ in value.shape)]
        return gaps.copy_(value)

    return tuple(copy(value) for value in arguments)


def _strides(arguments: tuple[Any, ...]) -> list[str]:
    return [str(a.stride()) for a in arguments if isinstance(a, Tensor)]


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
        wrong = ~torch.isclose(got, expected, rtol=1e-5, atol=1e-6, equal_nan=True)
        place = wrong.nonzero()[0].tolist()
        first, second = got[tuple(place)].item(), expected[tuple(place)].item()
        return f"{_rounded(first)} at {place}, not {_rounded(second)}"
    return ""


def _show(arguments: tuple[Any, ...]) -> str:
    return ", ".join(_short(a) if isinstance(a, Tensor) else repr(a) for a in arguments)


def _short(tensor: Tensor) -> str:
    text = str(_rounded(tensor.tolist()))
    return text if len(text) <= 60 else f"a tensor of shape {tuple(tensor.shape)}"


def _rounded(value: Any) -> Any:
    """Numbers, in lists of any depth, with few digits."""
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
