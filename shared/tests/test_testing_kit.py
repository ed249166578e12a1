from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies
from numpy.typing import NDArray

from groundwork.testing import (
    AWKWARD,
    assert_claims,
    assert_lab_is_whole,
    awkward_matrices,
    compare_outputs,
    gradcheck,
    parity,
    run_lab,
)
from groundwork.workspace import Workspace


def standardise(x: NDArray) -> NDArray:
    """Right for every matrix: a constant column becomes 0."""
    centered = x - x.mean(axis=0)
    scale = centered.std(axis=0)
    return centered / np.where(scale == 0, 1, scale)


class TestParity:
    def test_two_right_ways_agree(self) -> None:
        parity(lambda x: x @ x.T, lambda x: np.einsum("if,jf->ij", x, x), awkward_matrices())

    def test_a_mistake_on_constant_columns_is_found(self) -> None:
        def wrong(x: NDArray) -> NDArray:
            with np.errstate(all="ignore"):
                return (x - x.mean(axis=0)) / x.std(axis=0)

        with pytest.raises(AssertionError, match="nan in place of 0"):
            parity(wrong, standardise, awkward_matrices())

    def test_a_mistake_by_one_is_found_with_its_place(self) -> None:
        def wrong(x: NDArray) -> NDArray:
            y = np.cumsum(x)
            y[-1] += 1
            return y

        with pytest.raises(AssertionError, match=r"at \(\d+,\): off by 1"):
            parity(wrong, np.cumsum, awkward_matrices())

    def test_another_error_than_the_references_is_a_difference(self) -> None:
        def refuse(x: float) -> float:
            raise ValueError("no")

        def divide(x: float) -> float:
            return 1 / x

        parity(refuse, refuse, strategies.floats(0, 1))
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            parity(refuse, divide, strategies.just(0.0))

    def test_writing_to_the_input_does_not_hide_a_mistake(self) -> None:
        def wrong(x: NDArray) -> float:
            x[...] = 0
            return float(x.sum())

        with pytest.raises(AssertionError):
            parity(wrong, lambda x: float(x.sum()), awkward_matrices(leave_out=["read-only"]))


@pytest.mark.parametrize(
    "got, expected, words",
    [
        (np.zeros(3), np.zeros(4), "shape"),
        ({"a": 1.0}, {"b": 1.0}, "keys"),
        ((1.0, 2.0), (1.0, 2.5), "part 1"),
        (np.array([np.nan]), np.array([0.0]), "nan"),
        (np.array(["a"]), np.array(["b"]), "b"),
    ],
)
def test_differences_are_told(got: object, expected: object, words: str) -> None:
    assert words in compare_outputs(got, expected)
    assert compare_outputs(expected, expected) == ""


def test_the_awkward_matrices_are_what_their_names_say() -> None:
    made = {name: make(np.random.default_rng(0)) for name, make in AWKWARD.items()}
    assert np.linalg.matrix_rank(made["rank-deficient"]) < made["rank-deficient"].shape[1]
    assert made["constant column"][:, 1].std() == 0
    assert len(np.unique(made["duplicated rows"], axis=0)) < len(made["duplicated rows"])
    assert made["float32"].dtype == np.float32
    assert made["Fortran order"].flags.f_contiguous
    assert not made["every second row"].flags.contiguous
    assert not made["read-only"].flags.writeable


class TestGradcheck:
    def test_a_right_gradient_passes(self, rng: np.random.Generator) -> None:
        x = rng.standard_normal((3, 2))
        gradcheck(lambda x: float((x**3).sum()), lambda x: 3 * x**2, x)

    @pytest.mark.parametrize("factor", [0.999, 2.0, -1.0, np.nan])
    def test_a_wrong_gradient_fails_with_both_numbers(self, factor: float) -> None:
        with pytest.raises(AssertionError, match="by differences"):
            gradcheck(lambda x: float((x**2).sum()), lambda x: factor * 2 * x, [1.0, 2.0])

    def test_a_gradient_of_another_shape_fails(self) -> None:
        with pytest.raises(AssertionError, match="shape"):
            gradcheck(lambda x: float(x.sum()), lambda x: [1.0], [1.0, 2.0])


class TestLabs:
    def test_a_lab_runs_in_the_tests_folder(self, workspace: Workspace, tmp_path: Path) -> None:
        result = run_lab("small-demo/count", tmp_path / "run", steps=4)
        assert result.content["parameters"]["steps"] == 4
        assert (result.folder / "run.json").is_file()
        assert result.value("total") >= 4
        assert_claims(result)

    def test_a_claim_that_fails_is_told(self, workspace: Workspace, tmp_path: Path) -> None:
        result = run_lab("small-demo/count", tmp_path / "run", preset="full")
        with pytest.raises(AssertionError, match="does not hold"):
            assert_claims(result)

    def test_a_lab_that_lacks_something_is_found(self, workspace: Workspace) -> None:
        with pytest.raises(AssertionError, match="tells the idea"):
            assert_lab_is_whole(workspace.lab("small-demo/draw-line"))
        with pytest.raises(AssertionError, match="no line of help"):
            assert_lab_is_whole(workspace.lab("small-demo/count"))
