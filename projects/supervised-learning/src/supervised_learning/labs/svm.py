"""Separate two classes by the widest margin: hard and soft, linear and curved, primal and dual.

The primal asks for the line with the widest margin, the dual for a weight on each point; both are
quadratic programs, in `supervised_learning.svm.dual_qp` with their derivation, and their optimal
values are the same. The dual holds the points only in inner products, so a kernel can stand there:
`supervised_learning.svm.machines` solves that for thousands of points by SMO, two weights at a
time, and `supervised_learning.svm.primal` finds linear borders without a dual by Newton's method.

Above, irises: a hard margin where a line separates them (circled: the points that hold it), and
soft margins where none does; the lower the price C of a point on the wrong side, the wider. Below,
two moons with a linear and a radial kernel, and the kernel trick undone: two rings, a circle
between them by a polynomial kernel, which is a straight line in the squares of the coordinates.

C. Cortes and V. Vapnik, Support-vector networks, 1995; J. Platt, Fast training of support vector
machines using sequential minimal optimization, 1998; R.-E. Fan, P.-H. Chen and C.-J. Lin, Working
set selection using second order information for training support vector machines, 2005.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import svm
from sklearn.model_selection import train_test_split

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import (
    Largest,
    Memory,
    Pair,
    Rows,
    Seeds,
    Sets,
    coefficient_error,
    study,
)
from supervised_learning.svm import SVC, SVR, LinearSVC, LinearSVR
from supervised_learning.svm.dual_qp import Margin, margin_dual, margin_primal

PRESETS = {
    "smoke": {"sets": ("iris", "diabetes"), "seeds": 2, "rows": 500},
    "default": {},
    "full": {
        "data": "letter",
        "most_rows": 6000,
        "sets": (
            "letter",
            "penguins",
            "jb_german",
            "wisdm_har",
            "concrete",
            "jb_abalone",
            "jb_winequality_red",
            "student_mat",
        ),
        "seeds": 5,
        "rows": 5000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("duality_gap", "<=", 1e-6),
    Claim("smo_gap", "<=", 1e-6),
    Claim("wider_by_low_price", ">=", 1.5),
    Claim("lifted_difference", "<=", 1e-6),
    Claim("gained_by_kernel.moons", ">=", 0.05),
    Claim("gained_by_kernel", ">=", 0.0),
    Claim("test_accuracy.rbf", ">=", 0.9),
    Claim("coefficient_error.SVC", "<=", 1e-5),
    Claim("coefficient_error.SVR", "<=", 1e-5),
    Claim("coefficient_error.LinearSVC", "<=", 1e-5),
    Claim("coefficient_error.LinearSVR", "<=", 1e-5),
    Claim("behind.SVC", "<=", 0.5),
    Claim("behind.SVR", "<=", 0.5),
    Claim("behind.LinearSVC", "<=", 0.5),
    Claim("behind.LinearSVR", "<=", 0.5),
    Claim("ratio.fit.SVC", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.SVR", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.LinearSVC", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.LinearSVR", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.SVC", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.SVR", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.LinearSVC", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.LinearSVR", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.SVC", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.SVR", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.LinearSVC", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.LinearSVR", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.SVC", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.SVR", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.LinearSVC", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.LinearSVR", "<=", 2.0, presets=("full",)),
]
PETALS = [2, 3]  # length and width


def main(
    run: Run,
    *,
    data: Annotated[Literal["digits", "letter"], "the table of the kernels"] = "digits",
    most_rows: Annotated[int, Ge(100), "rows of it at most"] = 1800,
    sets: Sets = ("iris", "wine", "breast_cancer", "diabetes", "friedman1"),
    seeds: Seeds = 3,
    rows: Rows = 3000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Solve and draw margins, compare kernels, then hold the machines against the reference."""
    figure, axes = plots.figure(2, 3, width=9.6, height=5.9)
    margins(run, axes[0])
    moons(run, axes[1, :2])
    kernel_trick(run, axes[1, 2])
    for cell in axes.flat:
        cell.grid(False)
    run.figure(
        "margins",
        figure,
        "Decision borders (black), margins (dashed) and support vectors (circled). Above: irises "
        "with a hard and two soft margins. Below: a linear and a radial kernel on two moons, and a "
        "polynomial kernel's border between two rings, drawn over the squares of the coordinates.",
    )
    compare_kernels(run, data, most_rows, seeds)

    tight: dict[str, Any] = {"kernel": "linear", "tol": 1e-9}
    newton: dict[str, Any] = {"dual": False, "tol": 1e-12, "max_iter": 100_000}
    squared = {"loss": "squared_epsilon_insensitive"}
    three, values = ("iris", "wine", "breast_cancer"), ("diabetes", "friedman1")
    coefficient_error(run, "SVC", SVC(**tight), svm.SVC(**tight), three)
    coefficient_error(run, "SVR", SVR(**tight), svm.SVR(**tight), values)
    coefficient_error(run, "LinearSVC", LinearSVC(tol=1e-12), svm.LinearSVC(**newton), three)
    reference = svm.LinearSVR(**squared, **newton)
    coefficient_error(run, "LinearSVR", LinearSVR(tol=1e-12), reference, values)
    classes = [name for name in sets if not tables.is_regression(name)]
    numbers = [name for name in sets if tables.is_regression(name)]
    pairs = [
        Pair("SVC", SVC(), svm.SVC(), sets=classes),
        Pair("SVR", SVR(), svm.SVR(), sets=numbers),
        Pair("LinearSVC", LinearSVC(), svm.LinearSVC(dual=False), sets=classes),
        Pair("LinearSVR", LinearSVR(), svm.LinearSVR(dual=False, **squared), sets=numbers),
    ]
    study(run, pairs, seeds=seeds, rows=rows, largest=largest, limit_s=5.0, memory=memory)


def margins(run: Run, axes: Any) -> None:
    """Hard and soft margins of irises: primal, dual and SMO find the same, and the lines."""
    iris = run.data("iris")
    X, y = np.asarray(iris["x"]), np.asarray(iris["y"])
    problems = [
        ("Hard", X[y < 2], np.where(y[y < 2] == 1, 1.0, -1.0), np.inf),
        ("Soft, C = 100", X[y > 0], np.where(y[y > 0] == 2, 1.0, -1.0), 100.0),
        ("Soft, C = 0.3", X[y > 0], np.where(y[y > 0] == 2, 1.0, -1.0), 0.3),
    ]
    SVC(kernel="linear", tol=1e-10).fit([[0.0], [1.0]], [0, 1])  # compiles
    table, gaps, smo_gaps, widths = [], [], [], []
    for cell, (title, points, sign, price) in zip(axes, problems, strict=True):
        points = points[:, PETALS]
        smo = SVC(kernel="linear", C=min(price, 1e4), tol=1e-10)
        seconds: list[float] = []
        primal = timed(seconds, partial(margin_primal, points, sign, price))
        dual = timed(seconds, partial(margin_dual, points, sign, price))
        machine = timed(seconds, partial(smo.fit, points, sign))
        w, alpha = machine.coef_[0], np.abs(machine.dual_coef_).sum()
        values = [primal.value, dual.value, float(alpha - 0.5 * w @ w)]
        gaps.append(abs(values[0] - values[1]) / values[0])
        smo_gaps.append(abs(values[0] - values[2]) / values[0])
        widths.append(primal.width)
        table += [
            {"problem": title, "solver": solver, "value": value, "seconds": s}
            for solver, value, s in zip(("primal", "dual", "SMO"), values, seconds, strict=True)
        ]
        draw_border(cell, points, sign, partial(distance, primal), held(primal))
        cell.set_title(f"{title}: width {primal.width:.2f} cm")
        cell.set(xlabel="petal length (cm)", ylabel="petal width (cm)")
    run.table("solvers", table, caption="The optimal value as three solvers find it")
    run.metric("duality_gap", max(gaps))
    run.metric("smo_gap", max(smo_gaps))
    run.metric("wider_by_low_price", widths[2] / widths[1])


def timed(seconds: list[float], solve: Callable[[], Any]) -> Any:
    """What `solve` gives; its time is added to the list."""
    start = time.perf_counter()
    result = solve()
    seconds.append(time.perf_counter() - start)
    return result


def distance(margin: Margin, X: NDArray) -> NDArray:
    """The decision function of a margin: shape (n,)."""
    return X @ margin.w + margin.b


def held(margin: Margin) -> NDArray:
    """The points with a weight: those that hold the margin or are short of it."""
    return np.flatnonzero(margin.alpha > 1e-6 * margin.alpha.max())


def moons(run: Run, axes: Any) -> None:
    """Two moons with a linear and a radial kernel, drawn, and scored on moons not seen."""
    train, test = (run.data("moons", n=n, noise=0.2, seed=n) for n in (200, 1000))
    X, y = np.asarray(train["x"]), np.asarray(train["y"])
    scores = []
    for cell, kernel in zip(axes, ("linear", "rbf"), strict=True):
        model = SVC(kernel=kernel, C=2.0, gamma=2.0).fit(X, y)
        scores.append(model.score(test["x"], test["y"]))
        draw_border(cell, X, 2.0 * y - 1, model.decision_function, model.support_)
        words = "Linear" if kernel == "linear" else "Radial"
        cell.set_title(f"{words} kernel: {100 * scores[-1]:.0f} % right")
    run.metric("gained_by_kernel.moons", scores[1] - scores[0])


def kernel_trick(run: Run, cell: Any) -> None:
    """A polynomial kernel on two rings, and a linear one on the monomials that it stands for."""
    rings = run.data("circles", n=200, noise=0.08)
    X, y = np.asarray(rings["x"]), np.asarray(rings["y"])

    def lift(points: NDArray) -> NDArray:
        a, b = points.T
        return np.column_stack([a * a, b * b, np.sqrt(2) * a * b])

    curved = SVC(kernel="poly", degree=2, gamma=1.0, tol=1e-10).fit(X, y)
    straight = SVC(kernel="linear", tol=1e-10).fit(lift(X), y)
    apart = np.abs(curved.decision_function(X) - straight.decision_function(lift(X)))
    run.metric("lifted_difference", float(apart.max()))
    lifted = lift(X)[:, :2]

    def seen(grid: NDArray) -> NDArray:  # the plane where the product of the coordinates is 0
        return straight.decision_function(np.column_stack([grid, np.zeros(len(grid))]))

    draw_border(cell, lifted, 2.0 * y - 1, seen, straight.support_)
    cell.set_title("Two rings, lifted")
    cell.set(xlabel="$x_1^2$", ylabel="$x_2^2$")


def draw_border(
    cell: Any, X: NDArray, y: NDArray, decide: Callable[[NDArray], NDArray], support: NDArray
) -> None:
    """Points of two classes, the border of the decision function, its margins, who holds them."""
    low, high = X.min(axis=0), X.max(axis=0)
    room = 0.08 * (high - low)
    a, b = np.meshgrid(*np.linspace(low - room, high + room, 120).T)
    score = decide(np.column_stack([a.ravel(), b.ravel()])).reshape(a.shape)
    colors = (plots.PALETTE[1], plots.PALETTE[0])
    cell.contourf(a, b, score, levels=[-1e9, 0, 1e9], colors=colors, alpha=0.12)
    cell.contour(
        a,
        b,
        score,
        levels=[-1, 0, 1],
        colors="#20242c",
        linestyles=["--", "-", "--"],
        linewidths=[0.9, 1.6, 0.9],
    )
    for sign, color, marker in zip((-1, 1), colors, ("o", "s"), strict=True):
        cell.scatter(*X[y == sign].T, s=14, color=color, marker=marker, linewidths=0)
    cell.scatter(*X[support].T, s=44, facecolors="none", edgecolors="#20242c", linewidths=0.7)


def compare_kernels(run: Run, data: str, most_rows: int, seeds: int) -> None:
    """Held-out accuracy of a linear and of a radial kernel, ours and the reference's."""
    X, y = tables.matrix(data, run.data, rows=most_rows, seed=run.seed)
    scores: dict[str, list[float]] = {}
    for seed in run.seeds(seeds):
        train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=seed)
        for kernel in ("linear", "rbf"):
            for words, machine in (("", SVC), ("_reference", svm.SVC)):
                model = machine(kernel=kernel, C=10.0).fit(X[train], y[train])
                score = model.score(X[test], y[test])
                scores.setdefault(f"test_accuracy{words}.{kernel}", []).append(score)
    for name, values in scores.items():
        run.metric(name, values)
    gains = zip(scores["test_accuracy.rbf"], scores["test_accuracy.linear"], strict=True)
    run.metric("gained_by_kernel", [curved - straight for curved, straight in gains])
