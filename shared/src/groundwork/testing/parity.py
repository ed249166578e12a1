"""Differential testing: ours against a reference, over many inputs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy


def parity(
    ours: Callable[..., Any],
    reference: Callable[..., Any],
    inputs: SearchStrategy[Any],
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    examples: int = 60,
) -> None:
    """Assert that `ours` gives what `reference` gives on drawn inputs; the same draws every time.

    Parameters
    ----------
    inputs : draws one argument, or a tuple of them.
    rtol, atol : |ours - reference| ≤ atol + rtol |reference|, entry by entry; for float32 at
        least 1e-4 and 1e-5.
    examples : how many inputs are drawn.

    Where the reference raises an error of some kind (ValueError, ZeroDivisionError, …), ours has to
    raise one of the same kind. Raises AssertionError for the simplest input that differs, saying
    where and by how much.
    """

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def check(drawn: Any) -> None:
        arguments = drawn if isinstance(drawn, tuple) else (drawn,)
        expected, reference_error = _call(reference, arguments)
        got, our_error = _call(ours, arguments)
        described = ", ".join(_describe(argument) for argument in arguments)
        if reference_error is not None or our_error is not None:
            same = type(our_error) is type(reference_error)
            assert same, f"for {described}: ours {our_error!r}, the reference {reference_error!r}"
            return
        trouble = compare_outputs(got, expected, rtol=rtol, atol=atol)
        assert not trouble, f"for {described}: {trouble}"

    check()


def compare_outputs(got: Any, expected: Any, *, rtol: float = 1e-7, atol: float = 1e-9) -> str:
    """What differs between two outputs, in words; an empty text where nothing does.

    Outputs are arrays, frames, torch tensors, numbers, or mappings and sequences of these.
    """
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(expected):
            return f"keys {sorted(got) if isinstance(got, Mapping) else got!r}"
        parts = [(str(key), got[key], expected[key]) for key in expected]
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        if not isinstance(got, Sequence) or len(got) != len(expected):
            return f"{got!r} in place of {len(expected)} parts"
        parts = [(str(i), a, b) for i, (a, b) in enumerate(zip(got, expected, strict=True))]
    else:
        return _compare_arrays(_array(got), _array(expected), rtol, atol)
    for name, a, b in parts:
        if trouble := compare_outputs(a, b, rtol=rtol, atol=atol):
            return f"part {name}: {trouble}"
    return ""


def _compare_arrays(got: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> str:
    if got.shape != expected.shape:
        return f"shape {got.shape}, not {expected.shape}"
    if got.dtype.kind not in "biufc" or expected.dtype.kind not in "biufc":
        return "" if np.array_equal(got, expected) else f"{got!r}, not {expected!r}"
    if np.float32 in (got.dtype, expected.dtype):
        rtol, atol = max(rtol, 1e-4), max(atol, 1e-5)
    if np.allclose(got, expected, rtol=rtol, atol=atol, equal_nan=True):
        return ""
    with np.errstate(all="ignore"):
        difference = np.abs(got.astype(complex) - expected.astype(complex))
        difference = np.where(np.isnan(got) & np.isnan(expected), 0.0, difference)
        difference = np.where(np.isnan(difference), np.inf, difference)
        worst = np.unravel_index(np.argmax(difference), difference.shape)
        relative = difference[worst] / max(float(np.abs(expected[worst])), 1e-300)
    where = f" at {tuple(int(i) for i in worst)}" if worst else ""
    return (
        f"{got[worst]} in place of {expected[worst]}{where}: "
        f"off by {difference[worst]:.3g}, relatively {relative:.3g}"
    )


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    try:
        return function(*(_copy(argument) for argument in arguments)), None
    except (ArithmeticError, ValueError, TypeError, np.linalg.LinAlgError) as error:
        return None, error


def _copy(argument: Any) -> Any:
    """A copy of what can be written to, so that neither side sees what the other changed."""
    if isinstance(argument, np.ndarray) and argument.flags.writeable:
        copy = np.empty_like(argument)
        copy[...] = argument
        return copy
    return argument


def _describe(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        text = np.array2string(argument, threshold=12, edgeitems=2).replace("\n", "")
        return f"{argument.dtype} {argument.shape} {text}"
    return repr(argument)
