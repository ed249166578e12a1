"""Fixtures with small data, and the count of estimator checks; found by pytest by itself."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Table = tuple[NDArray, NDArray]

#: The node of one check, as `sklearn.utils.estimator_checks.parametrize_with_checks` names it.
_CHECK = re.compile(r"\[(\w+)\(.*?\)-check_\w+")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture
def tiny_classes(rng: np.random.Generator) -> Table:
    """Three well separated classes: x (60, 4), y (60,)."""
    y = np.repeat(np.arange(3), 20)
    centers = np.array([[0, 0, 0, 0], [4, 4, 0, 0], [0, 4, 4, 0]])
    return centers[y] + rng.standard_normal((60, 4)), y


@pytest.fixture
def tiny_regression(rng: np.random.Generator) -> Table:
    """A linear relation with little noise: x (50, 3), y (50,) = x · (1, -2, 0.5) + 3."""
    x = rng.standard_normal((50, 3))
    return x, x @ np.array([1.0, -2.0, 0.5]) + 3 + 0.01 * rng.standard_normal(50)


@pytest.fixture
def tiny_images(rng: np.random.Generator) -> Table:
    """Images of a bright half, left (0) or right (1): x uint8 (40, 8, 8), y (40,)."""
    y = np.arange(40) % 2
    x = rng.integers(0, 60, (40, 8, 8))
    for i, side in enumerate(y):
        x[i, :, 4 * side : 4 * side + 4] += 150
    return x.astype(np.uint8), y


@pytest.fixture
def write_idx_file(tmp_path: Path) -> Callable[[str, NDArray], Path]:
    """A function that writes a uint8 array as an idx file of a given name and returns its path."""

    def write(name: str, values: NDArray) -> Path:
        path = tmp_path / name
        header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
        path.write_bytes(header + values.astype(np.uint8).tobytes())
        return path

    return write


@pytest.fixture
def tiny_graph() -> tuple[NDArray, NDArray]:
    """Two triangles joined by an edge: edges int64 (2, 14) in both directions, labels (6,)."""
    pairs = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (2, 3)]
    edges = np.array([*pairs, *((b, a) for a, b in pairs)], dtype=np.int64).T
    return edges, np.array([0, 0, 0, 1, 1, 1])


@pytest.fixture
def tiny_corpus() -> list[str]:
    """Four short sentences about two subjects."""
    return [
        "the cat sat on the mat",
        "a cat and a dog sat",
        "stocks fell as rates rose",
        "rates rose and stocks fell again",
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many of scikit-learn's estimator checks were passed, where any was run."""
    passed = [
        match.group(1)
        for report in terminalreporter.getreports("passed")
        if report.when == "call" and (match := _CHECK.search(report.nodeid))
    ]
    if passed:
        estimators = len(set(passed))
        terminalreporter.write_line(
            f"{len(passed)} of scikit-learn's estimator checks passed, over {estimators} estimators"
        )
