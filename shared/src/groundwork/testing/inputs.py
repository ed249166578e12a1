"""Awkward inputs: what real data holds and hurried code forgets."""

from collections.abc import Callable, Iterable

import numpy as np
from hypothesis import strategies
from numpy.typing import NDArray

Maker = Callable[[np.random.Generator], NDArray]


def _base(rng: np.random.Generator, rows: int = 24, columns: int = 4) -> NDArray:
    return rng.standard_normal((rows, columns))


def _constant_column(rng: np.random.Generator) -> NDArray:
    x = _base(rng)
    x[:, 1] = 3.0
    return x


def _rank_deficient(rng: np.random.Generator) -> NDArray:
    x = _base(rng)
    x[:, 3] = x[:, 0] - 2 * x[:, 1]
    return x


def _duplicated(rng: np.random.Generator) -> NDArray:
    return np.repeat(_base(rng, 6), 4, axis=0)


def _read_only(rng: np.random.Generator) -> NDArray:
    x = _base(rng)
    x.flags.writeable = False
    return x


#: Families of matrices by name; each makes one from a generator.
AWKWARD: dict[str, Maker] = {
    "plain": _base,
    "constant column": _constant_column,
    "rank-deficient": _rank_deficient,
    "duplicated rows": _duplicated,
    "one feature": lambda rng: _base(rng, 24, 1),
    "one row": lambda rng: _base(rng, 1, 4),
    "wider than long": lambda rng: _base(rng, 3, 9),
    "all zero": lambda rng: np.zeros((8, 3)),
    "huge and tiny": lambda rng: _base(rng) * np.array([1e8, 1.0, 1e-8, 1.0]),
    "far from 0": lambda rng: _base(rng) + 1e6,
    "float32": lambda rng: _base(rng).astype(np.float32),
    "whole numbers": lambda rng: rng.integers(-5, 6, (24, 4)),
    "Fortran order": lambda rng: np.asfortranarray(_base(rng)),
    "every second row": lambda rng: _base(rng, 48)[::2],
    "read-only": _read_only,
}


def awkward_families(*, leave_out: Iterable[str]) -> dict[str, Maker]:
    """The awkward matrices by name, without those that the function under test does not take.

    Raises ValueError for a name that is no family.
    """
    left = {leave_out} if isinstance(leave_out, str) else set(leave_out)
    if wrong := sorted(left - set(AWKWARD)):
        raise ValueError(f"no family is called {', '.join(wrong)}; there are {', '.join(AWKWARD)}")
    return {name: make for name, make in AWKWARD.items() if name not in left}


def awkward_matrices(*, leave_out: Iterable[str] = ()) -> strategies.SearchStrategy[NDArray]:
    """A hypothesis strategy over the awkward matrices, each with a drawn seed.

    It is for building larger inputs; a short test need not meet every family, as it does with
    `awkward_families`. `leave_out` names families that the function under test does not take.
    """
    families = awkward_families(leave_out=leave_out)
    names = list(families)
    seeds = strategies.integers(0, 2**16)

    def make(name: str, seed: int) -> NDArray:
        return families[name](np.random.default_rng(seed))

    return strategies.builds(make, strategies.sampled_from(names), seeds)
