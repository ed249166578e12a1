from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies
from numpy.typing import NDArray

from groundwork.testing import (
    AWKWARD,
    assert_claims,
    assert_lab_is_whole,
    awkward_families,
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
    def test_a_right_solver_agrees_with_lapacks(self) -> None:
        def eliminate(a: NDArray, b: NDArray) -> NDArray:
            a, b = a.astype(float), b.astype(float)
            for k in range(len(a)):
                pivot = k + int(np.argmax(np.abs(a[k:, k])))
                a[[k, pivot]], b[[k, pivot]] = a[[pivot, k]], b[[pivot, k]]
                for i in range(k + 1, len(a)):
                    factor = a[i, k] / a[k, k]
                    a[i] -= factor * a[k]
                    b[i] -= factor * b[k]
            x = np.zeros_like(b)
            for k in reversed(range(len(a))):
                x[k] = (b[k] - a[k, k + 1 :] @ x[k + 1 :]) / a[k, k]
            return x

        def system(x: NDArray) -> tuple[NDArray, NDArray]:
            return x.T @ x + 10 * np.eye(x.shape[1]), np.arange(1.0, x.shape[1] + 1)

        families = awkward_matrices(leave_out=["huge and tiny", "far from 0"])
        parity(eliminate, np.linalg.solve, families.map(system), rtol=1e-4)

    @pytest.mark.parametrize("name", list(AWKWARD))
    def test_every_family_is_tried(self, name: str) -> None:
        made = AWKWARD[name](np.random.default_rng(0))

        def wrong(x: NDArray) -> float:
            return float(np.array_equal(x, made) and layout(x) == layout(made))

        def layout(x: NDArray) -> tuple[object, ...]:
            flags = x.flags
            return x.dtype, flags.c_contiguous, flags.f_contiguous, flags.writeable

        with pytest.raises(AssertionError, match=f"for {name}, "):
            parity(wrong, lambda x: 0.0, examples=1)

    def test_a_drawn_strided_array_stays_strided(self) -> None:
        def wrong(x: NDArray) -> float:
            return 0.0 if x.flags.c_contiguous else 1.0

        with pytest.raises(AssertionError, match=r"1.0 in place of 0.0"):
            parity(wrong, lambda x: 0.0, strategies.just(np.arange(6.0)[::2]))

    def test_less_precision_than_the_references_is_found(self) -> None:
        with pytest.raises(AssertionError, match="float64"):
            parity(lambda x: x.astype(np.float32) * 2, lambda x: x * 2.0, rtol=1e-10)

    def test_small_float32_values_are_not_taken_for_0(self) -> None:
        small = strategies.just(np.full(3, 9e-6, np.float32))
        with pytest.raises(AssertionError, match=r"0.0 in place of"):
            parity(np.zeros_like, lambda x: x, small)

    def test_two_mistakes_are_told_as_one(self) -> None:
        def wrong(x: NDArray) -> float:
            if x.shape[1] == 1:
                raise ValueError("one feature")
            return float(x.sum()) + 1

        with pytest.raises(AssertionError, match=r"^for "):
            parity(wrong, lambda x: float(x.sum()), awkward_matrices())

    @pytest.mark.parametrize("kind", [np.linalg.LinAlgError, ValueError])
    def test_an_error_and_a_subclass_of_it_are_of_one_kind(self, kind: type[Exception]) -> None:
        def ours(x: float) -> float:
            raise kind("no")

        def reference(x: float) -> float:
            raise ValueError("no")

        parity(ours, reference, strategies.just(1.0))
        parity(reference, ours, strategies.just(1.0))

    def test_a_mistake_in_the_test_is_no_agreement(self) -> None:
        with pytest.raises(AttributeError):
            parity(lambda x: x.nonsense, lambda x: x.nonsense)

    def test_writing_to_a_list_is_not_seen_by_the_other(self) -> None:
        def write(values: list[float]) -> float:
            values[0] = 5.0
            return values[0]

        with pytest.raises(AssertionError, match="in place of"):
            parity(lambda values: values[0], write, strategies.just([1.0]))

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
        (np.array([100_000_001]), np.array([100_000_002]), "off by 1"),
        (np.array([np.inf, 1.0]), np.array([np.inf, 2.0]), "at (1,)"),
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


@pytest.mark.parametrize("names", [["readonly"], "readonly"])
def test_a_family_that_is_not_there_is_refused(names: list[str] | str) -> None:
    with pytest.raises(ValueError, match="no family is called readonly"):
        awkward_families(leave_out=names)


class TestGradcheck:
    def test_an_array_takes_a_cotangent(self) -> None:
        weights = np.array([1.0, -2.0])
        gradcheck(lambda x: x**2, lambda x: 2 * x * weights, [1.0, 3.0], cotangent=weights)
        with pytest.raises(AssertionError, match="by differences"):
            gradcheck(lambda x: x**2, lambda x: 2 * x, [1.0, 3.0], cotangent=weights)
        with pytest.raises(ValueError, match="cotangent of the output's shape"):
            gradcheck(lambda x: x**2, lambda x: 2 * x, [1.0, 3.0])

    def test_an_empty_input_is_refused(self) -> None:
        with pytest.raises(ValueError, match="empty"):
            gradcheck(lambda x: 0.0, lambda x: x, [])

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
        assert result.status == "finished"
        assert result.metrics["repeated"]["n"] == 3
        assert result.comparisons == {}
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
