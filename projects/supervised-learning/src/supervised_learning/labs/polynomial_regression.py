"""Raise the degree of a polynomial until it fits the noise, and see ridge take that back.

A polynomial is a linear model on products of the columns. Each degree fits the training rows better
than the one before; new rows are fitted better up to a degree, and then worse: the coefficients
have begun to follow the noise. On one variable that can be seen. On a real table the number of
products grows like a power of the number of columns, and the turn comes early: with nearly as many
products as rows, least squares predicts worse than the mean of y. The same products with a small
price on the coefficients (ridge, the price chosen by cross-validation) keep what they gain.

Gergonne, "The application of the method of least squares to the interpolation of sequences", 1815.
Geman, Bienenstock and Doursat, "Neural networks and the bias/variance dilemma", 1992.
"""

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from sklearn import preprocessing
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Pair, study
from supervised_learning.least_squares import Array
from supervised_learning.linear import LinearRegression
from supervised_learning.polynomial import PolynomialFeatures
from supervised_learning.ridge import Ridge

PRESETS = {
    "smoke": {"seeds": 2, "rows": 1000, "degrees": 3},
    "default": {},
    "full": {
        "data": "concrete",
        "degrees": 4,
        "sets": ("concrete", "california_housing", "jb_abalone", "jb_winequality_white"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("behind.PolynomialFeatures", "<=", 1e-6),
    Claim("feature_error.PolynomialFeatures", "<=", 1e-12),
    Claim("best_degree", ">=", 3),
    Claim("best_degree", "<=", 9),
    Claim("error_of_degree_15_over_best", ">=", 1.5),
    Claim("train_r2@3", ">=", 0.75),
    Claim("ridge_gain@3", ">=", 0.05, presets=("smoke", "default")),
    Claim("ridge_gain@4", ">=", 0.05, presets=("full",)),
    Claim("test_r2@2", ">=", 0.7, presets=("full",)),
    Claim("gain_of_degree_2", ">=", 0.1, presets=("full",)),
    Claim("ratio.fit.PolynomialFeatures", "<=", 1.5, presets=("full",)),
    Claim("ratio.predict.PolynomialFeatures", "<=", 1.0, presets=("full",)),
    Claim("exponent_excess.PolynomialFeatures", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.PolynomialFeatures", "<=", 2.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[str, "the table whose columns are multiplied"] = "friedman1",
    degrees: Annotated[int, Ge(2), "the largest degree on the table"] = 3,
    sets: Annotated[tuple[str, ...], "the tables to score on"] = ("diabetes", "friedman1"),
    seeds: Annotated[int, Ge(1), "repetitions of each measurement"] = 5,
    rows: Annotated[int, Ge(0), "rows of the timed transformation"] = 5000,
    largest: Annotated[int, Ge(0), "the largest n of the growth curve; 0 draws none"] = 0,
    memory: Annotated[bool, "whether to measure the peak memory"] = False,
) -> None:
    figure, (left, middle, right) = plots.figure(1, 3, width=11, height=3.6)
    one_variable(run, left, middle)
    one_table(run, data, degrees, seeds, right)
    run.figure(
        "degrees",
        figure,
        "Left: polynomials through 30 points of a wave (grey) with noise. Middle: their error on "
        f"these points and on new ones, the median of 40 draws. Right: R² on {data} by the degree "
        "of the products.",
    )
    errors = []
    for name in sets:
        x, _ = tables.matrix(name, run.data, rows=200, seed=run.seed, standardize=True)
        for options in ({}, {"degree": 3, "interaction_only": True}, {"degree": (2, 2)}):
            ours = PolynomialFeatures(**options).fit_transform(x[:, :8])
            theirs = preprocessing.PolynomialFeatures(**options).fit_transform(x[:, :8])
            errors.append(np.abs(ours - theirs).max())
    run.metric("feature_error.PolynomialFeatures", max(errors))
    pair = Pair(
        "PolynomialFeatures",
        PolynomialFeatures(),
        preprocessing.PolynomialFeatures(),
        score=lambda fitted, x, y: 100 * Ridge().fit(fitted.transform(x), y).score(
            fitted.transform(x), y
        ),
        apply="transform",
    )  # fmt: skip
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def one_variable(run: Run, left: Any, middle: Any) -> None:
    """Fit a wave by polynomials of degree 0 to 15, over many draws of the points."""
    degrees, draws = range(16), 40
    inside, outside = np.empty((draws, 16)), np.empty((draws, 16))
    grid = np.linspace(-1, 1, 300)
    for draw in range(draws):
        x = np.sort(run.rng.uniform(-1, 1, 30))
        y = np.sin(4 * x) + 0.3 * run.rng.standard_normal(30)
        for degree in degrees:
            model = polynomial(degree).fit(x[:, None], y)
            inside[draw, degree] = np.mean((y - model.predict(x[:, None])) ** 2)
            truth = np.sin(4 * grid) - model.predict(grid[:, None])
            outside[draw, degree] = np.mean(truth**2) + 0.3**2
            if draw == 0 and degree in (1, 5, 15):
                left.plot(grid, model.predict(grid[:, None]), label=f"degree {degree}")
        if draw == 0:
            left.plot(grid, np.sin(4 * grid), color=plots.PALETTE[7], linewidth=1)
            left.plot(x, y, ".", color="black")
    left.set(ylim=(-2.2, 2.2), title="One draw", xlabel="x", ylabel="y")
    left.legend()
    train, test = np.median(inside, axis=0), np.median(outside, axis=0)
    best = int(test.argmin())
    run.metric("best_degree", best)
    run.metric("error_of_degree_15_over_best", test[15] / test[best])
    middle.semilogy(degrees, train, "o-", markersize=3, label="the same points")
    middle.semilogy(degrees, test, "s-", markersize=3, label="new points")
    middle.axhline(0.3**2, color=plots.PALETTE[7], linewidth=1)
    middle.set(title="Squared error by degree", xlabel="degree", xticks=range(0, 16, 3))
    middle.legend()


def polynomial(degree: int) -> Any:
    """Least squares on the powers of a variable, without any rounding away of small directions."""
    features = PolynomialFeatures(degree, include_bias=degree == 0)
    return make_pipeline(features, LinearRegression(tol=1e-14))


def one_table(run: Run, name: str, degrees: int, seeds: int, panel: Any) -> None:
    """R² of least squares and of ridge on products up to each degree, over splits of a table."""
    x, y = tables.matrix(name, run.data, rows=1200, seed=run.seed, standardize=True)
    kinds = {"train": [], "test": [], "ridge": []}  # type: dict[str, list[list[float]]]
    sizes = []
    for degree in range(1, degrees + 1):
        scores: dict[str, list[float]] = {kind: [] for kind in kinds}
        for seed in run.seeds(seeds):
            parts = train_test_split(x, y, test_size=0.25, random_state=seed)
            line = fit(degree, LinearRegression(tol=1e-10), *parts)
            scores["train"].append(line[0])
            scores["test"].append(line[1])
            ridge = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0, 100.0]}, cv=3)
            scores["ridge"].append(fit(degree, ridge, *parts)[1])
        sizes.append(PolynomialFeatures(degree).fit(x).n_output_features_)
        for kind, values in scores.items():
            kinds[kind].append(values)
            run.metric(f"{kind if kind != 'ridge' else 'ridge_test'}_r2@{degree}", values)
        gains = np.subtract(scores["ridge"], scores["test"])
        run.metric(f"ridge_gain@{degree}", gains.tolist())
    run.metric("gain_of_degree_2", np.subtract(kinds["test"][1], kinds["test"][0]).tolist())
    labels = {"train": "training rows", "test": "new rows", "ridge": "new rows, ridge"}
    for (kind, label), marker in zip(labels.items(), "os^", strict=True):
        means = np.mean(kinds[kind], axis=1)
        panel.plot(range(1, degrees + 1), means, marker + "-", markersize=4, label=label)
    panel.set_xticks(
        range(1, degrees + 1), [f"{k}\n({size})" for k, size in enumerate(sizes, start=1)]
    )
    panel.set(title=f"R² on {name}", xlabel="degree (number of products)", ylim=(-0.2, 1.05))
    panel.legend()


def fit(
    degree: int, model: Any, x_train: Array, x_test: Array, y_train: Array, y_test: Array
) -> tuple[float, float]:
    """R² on the training and on the test rows, on products that are standardized."""
    features = PolynomialFeatures(degree, include_bias=False)
    pipeline = make_pipeline(features, StandardScaler(), model).fit(x_train, y_train)
    return pipeline.score(x_train, y_train), pipeline.score(x_test, y_test)
