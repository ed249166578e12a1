import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from supervised_learning.quantum import (
    QuantumKernelClassifier,
    density,
    encode,
    hadamard,
    quantum_kernel,
    signs,
)


@parametrize_with_checks([QuantumKernelClassifier(), QuantumKernelClassifier(n_qubits=2)])
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("n_qubits", [1, 2, 3, 5])
def test_gates_are_unitary_and_states_stay_of_length_1(
    n_qubits: int, rng: np.random.Generator
) -> None:
    gate = hadamard(n_qubits)
    assert np.allclose(gate @ gate, np.eye(2**n_qubits))
    state = encode(rng.uniform(-9, 9, (20, 7)), n_qubits, 3)
    assert np.allclose(np.linalg.norm(state, axis=1), 1)


def test_the_first_qubit_is_the_highest_bit() -> None:
    assert signs(2).tolist() == [[1, 1, -1, -1], [1, -1, 1, -1]]


def test_one_qubit_is_two_rotations() -> None:
    # H, phase x, H, phase x on |0>: the amplitudes by hand.
    x = 0.7
    a, b = np.exp(1j * x), np.exp(-1j * x)
    expected = np.array([(a + b) / 2 * a, (a - b) / 2 * b])
    assert np.allclose(encode(np.array([[x]]), 1, 2)[0], expected)


def test_the_kernel_is_an_inner_product_of_density_matrices(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((15, 3)), rng.standard_normal((10, 3))
    kernel = quantum_kernel(X, Y, 3)
    features = [density(encode(rows, 3)) for rows in (X, Y)]
    assert np.allclose(features[0] @ features[1].T, kernel)
    own = quantum_kernel(X, X, 3)
    assert np.allclose(np.diag(own), 1)
    assert np.linalg.eigvalsh(own)[0] > -1e-9


def test_more_columns_than_qubits_all_matter(rng: np.random.Generator) -> None:
    X = rng.standard_normal((1, 5))
    for column in range(5):
        moved = X.copy()
        moved[0, column] += 0.5
        assert quantum_kernel(X, moved, 2)[0, 0] < 0.999


@pytest.mark.parametrize("parameters", [{"n_qubits": 9}, {"bandwidth": 0.0}, {"C": 0.0}])
def test_a_bad_parameter_is_named(parameters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        QuantumKernelClassifier(**parameters).fit([[0.0], [1.0]], [0, 1])
