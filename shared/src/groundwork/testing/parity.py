"""Differential testing: ours against a reference, over many inputs."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from groundwork.testing.inputs import AWKWARD, Maker

#: What a test or its author did wrong; never an answer that two functions could agree on.
_NO_ANSWER = (Warning, NameError, AttributeError, AssertionError, HypothesisException)


def parity(
    ours: Callable[..., Any],
    reference: Callable[..., Any],
    inputs: SearchStrategy[Any] | Mapping[str, Maker] = AWKWARD,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    examples: int = 60,
) -> None:
    """Assert that `ours` gives what `reference` gives on many inputs; the same ones every time.

    Parameters
    ----------
    inputs : families by name, each of which is tried (every awkward matrix, unless told), or a
        hypothesis strategy. Either makes one argument, or a tuple of them.
    rtol, atol : |ours - reference| ≤ atol + rtol |reference|, entry by entry; whole numbers are
        compared exactly. Where an argument or the reference's output is float32, rtol is at least
        1e-4, and atol at least 1e-5 (of the reference's largest entry, where that is below 1).
    examples : how many inputs are made; each family gets one at least.

    Where the reference raises an error of some kind (ValueError, ZeroDivisionError, …), ours has to
    raise one of the same kind: the same class, or one a subclass of the other. Raises
    AssertionError for the simplest input that differs, saying where and by how much.
    """

    def compare(drawn: Any, name: str = "") -> None:
        arguments = drawn if isinstance(drawn, tuple) else (drawn,)
        expected, reference_error = _call(reference, arguments)
        got, our_error = _call(ours, arguments)
        described = ", ".join(_describe(argument) for argument in arguments)
        described = f"{name}, {described}" if name else described
        if reference_error is not None or our_error is not None:
            same = _same_kind(our_error, reference_error)
            assert same, f"for {described}: ours {our_error!r}, the reference {reference_error!r}"
            return
        single = any(getattr(argument, "dtype", None) == np.float32 for argument in arguments)
        trouble = _difference(got, expected, rtol, atol, single)
        assert not trouble, f"for {described}: {trouble}"

    if isinstance(inputs, Mapping):
        for name, make in inputs.items():
            for seed in range(max(1, examples // len(inputs))):
                compare(make(np.random.default_rng(seed)), name)
        return

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def check(drawn: Any) -> None:
        compare(drawn)

    check()


def compare_outputs(got: Any, expected: Any, *, rtol: float = 1e-7, atol: float = 1e-9) -> str:
    """What differs between two outputs, in words; an empty text where nothing does.

    Outputs are arrays, frames, torch tensors, numbers, or mappings and sequences of these.
    """
    return _difference(got, expected, rtol, atol, False)


def _difference(got: Any, expected: Any, rtol: float, atol: float, single: bool) -> str:
    """`compare_outputs`; `single` says that the inputs had the precision of float32."""
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(expected):
            return f"keys {sorted(got) if isinstance(got, Mapping) else got!r}"
        parts = [(str(key), got[key], expected[key]) for key in expected]
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        if not isinstance(got, Sequence) or len(got) != len(expected):
            return f"{got!r} in place of {len(expected)} parts"
        parts = [(str(i), a, b) for i, (a, b) in enumerate(zip(got, expected, strict=True))]
    else:
        return _compare_arrays(_array(got), _array(expected), rtol, atol, single)
    for name, a, b in parts:
        if trouble := _difference(a, b, rtol, atol, single):
            return f"part {name}: {trouble}"
    return ""


def _compare_arrays(
    got: np.ndarray, expected: np.ndarray, rtol: float, atol: float, single: bool
) -> str:
    if got.shape != expected.shape:
        return f"shape {got.shape}, not {expected.shape}"
    if got.dtype.kind not in "biufc" or expected.dtype.kind not in "biufc":
        return "" if np.array_equal(got, expected) else f"{got!r}, not {expected!r}"
    if got.dtype.kind in "biu" and expected.dtype.kind in "biu":
        close = np.array_equal(got, expected)
    else:
        if single or expected.dtype == np.float32:
            finite = np.abs(expected[np.isfinite(expected)])
            largest = float(finite.max()) if finite.size else 0.0
            rtol, atol = max(rtol, 1e-4), max(atol, 1e-5 * min(1.0, largest or 1.0))
        close = np.allclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
    if close:
        return ""
    with np.errstate(all="ignore"):
        difference = np.abs(got.astype(complex) - expected.astype(complex))
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        difference = np.where(same, 0.0, difference)
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
    except _NO_ANSWER:
        raise
    except Exception as error:
        return None, error


def _same_kind(ours: Any, reference: Any) -> bool:
    return isinstance(ours, type(reference)) or isinstance(reference, type(ours))


def _copy(argument: Any) -> Any:
    """A copy of what can be written to, so that neither side sees what the other changed.

    An array's copy is laid out in memory as the array is: a strided one stays strided.
    """
    if isinstance(argument, np.ndarray):
        if not argument.flags.writeable:
            return argument
        fresh = np.empty_like(argument)
        if not (argument.flags.c_contiguous or argument.flags.f_contiguous):
            fresh = np.empty((*argument.shape, 2), argument.dtype)[..., 0]
        fresh[...] = argument
        return fresh
    if hasattr(argument, "detach"):  # a torch tensor
        return argument.detach().clone().requires_grad_(argument.requires_grad)
    if type(argument) in (list, tuple):
        return type(argument)(_copy(item) for item in argument)
    if type(argument) is dict:
        return {key: _copy(value) for key, value in argument.items()}
    return copy.deepcopy(argument)


def _describe(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        text = np.array2string(argument, threshold=12, edgeitems=2).replace("\n", "")
        return f"{argument.dtype} {argument.shape} {text}"
    return repr(argument)
