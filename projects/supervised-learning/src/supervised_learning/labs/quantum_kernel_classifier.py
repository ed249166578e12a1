"""Compare rows as quantum states: a kernel from a simulated circuit, and what it is good for.

The circuit and its kernel are in `supervised_learning.quantum`. The simulation is checked against
full matrices of every gate. The figure shows the kernel of two half moons (rows sorted by class:
bright blocks are alike), the border that a support vector machine draws with it, and the held-out
accuracy against the bandwidth. Wide angles make every state unlike every other, and the machine
learns by heart. At its best the quantum kernel comes out beside an ordinary Gaussian kernel: on
tables like these, which a laptop simulates, nothing is gained by it.

V. Havlíček and others, Supervised learning with quantum-enhanced feature spaces, 2019; R. Shaydulin
and S. Wild, Importance of kernel bandwidth in quantum machine learning, 2022.
"""

from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray
from sklearn import svm
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.quantum import QuantumKernelClassifier, encode, quantum_kernel

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 300},
    "default": {},
    "full": {
        "sets": ("penguins", "jb_banknote_authentication", "jb_wheat_seeds", "jb_ionosphere"),
        "seeds": 5,
        "rows": 2000,
        "largest": 5_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("simulation_error", "<=", 1e-10),
    Claim("least_eigenvalue", ">=", -1e-9),
    Claim("moons_accuracy", ">=", 0.9),
    Claim("lost_to_wide_angles", ">=", 0.1),
    Claim("behind.QuantumKernelClassifier", "<=", 0.5),
    Claim("ratio.fit.QuantumKernelClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.QuantumKernelClassifier", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.QuantumKernelClassifier", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.QuantumKernelClassifier", "<=", 2.0, presets=("full",)),
]
BANDWIDTHS = (0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0)
BANDWIDTH = 0.3


def main(
    run: Run,
    *,
    sets: Sets = ("iris", "wine", "breast_cancer"),
    seeds: Seeds = 3,
    rows: Rows = 1000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Check the simulation, draw the kernel, then hold the classifier against the reference."""
    X = np.random.default_rng(run.seed).uniform(-2, 2, (6, 3))
    exact = np.abs(by_matrices(X) @ by_matrices(X).conj().T) ** 2
    run.metric("simulation_error", float(np.abs(quantum_kernel(X, X, 3, 2) - exact).max()))
    draw(run)
    pair = Pair(
        "QuantumKernelClassifier",
        QuantumKernelClassifier(),
        make_pipeline(
            StandardScaler(),
            FunctionTransformer(partial(np.multiply, BANDWIDTH)),
            svm.SVC(kernel=quantum_kernel),
        ),
        library="scikit-learn (SVC with the same kernel)",
    )
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def by_matrices(X: NDArray) -> NDArray:
    """The states of three angles on three qubits, gate by gate as full 8 × 8 matrices: (n, 8)."""
    one, z = np.eye(2), np.diag([1.0, -1.0])
    gate = np.array([[1, 1], [1, -1]]) / np.sqrt(2)

    def on(operators: dict[int, NDArray]) -> NDArray:
        return reduce(np.kron, [operators.get(qubit, one) for qubit in range(3)])

    states = []
    for x in X:
        state = np.eye(8)[0].astype(complex)
        for _ in range(2):
            for qubit in range(3):
                state = on({qubit: gate}) @ state
            for qubit in range(3):
                state = _exponential(x[qubit] * on({qubit: z})) @ state
            for qubit in range(2):
                angle = (np.pi - x[qubit]) * (np.pi - x[qubit + 1])
                state = _exponential(angle * on({qubit: z, qubit + 1: z})) @ state
        states.append(state)
    return np.array(states)


def _exponential(hermitian: NDArray) -> NDArray:
    values, vectors = np.linalg.eigh(hermitian)
    return (vectors * np.exp(1j * values)) @ vectors.conj().T


def draw(run: Run) -> None:
    """The kernel as an image, the border, and the accuracy against the bandwidth."""
    bunch = run.data("moons", n=300, noise=0.15, seed=run.seed)
    X, y = bunch["x"], bunch["y"]
    scaled = BANDWIDTH * StandardScaler().fit_transform(X)
    sorted_rows = np.argsort(y, kind="stable")
    kernel = quantum_kernel(scaled[sorted_rows], scaled[sorted_rows])
    run.metric("least_eigenvalue", float(np.linalg.eigvalsh(kernel)[0]))
    run.metric("norm_error", float(np.abs(np.linalg.norm(encode(scaled), axis=1) - 1).max()))

    figure, axes = plots.figure(1, 3, width=9.6, height=3.1)
    axes[0].imshow(kernel, vmin=0, vmax=1)
    axes[0].set(title="Overlaps", xticks=[], yticks=[])
    ticks = [np.linspace(X[:, i].min() - 0.3, X[:, i].max() + 0.3, 90) for i in (0, 1)]
    grid = np.meshgrid(*ticks)
    model = QuantumKernelClassifier(C=10).fit(X, y)
    scores = model.decision_function(np.column_stack([g.ravel() for g in grid]))
    axes[1].contourf(*grid, scores.reshape(grid[0].shape) > 0, cmap="RdBu_r", alpha=0.35)
    for value in (0, 1):
        axes[1].plot(*X[y == value].T, ".", markersize=3)
    axes[1].set(title="Border", xticks=[], yticks=[])

    curve = [
        cross_val_score(QuantumKernelClassifier(bandwidth=width, C=10), X, y, cv=5).mean()
        for width in BANDWIDTHS
    ]
    gaussian = cross_val_score(make_pipeline(StandardScaler(), svm.SVC(C=10)), X, y, cv=5).mean()
    run.metric("moons_accuracy", max(curve))
    run.metric("moons_accuracy.gaussian", gaussian)
    run.metric("lost_to_wide_angles", max(curve) - curve[-1])
    axes[2].semilogx(BANDWIDTHS, curve, "o-", markersize=3, label="quantum")
    axes[2].axhline(gaussian, color=plots.PALETTE[7], linestyle="--", label="Gaussian")
    axes[2].set(title="Bandwidth", xlabel="bandwidth", ylabel="held-out accuracy")
    axes[2].legend()
    run.figure(
        "kernel",
        figure,
        "Overlaps of the states, rows sorted by class; the border; accuracy against bandwidth.",
        format="png",
    )
