"""A lab's parameters: its signature is its configuration.

The typed keyword parameters of `main(run, *, …)` become command-line options. A parameter's type is
`int`, `float`, `bool`, `str`, a `Literal`, a `tuple[T, ...]` (on the command line: `1,2,3`), or one
of these `| None`. Inside `Annotated`, bounds from `annotated_types` limit the range and a plain
string is the line of help.
"""

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from groundwork.errors import UsageError
from groundwork.suggest import unknown

#: The options that every lab takes.
TOOL_OPTIONS = ("--preset", "--seed", "--resume", "--sweep", "--on", "--help")

_BOUNDS = {
    "Ge": ("ge", "at least", lambda value, bound: value >= bound),
    "Gt": ("gt", "more than", lambda value, bound: value > bound),
    "Le": ("le", "at most", lambda value, bound: value <= bound),
    "Lt": ("lt", "less than", lambda value, bound: value < bound),
}
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a lab: its name, type, default, bounds and line of help."""

    name: str
    type: Any
    default: Any
    bounds: tuple[tuple[str, float], ...] = ()
    help: str = ""

    @property
    def option(self) -> str:
        """The option as it is typed: `--batch-size`."""
        return "--" + self.name.replace("_", "-")

    @property
    def takes(self) -> str:
        """What it takes, in words: "a whole number, at least 1"."""
        limits = [f"{_BOUNDS[kind][1]} {bound:g}" for kind, bound in self.bounds]
        return ", ".join([_describe(self.type), *limits])

    def refuse(self, value: object) -> UsageError:
        """The error for a value that is not taken."""
        return UsageError(f"{self.option} {value!r} is not taken; it takes {self.takes}")

    def parse(self, text: str) -> Any:
        """Read a value from the command line's text and check it."""
        try:
            value = _parse(self.type, text)
        except ValueError:
            raise self.refuse(text) from None
        return self.check(value)

    def check(self, value: Any) -> Any:
        """Return the value, in the parameter's type; a UsageError when it is not taken."""
        try:
            value = _coerce(self.type, value)
        except ValueError:
            raise self.refuse(value) from None
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, float) and math.isnan(item):
                raise self.refuse(value)
            bounded = item is not None and not isinstance(item, str)
            if bounded and not all(_BOUNDS[kind][2](item, bound) for kind, bound in self.bounds):
                raise self.refuse(value)
        return value


def read_parameters(main: Callable[..., Any]) -> dict[str, Parameter]:
    """The parameters of a lab's `main`, in order.

    Raises TypeError when `main` is not `main(run, *, name: type = default, …)`.
    """
    hints = typing.get_type_hints(main, include_extras=True)
    found: dict[str, Parameter] = {}
    for name, parameter in list(inspect.signature(main).parameters.items())[1:]:
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or name not in hints:
            raise TypeError(f"parameter {name} of {main.__module__}.main: keyword-only and typed")
        if parameter.default is inspect.Parameter.empty:
            raise TypeError(f"parameter {name} of {main.__module__}.main: it needs a default")
        kind: Any = hints[name]
        notes: list[Any] = []
        if get_origin(kind) is Annotated:
            kind, *notes = get_args(kind)
        limits: list[tuple[str, float]] = []
        for note in notes:
            for part in note if not isinstance(note, str) and _is_group(note) else (note,):
                if type(part).__name__ in _BOUNDS:
                    limits.append(
                        (type(part).__name__, getattr(part, _BOUNDS[type(part).__name__][0]))
                    )
        text = " ".join(note for note in notes if isinstance(note, str))
        found[name] = Parameter(name, kind, parameter.default, tuple(limits), text)
    return found


def resolve(
    main: Callable[..., Any], preset: Mapping[str, Any], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Defaults, then the preset's values, then the overrides; every value checked.

    An override that is a string is read as the command line's text.
    """
    parameters = read_parameters(main)
    for name in [*preset, *overrides]:
        if name not in parameters:
            options = [*TOOL_OPTIONS, *(p.option for p in parameters.values())]
            raise UsageError(unknown("option", "--" + name.replace("_", "-"), options))
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in overrides:
            given = overrides[name]
            parse = isinstance(given, str) and parameter.type is not str
            values[name] = parameter.parse(given) if parse else parameter.check(given)
        else:
            values[name] = parameter.check(preset.get(name, parameter.default))
    return values


def parse_options(words: Sequence[str]) -> dict[str, str]:
    """`["--size", "512", "--plain"]` → `{"size": "512", "plain": "true"}`.

    A word that is no option is refused with a UsageError.
    """
    options: dict[str, str] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("--") or len(word) < 3:
            raise UsageError(f"“{word}” is not an option; options look like --name value")
        name, equals, value = word[2:].partition("=")
        if not equals:
            follows = bool(queue) and not queue[0].startswith("--")
            value = queue.pop(0) if follows else "true"
        options[name.replace("-", "_")] = value
    return options


def plain(value: Any) -> Any:
    """A parameter's value as JSON keeps it."""
    return list(value) if isinstance(value, tuple) else value


def _is_group(note: object) -> bool:
    return type(note).__name__ == "Interval"


def _options(kind: Any) -> tuple[Any, ...] | None:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else None


def _describe(kind: Any) -> str:
    if options := _options(kind):
        inner = [_describe(option) for option in options if option is not type(None)]
        return " or ".join([*inner, "none"])
    if get_origin(kind) is Literal:
        return " or ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list with commas, each {_describe(get_args(kind)[0])}"
    return _WORDS.get(kind, str(kind))


def _parse(kind: Any, text: str) -> Any:
    if options := _options(kind):
        if text.lower() == "none":
            return None
        return _parse(next(option for option in options if option is not type(None)), text)
    if get_origin(kind) is Literal:
        for choice in get_args(kind):
            if str(choice) == text:
                return choice
        raise ValueError(text)
    if get_origin(kind) is tuple:
        return tuple(_parse(get_args(kind)[0], part.strip()) for part in text.split(",") if part)
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        return words[text.lower()] if text.lower() in words else _fail(text)
    return kind(text)


def _fail(value: object) -> Any:
    raise ValueError(value)


def _coerce(kind: Any, value: Any) -> Any:
    if options := _options(kind):
        if value is None:
            return None
        return _coerce(next(option for option in options if option is not type(None)), value)
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else _fail(value)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            _fail(value)
        return tuple(_coerce(get_args(kind)[0], item) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if type(value) is kind else _fail(value)
