from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Interval, Lt

from groundwork import Run
from groundwork.errors import UsageError
from groundwork.parameters import parse_options, read_parameters, resolve


def lab(
    run: Run,
    *,
    steps: Annotated[int, Ge(1), "how many"] = 3,
    rate: Annotated[float, Interval(ge=0, lt=1)] = 0.5,
    sizes: Annotated[tuple[int, ...], Ge(1)] = (1, 2),
    kind: Literal["up", "down"] = "up",
    label: str | None = None,
    limit: Annotated[int | None, Lt(10)] = None,
    plain: bool = False,
) -> None:
    pass


def test_defaults_then_the_preset_then_the_overrides() -> None:
    values = resolve(lab, {"steps": 5, "rate": 0}, {"steps": "7", "sizes": "3,4"})
    assert values["steps"] == 7
    assert values["rate"] == 0.0
    assert isinstance(values["rate"], float)
    assert values["sizes"] == (3, 4)
    assert values["kind"] == "up"


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("plain", "true", True),
        ("plain", "no", False),
        ("label", "none", None),
        ("label", "a b", "a b"),
        ("limit", "none", None),
        ("limit", "9", 9),
        ("kind", "down", "down"),
        ("rate", "1e-3", 0.001),
    ],
)
def test_text_is_read_in_the_parameters_type(name: str, text: str, value: object) -> None:
    assert resolve(lab, {}, {name: text})[name] == value


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("steps", "0", "--steps 0 is not taken; it takes a whole number, at least 1"),
        ("steps", "two", "--steps 'two' is not taken"),
        ("steps", "1.5", "whole number"),
        ("rate", "1", "less than 1"),
        ("rate", "nan", "not taken"),
        ("sizes", "1,0", "at least 1"),
        ("sizes", "1,x", "each a whole number"),
        ("kind", "left", "up or down"),
        ("limit", "10", "less than 10"),
        ("plain", "maybe", "true or false"),
        ("stepps", "3", "--steps"),
        ("presett", "full", "--preset"),
    ],
)
def test_what_is_not_taken_gets_one_clear_line(name: str, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(lab, {}, {name: text})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_lines_are_read_from_the_annotation() -> None:
    assert read_parameters(lab)["steps"].help == "how many"


def test_a_main_without_types_or_defaults_is_refused() -> None:
    def untyped(run, *, steps=3):  # type: ignore[no-untyped-def]
        pass

    def needs(run: Run, *, steps: int) -> None:
        pass

    with pytest.raises(TypeError, match="typed"):
        read_parameters(untyped)
    with pytest.raises(TypeError, match="default"):
        read_parameters(needs)


def test_options_as_typed() -> None:
    words = ["--batch-size", "3", "--plain", "--rate=0.1", "--shift", "-2"]
    expected = {"batch_size": "3", "plain": "true", "rate": "0.1", "shift": "-2"}
    assert parse_options(words) == expected
    with pytest.raises(UsageError, match="size"):
        parse_options(["size", "3"])
