r"""A quantum kernel, simulated: rows as states of a few qubits, compared by their overlap.

A circuit $U(x)$ turns the state $|0\rangle$ of $q$ qubits into $|\phi(x)\rangle = U(x)|0\rangle$, a
unit vector of $2^q$ complex amplitudes. On a device the kernel

$$ k(x, x') = |\langle \phi(x) | \phi(x') \rangle|^2 $$

is measured: run $U(x')$, then $U(x)$ backwards, and count how often all qubits read 0. Here the
amplitudes are computed, so the kernel is exact. The circuit is that of V. Havlíček and others,
*Supervised learning with quantum-enhanced feature spaces*, 2019: layers of Hadamard gates and of
phases that the data set,

$$ \exp\Big(i \sum_j x_j Z_j + i \sum_j (\pi - x_j)(\pi - x_{j+1}) Z_j Z_{j+1}\Big), $$

which are diagonal: a phase for each amplitude. With more columns than qubits the columns come in
groups of $q$, one after the other (A. Pérez-Salinas and others, *Data re-uploading for a universal
quantum classifier*, 2020).

The overlap is an inner product of real vectors, $k = \mathrm{Tr}(\rho \rho')$ with
$\rho = |\phi\rangle\langle\phi|$, so any linear method can learn in that space of $4^q$ numbers.
The classifier is a support vector machine there.
"""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from supervised_learning.svm import SVC


def hadamard(n_qubits: int) -> NDArray[np.float64]:
    """The Hadamard gate on every qubit: a symmetric orthogonal matrix (2^q, 2^q)."""
    gate = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
    whole = np.ones((1, 1))
    for _ in range(n_qubits):
        whole = np.kron(whole, gate)
    return whole


def signs(n_qubits: int) -> NDArray[np.float64]:
    """The eigenvalues ±1 of each Z_j over the basis states: (q, 2^q)."""
    states = np.arange(2**n_qubits)
    bits = states[None, :] >> np.arange(n_qubits - 1, -1, -1)[:, None] & 1
    return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)


def encode(X: NDArray, n_qubits: int = 4, repetitions: int = 2) -> NDArray[np.complex128]:
    """The states |φ(x)⟩ of the rows: X (n, d) of angles → unit vectors (n, 2^q)."""
    n, d = X.shape
    groups = -(-d // n_qubits)
    padded = np.zeros((n, groups * n_qubits))
    padded[:, :d] = X
    z = signs(n_qubits)
    gate = hadamard(n_qubits)
    state: NDArray[np.complex128] = np.zeros((n, 2**n_qubits), dtype=np.complex128)
    state[:, 0] = 1.0
    for _ in range(repetitions):
        for group in np.split(padded, groups, axis=1):
            state @= gate
            angle = group @ z
            if n_qubits > 1:
                angle += ((np.pi - group[:, :-1]) * (np.pi - group[:, 1:])) @ (z[:-1] * z[1:])
            state *= np.exp(1j * angle)
    return state


def quantum_kernel(
    X: NDArray, Y: NDArray, n_qubits: int = 4, repetitions: int = 2
) -> NDArray[np.float64]:
    """The overlaps |⟨φ(x)|φ(y)⟩|² of rows X (n, d) and Y (m, d): (n, m), from 0 to 1."""
    a, b = (encode(rows, n_qubits, repetitions) for rows in (X, Y))
    return np.abs(a @ b.conj().T) ** 2


def density(state: NDArray[np.complex128]) -> NDArray[np.float64]:
    """ρ = |φ⟩⟨φ| as a real vector: (n, 2^q) → (n, 4^q); inner products are the squared overlaps.

    The diagonal is real; above it real and imaginary parts count twice, once for below.
    """
    rho = state[:, :, None] * state[:, None, :].conj()
    above = np.triu_indices(state.shape[1], 1)
    diagonal = np.einsum("nii->ni", rho).real
    upper = np.sqrt(2) * rho[:, above[0], above[1]]
    return np.hstack([diagonal, upper.real, upper.imag])


class QuantumKernelClassifier(ClassifierMixin, BaseEstimator):
    """A support vector machine with a simulated quantum kernel.

    Parameters
    ----------
    n_qubits : int
        The simulation takes 2^q amplitudes a row, and 4^q numbers for the support vector machine.
    repetitions : int
        How often the whole circuit is repeated.
    bandwidth : float
        The standardized columns are multiplied by it before they become angles: a narrow one makes
        every row unlike every other (R. Shaydulin and S. Wild, *Importance of kernel bandwidth in
        quantum machine learning*, 2022).
    C : float
        The price of a margin that is not kept.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    mean_, scale_ : arrays of shape (n_features,), of the standardization.
    machine_ : the fitted `SVC`.

    Examples
    --------
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    >>> QuantumKernelClassifier(n_qubits=2, C=100).fit(X, y).predict(X).tolist()
    [0, 1, 1, 0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_qubits": [Interval(Integral, 1, 8, closed="both")],
        "repetitions": [Interval(Integral, 1, None, closed="left")],
        "bandwidth": [Interval(Real, 0, None, closed="neither")],
        "C": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self, n_qubits: int = 4, *, repetitions: int = 2, bandwidth: float = 0.3, C: float = 1.0
    ) -> None:
        self.n_qubits = n_qubits
        self.repetitions = repetitions
        self.bandwidth = bandwidth
        self.C = C

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (n, d) and the classes y (n,)."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        self.mean_, self.scale_ = X.mean(axis=0), X.std(axis=0)
        self.scale_[self.scale_ == 0] = 1.0
        self.machine_ = SVC(kernel="linear", C=self.C).fit(self._features(X), y)
        return self

    def _features(self, X: NDArray) -> NDArray:
        angles = self.bandwidth * (X - self.mean_) / self.scale_
        return density(encode(angles, self.n_qubits, self.repetitions))

    def decision_function(self, X: ArrayLike) -> NDArray:
        """The scores of the support vector machine: shape (n,) or (n, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        scores: NDArray = self.machine_.decision_function(self._features(X))
        return scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class of the highest score of each row: shape (n,)."""
        scores = self.decision_function(X)
        best = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
        classes: NDArray[Any] = self.classes_[best]
        return classes
