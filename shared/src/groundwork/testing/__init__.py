"""The test kit: differential tests, gradient checks, small data, and labs run as tests.

It ships with the package (`groundwork[testing]`), so that every member tests in the same way. Its
fixtures are found by pytest by themselves.
"""

from groundwork.testing.gradients import gradcheck, numerical_gradient
from groundwork.testing.inputs import AWKWARD, awkward_families, awkward_matrices
from groundwork.testing.labs import RunResult, assert_claims, assert_lab_is_whole, run_lab
from groundwork.testing.parity import compare_outputs, parity

__all__ = [
    "AWKWARD",
    "RunResult",
    "assert_claims",
    "assert_lab_is_whole",
    "awkward_families",
    "awkward_matrices",
    "compare_outputs",
    "gradcheck",
    "numerical_gradient",
    "parity",
    "run_lab",
]
