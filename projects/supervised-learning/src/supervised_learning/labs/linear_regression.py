"""Fit a line three ways, see which digits survive, and test what its standard errors assume.

Least squares has a closed form, and the closed form has two ways to be computed. The normal
equations square the condition number of the data; QR does not, and keeps twice the digits where
columns nearly depend on each other. Gradient descent never solves a system: it pays for the
condition number in steps, of the order of κ² without momentum and κ with it. The lab also fits the
same line in plain Python, lists and loops, to show that nothing else is needed.

Standard errors, t values and intervals hold under assumptions: a linear relation, independent
errors, one variance, a normal shape. The residual plots and the four tests look at each; on real
tables some fail, and the table says which. Rows with a large Cook's distance move the fit.

Gauss, *Theoria combinationis observationum*, 1823. Anscombe, "Graphs in statistical analysis",
1973. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition, 2002, chapter 20.
"""

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from scipy import stats
from sklearn import linear_model

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Pair, study
from supervised_learning import linear_diagnostics as diagnostics
from supervised_learning.least_squares import Array
from supervised_learning.linear import LinearRegression, accelerated_descent

PRESETS = {
    "smoke": {"seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "data": "concrete",
        "sets": (
            "concrete", "california_housing", "diamonds", "ames_full", "insurance", "jb_abalone",
            "jb_winequality_white",
        ),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}  # fmt: skip
CLAIMS = [
    Claim("behind.LinearRegression", "<=", 0.5),
    Claim("coefficient_error.LinearRegression", "<=", 1e-5),
    Claim("library_free_error", "<=", 1e-6),
    Claim("error.qr@1e6", "<=", 1e-8),
    Claim("digits_qr_keeps_beyond_normal@1e6", ">=", 2),
    Claim("steps_plain_over_accelerated", ">=", 3),
    Claim("test_r2", ">=", 0.4, presets=("smoke", "default")),
    Claim("test_r2", ">=", 0.55, presets=("full",)),
    Claim("p.linear", "<=", 0.01, presets=("full",)),  # strength does not grow in lines
    Claim("ratio.fit.LinearRegression", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.LinearRegression", "<=", 1.2, presets=("full",)),
    Claim("exponent_excess.LinearRegression", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.LinearRegression", "<=", 2.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[str, "the table that is looked at closely"] = "diabetes",
    sets: Annotated[tuple[str, ...], "the tables to score on"] = ("diabetes", "friedman1"),
    seeds: Annotated[int, Ge(1), "splits of each table"] = 3,
    rows: Annotated[int, Ge(0), "rows of the timed fit"] = 5000,
    largest: Annotated[int, Ge(0), "the largest n of the growth curve; 0 draws none"] = 0,
    memory: Annotated[bool, "whether to measure the peak memory"] = False,
) -> None:
    x, y = tables.matrix(data, run.data, rows=5000, seed=run.seed, standardize=True)
    figure, panels = plots.figure(2, 2, width=9, height=6.6)
    look_at_assumptions(run, data, x, y, panels[0])
    compare_digits(run, panels[1, 0])
    compare_steps(run, x, y, panels[1, 1])
    run.figure(
        "line",
        figure,
        f"Top: the residuals of {data}, against the fitted values and against a normal's "
        "quantiles; the line is their mean in tenths of the rows. Bottom: what the three ways to "
        "compute the same answer cost, in digits and in steps.",
    )
    run.metric("library_free_error", check_library_free(x[:300], y[:300]))
    errors = []
    for name in sets:
        x, y = tables.matrix(name, run.data, rows=5000, seed=run.seed, standardize=True)
        ours, theirs = LinearRegression().fit(x, y), linear_model.LinearRegression().fit(x, y)
        errors.append(np.abs(ours.coef_ - theirs.coef_).max() / np.abs(theirs.coef_).max())
    run.metric("coefficient_error.LinearRegression", max(errors))
    pair = Pair("LinearRegression", LinearRegression(), linear_model.LinearRegression())
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def look_at_assumptions(run: Run, name: str, x: Array, y: Array, panels: Array) -> None:
    """Fit, tell how sure the fit is, and test the four assumptions on the residuals."""
    order = run.rng.permutation(len(y))
    test, train = order[: len(y) // 4], order[len(y) // 4 :]
    run.metric("test_r2", LinearRegression().fit(x[train], y[train]).score(x[test], y[test]))
    fit = diagnostics.infer(x, y)
    inflation = [np.nan, *diagnostics.variance_inflation(x)]
    frame, _ = tables.frame(name, run.data)
    columns = list(frame.columns) if frame.shape[1] == x.shape[1] else range(x.shape[1])
    run.table(
        "coefficients",
        [
            {"column": str(column), "coefficient": fit.coef[j], "standard_error":
             fit.standard_error[j], "t": fit.t_value[j], "p": fit.p_value[j],
             "variance_inflation": inflation[j]}
            for j, column in enumerate(["intercept", *columns])
        ],
        caption="Coefficients for columns of spread 1; a large variance inflation means that other "
        "columns tell the same",
    )  # fmt: skip
    run.metric("r2", fit.r_squared)
    run.metric("largest_variance_inflation", max(inflation[1:]))
    run.metric("largest_cooks_distance", fit.cooks_distance.max())
    run.metric("p.linear", diagnostics.ramsey_reset(x, y)[1])
    run.metric("p.one_variance", diagnostics.breusch_pagan(fit.residual, x)[1])
    run.metric("p.normal", diagnostics.jarque_bera(fit.residual)[1])
    run.metric("durbin_watson", diagnostics.durbin_watson(fit.residual))

    left, right = panels
    fitted, residual = y - fit.residual, fit.studentized
    some = run.rng.permutation(len(y))[:400]
    left.scatter(fitted[some], residual[some], s=6, alpha=0.4)
    tenths = np.array_split(np.argsort(fitted), 10)
    means = [(fitted[part].mean(), residual[part].mean()) for part in tenths]
    left.plot(*zip(*means, strict=True), "o-", color=plots.PALETTE[1], markersize=3)
    left.axhline(0, color=plots.PALETTE[7], linewidth=1)
    left.set(title="Is it a line, of one width?", xlabel="fitted", ylabel="studentized residual")
    levels = (np.arange(150) + 0.5) / 150
    right.plot(stats.norm.ppf(levels), np.quantile(residual, levels), ".", markersize=4)
    right.plot([-3, 3], [-3, 3], color=plots.PALETTE[7], linewidth=1)
    right.set(title="Are the errors normal?", xlabel="normal quantile", ylabel="residual")


def compare_digits(run: Run, panel: Any) -> None:
    """The error of the coefficients against the condition number of the columns."""
    kappas = np.geomspace(1e1, 1e8, 15)
    solvers: dict[str, dict[str, float]] = {
        "qr": {"tol": 0},
        "normal": {"tol": 0},
        "gradient": {"tol": 1e-12},
    }
    errors: dict[str, list[float]] = {name: [] for name in solvers}
    for kappa in kappas:
        U = np.linalg.qr(run.rng.standard_normal((500, 8)))[0]
        V = np.linalg.qr(run.rng.standard_normal((8, 8)))[0]
        x, w = U * np.geomspace(1, 1 / kappa, 8) @ V.T, run.rng.standard_normal(8)
        for solver, options in solvers.items():
            if solver == "gradient" and kappa > 3e3:  # more than 100,000 steps
                continue
            model = LinearRegression(
                solver=solver, fit_intercept=False, max_iter=200_000, **options
            ).fit(x, x @ w)
            errors[solver].append(float(np.linalg.norm(model.coef_ - w) / np.linalg.norm(w)))
    at = int(np.argmin(np.abs(kappas - 1e6)))
    run.metric("error.qr@1e6", errors["qr"][at])
    run.metric("error.normal@1e6", errors["normal"][at])
    run.metric(
        "digits_qr_keeps_beyond_normal@1e6", np.log10(errors["normal"][at] / errors["qr"][at])
    )
    for solver, marker in zip(solvers, "os^", strict=True):
        panel.loglog(kappas[: len(errors[solver])], errors[solver], marker + "-", markersize=3,
                     label=solver)  # fmt: skip
    panel.set(title="Digits: what the condition number costs", xlabel="condition number",
              ylabel="relative error")  # fmt: skip
    panel.legend()


def compare_steps(run: Run, x: Array, y: Array, panel: Any) -> None:
    """The distance to the closed form after each step of descent, plain and with momentum."""
    y = y - y.mean()
    gram, cross = x.T @ x, x.T @ y
    lipschitz = float(np.linalg.norm(gram, 2))
    best = LinearRegression(fit_intercept=False).fit(x, y).coef_
    distances: dict[str, list[float]] = {"plain": [], "with momentum": []}

    def gradient(w: Array, name: str) -> Array:
        distances[name].append(float(np.linalg.norm(w - best) / np.linalg.norm(best)))
        return gram @ w - cross

    accelerated_descent(
        lambda w: gradient(w, "with momentum"), np.zeros_like(best), lipschitz, 1e-12, 100_000
    )
    w = np.zeros_like(best)
    while len(distances["plain"]) < 3000 or distances["plain"][-1] > 1e-2:
        w = w - gradient(w, "plain") / lipschitz
    taken = [int(np.argmax(np.array(curve) < 1e-2)) for curve in distances.values()]
    run.metric("steps_plain_over_accelerated", taken[0] / taken[1])
    for name, curve in distances.items():
        shown = np.arange(0, min(len(curve), 3000), 10)
        panel.semilogy(shown, np.maximum(curve, 1e-16)[shown], label=name)
    panel.set(title="Steps: the way to the closed form", xlabel="step", ylabel="relative distance")
    panel.legend()


def check_library_free(x: Array, y: Array) -> float:
    """The largest difference of plain Python's coefficients from the closed form, relatively."""
    w, b = library_free_fit(x.tolist(), y.tolist())
    closed = LinearRegression().fit(x, y)
    got, best = np.array([b, *w]), np.array([closed.intercept_, *closed.coef_])
    return float(np.abs(got - best).max() / np.abs(best).max())


def library_free_fit(
    rows: list[list[float]], targets: list[float], tol: float = 1e-10, max_steps: int = 20_000
) -> tuple[list[float], float]:
    """Linear regression by gradient descent with momentum, in lists and loops; returns w, b.

    The intercept is a column of ones. The trace of the Gram matrix bounds its largest eigenvalue,
    so 1 / trace is a step that never overshoots.
    """
    rows = [[*row, 1.0] for row in rows]
    step = 1 / sum(value * value for row in rows for value in row)
    w = ahead = [0.0] * len(rows[0])
    momentum, first = 1.0, None
    for _ in range(max_steps):
        gradient = [0.0] * len(w)
        for row, target in zip(rows, targets, strict=True):
            error = sum(a * b for a, b in zip(row, ahead, strict=True)) - target
            for j, value in enumerate(row):
                gradient[j] += error * value
        norm = sum(g * g for g in gradient) ** 0.5
        first = first or norm
        if norm <= tol * first:
            break
        before, w = w, [a - step * g for a, g in zip(ahead, gradient, strict=True)]
        moved = [a - b for a, b in zip(w, before, strict=True)]
        if sum(g * m for g, m in zip(gradient, moved, strict=True)) > 0:
            momentum = 1.0
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = [a + (momentum - 1) / following * m for a, m in zip(w, moved, strict=True)]
        momentum = following
    return ahead[:-1], ahead[-1]
