"""Shrink coefficients by their squares, their absolute values, or both, and follow their paths.

Least squares with a price on the coefficients has three classical forms. Ridge (squares) has a
closed form and shrinks every coefficient, most where the data say least. The lasso (absolute
values) moves each coefficient towards 0 by soft thresholding and leaves many of them exactly there.
The elastic net mixes both, and lets columns that tell the same share a coefficient. All three are
fitted for many penalties at once: ridge through one SVD, the others by coordinate descent, each
penalty starting from the answer of the one before.

A penalty is a prior: the fit is the most probable coefficient vector under normal noise and a
normal (ridge) or Laplace (lasso) prior. A general-purpose optimizer that knows only these densities
finds the same coefficients.

Hoerl and Kennard, "Ridge regression", 1970. Tibshirani, "Regression shrinkage and selection via the
lasso", 1996. Zou and Hastie, "Regularization and variable selection via the elastic net", 2005.
"""

from functools import partial
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from scipy import optimize
from sklearn import linear_model
from sklearn.model_selection import train_test_split

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Pair, study
from supervised_learning.coordinate_descent import (
    ElasticNet,
    Lasso,
    enet_path,
    lasso_path,
    soft_threshold,
)
from supervised_learning.least_squares import Array
from supervised_learning.ridge import Ridge, ridge_path

PRESETS = {
    "smoke": {"seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "data": "ames_full",
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
    Claim("behind.Ridge", "<=", 0.5),
    Claim("behind.Lasso", "<=", 0.5),
    Claim("behind.ElasticNet", "<=", 0.5),
    Claim("coefficient_error.Ridge", "<=", 1e-5),
    Claim("coefficient_error.Lasso", "<=", 1e-5),
    Claim("coefficient_error.ElasticNet", "<=", 1e-5),
    Claim("coefficient_error.ridge_path", "<=", 1e-5),
    Claim("coefficient_error.lasso_path", "<=", 1e-5),
    Claim("prior_error.ridge", "<=", 1e-3),
    Claim("prior_error.lasso", "<=", 1e-3),
    Claim("useless_columns_lasso_drops", ">=", 0.75),
    Claim("useless_columns_ridge_drops", "==", 0),
    Claim("twins_apart.lasso", ">=", 0.5),
    Claim("twins_apart.elastic_net", "<=", 0.1),
    Claim("best_r2.lasso", ">=", 0.35, presets=("smoke", "default")),
    Claim("best_r2.lasso", ">=", 0.8, presets=("full",)),
    Claim("ratio.lasso_path", "<=", 1.5, presets=("full",)),
    Claim("ratio.fit.Ridge", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.Ridge", "<=", 1.2, presets=("full",)),
    Claim("exponent_excess.Ridge", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.Ridge", "<=", 2.0, presets=("full",)),
    Claim("ratio.fit.Lasso", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.Lasso", "<=", 1.2, presets=("full",)),
    Claim("exponent_excess.Lasso", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.Lasso", "<=", 2.0, presets=("full",)),
    Claim("ratio.fit.ElasticNet", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.ElasticNet", "<=", 1.2, presets=("full",)),
    Claim("exponent_excess.ElasticNet", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.ElasticNet", "<=", 2.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[str, "the table whose paths are drawn"] = "diabetes",
    sets: Annotated[tuple[str, ...], "the tables to score on"] = ("diabetes", "friedman1"),
    seeds: Annotated[int, Ge(1), "splits of each table"] = 3,
    rows: Annotated[int, Ge(0), "rows of the timed fit"] = 5000,
    largest: Annotated[int, Ge(0), "the largest n of the growth curve; 0 draws none"] = 0,
    memory: Annotated[bool, "whether to measure the peak memory"] = False,
) -> None:
    x, y = scaled(run, data)
    figure, panels = plots.figure(2, 3, width=11, height=6.4)
    draw_paths(run, x, y, panels[0])
    draw_scores(run, data, x, y, seeds, panels[1, 0])
    draw_priors(panels[1, 1], panels[1, 2])
    run.figure(
        "paths",
        figure,
        f"Top: the largest coefficients on {data} against the penalty. Bottom left: R² on new "
        "rows along the same paths. Middle: the priors that the penalties stand for. Right: what "
        "becomes of a coefficient of least squares.",
    )
    check_priors(run)
    drop_and_share(run)
    measure_errors(run, sets)
    make = run.rng.standard_normal((rows or 1000, 20))
    goal = make @ run.rng.standard_normal(20) + run.rng.standard_normal(len(make))
    run.compare(
        "lasso_path",
        partial(lasso_path, make, goal),
        partial(linear_model.lasso_path, make, goal, alphas=100),
        library="scikit-learn",
    )
    pairs = [
        Pair("Ridge", Ridge(), linear_model.Ridge()),
        Pair("Lasso", Lasso(0.1, max_iter=20_000), linear_model.Lasso(0.1, max_iter=20_000)),
        Pair(
            "ElasticNet",
            ElasticNet(0.1, max_iter=20_000),
            linear_model.ElasticNet(0.1, max_iter=20_000),
        ),
    ]
    study(run, pairs, sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def scaled(run: Run, name: str) -> tuple[Array, Array]:
    """A table with columns and target of mean 0 and spread 1, without constant columns."""
    x, y = tables.matrix(name, run.data, rows=3000, seed=run.seed, standardize=True)
    return x[:, x.std(axis=0) > 0], (y - y.mean()) / y.std()


def draw_paths(run: Run, x: Array, y: Array, panels: Array) -> None:
    """The coefficients against the penalty, for those that get largest."""
    options: dict[str, Any] = {"eps": 1e-3, "alphas": 60, "max_iter": 20_000}
    alphas = np.geomspace(1e-3, 1e2, 60)[::-1]
    paths = {
        "Ridge": (alphas, ridge_path(x, y, len(y) * alphas)[0]),
        "Lasso": lasso_path(x, y, **options)[:2],
        "Elastic net, half and half": enet_path(x, y, **options)[:2],
    }
    largest = np.argsort(-np.abs(paths["Lasso"][1]).max(axis=1))[:12]
    for panel, (title, (penalties, coefs)) in zip(panels, paths.items(), strict=True):
        panel.semilogx(penalties, coefs[largest].T, linewidth=1.2)
        panel.invert_xaxis()
        panel.set(title=title, xlabel="penalty")
    panels[0].set(ylabel="coefficient")
    run.metric("nonzero_in_the_middle.lasso", float(np.mean(paths["Lasso"][1][:, 30] != 0)))


def draw_scores(run: Run, name: str, x: Array, y: Array, seeds: int, panel: Any) -> None:
    """R² on new rows along the paths, the mean over the seeds."""
    alphas = np.geomspace(1e-3, 1, 25)
    curves: dict[str, list[Array]] = {"ridge": [], "lasso": [], "elastic net": []}
    for seed in run.seeds(seeds):
        a, b, u, v = train_test_split(x, y, test_size=0.25, random_state=seed)
        options: dict[str, Any] = {"alphas": alphas, "fit_intercept": True, "max_iter": 20_000}
        coefs = {
            "ridge": ridge_path(a, u, len(u) * alphas[::-1])[0],
            "lasso": lasso_path(a, u, **options)[1],
            "elastic net": enet_path(a, u, **options)[1],
        }
        for kind, W in coefs.items():
            residual = (v - u.mean())[:, None] - (b - a.mean(axis=0)) @ W
            curves[kind].append(1 - (residual**2).sum(axis=0) / ((v - v.mean()) ** 2).sum())
    for kind, curve in curves.items():
        mean = np.mean(curve, axis=0)
        panel.semilogx(alphas[::-1], mean, label=kind)
        run.metric(f"best_r2.{kind.replace(' ', '_')}", [c[mean.argmax()] for c in curve])
    panel.invert_xaxis()
    panel.set(title=f"New rows of {name}", xlabel="penalty", ylabel="R²")
    panel.legend()


def draw_priors(left: Any, right: Any) -> None:
    """The densities behind the penalties, and what a penalty makes of a coefficient."""
    w = np.linspace(-3, 3, 301)
    left.plot(w, np.exp(-(w**2) / 2) / np.sqrt(2 * np.pi), label="normal: ridge")
    left.plot(w, np.exp(-np.abs(w) * np.sqrt(2)) / np.sqrt(2), label="Laplace: lasso")
    left.set(title="The same, as a prior", xlabel="coefficient", ylabel="density", ylim=(0, 1))
    left.legend()
    soft = np.array([soft_threshold(z, 1.0) for z in w])
    for label, values in (("ridge", w / 2), ("lasso", soft), ("elastic net", soft / 1.5)):
        right.plot(w, values, label=label)
    right.plot(w, w, color=plots.PALETTE[7], linewidth=1)
    right.set(title="One coefficient", xlabel="by least squares", ylabel="with the penalty")
    right.legend()


def check_priors(run: Run) -> None:
    """The largest difference from the mode of the posterior, as a general optimizer finds it."""
    x, y = scaled(run, "diabetes")
    n, d = x.shape
    noise, alpha = 0.5, 0.05  # the variance of the noise, and the penalty

    def surprise(w: Array, log_prior: Array) -> float:
        return float(((y - x @ w) ** 2).sum() / (2 * noise) - log_prior.sum())

    normal = optimize.minimize(  # w ~ N(0, noise / (n alpha))
        lambda w: surprise(w, -(w**2) * n * alpha / (2 * noise)), np.zeros(d), tol=1e-12
    )
    laplace = optimize.minimize(  # density ∝ exp(-n alpha |w| / noise); w as a difference u - v
        lambda u: surprise(u[:d] - u[d:], -u * n * alpha / noise),
        np.full(2 * d, 0.01),
        bounds=[(0, None)] * (2 * d),
        options={"maxfun": 10**6, "maxiter": 10**4, "ftol": 1e-15, "gtol": 1e-10},
    )
    ridge = Ridge(n * alpha, fit_intercept=False).fit(x, y).coef_
    lasso = Lasso(alpha, fit_intercept=False, tol=1e-12).fit(x, y).coef_
    run.metric("prior_error.ridge", np.abs(normal.x - ridge).max())
    run.metric("prior_error.lasso", np.abs(laplace.x[:d] - laplace.x[d:] - lasso).max())


def drop_and_share(run: Run) -> None:
    """Which columns get 0 where most are useless, and how two equal columns are treated."""
    x = run.rng.standard_normal((200, 50))
    y = x[:, :5] @ [3.0, -2.0, 2.0, 1.0, -1.0] + run.rng.standard_normal(200)
    run.metric("useless_columns_lasso_drops", np.mean(Lasso(0.15).fit(x, y).coef_[5:] == 0))
    run.metric("useless_columns_ridge_drops", np.mean(Ridge(30.0).fit(x, y).coef_[5:] == 0))
    x[:, 1] = x[:, 0] + 1e-3 * run.rng.standard_normal(200)
    y = 2 * x[:, 0] + run.rng.standard_normal(200)
    for name, model in (("lasso", Lasso(0.1)), ("elastic_net", ElasticNet(0.1))):
        first, second = model.set_params(tol=1e-8, max_iter=100_000).fit(x, y).coef_[:2]
        run.metric(f"twins_apart.{name}", abs(first - second) / (abs(first) + abs(second)))


def measure_errors(run: Run, sets: tuple[str, ...]) -> None:
    """The largest relative difference from the reference's coefficients, at a tight tolerance."""
    tight: dict[str, Any] = {"tol": 1e-10, "max_iter": 100_000}
    errors: dict[str, list[float]] = {}

    def add(name: str, ours: Array, theirs: Array) -> None:
        errors.setdefault(name, []).append(np.abs(ours - theirs).max() / np.abs(theirs).max())

    for table in sets:
        x, y = scaled(run, table)
        for ours, theirs in (
            (Ridge(), linear_model.Ridge()),
            (Lasso(0.02, **tight), linear_model.Lasso(0.02, **tight)),
            (ElasticNet(0.02, **tight), linear_model.ElasticNet(0.02, **tight)),
        ):
            add(type(ours).__name__, ours.fit(x, y).coef_, theirs.fit(x, y).coef_)
        alphas = np.array([100.0, 1.0])
        theirs = np.transpose([linear_model.Ridge(alpha).fit(x, y).coef_ for alpha in alphas])
        add("ridge_path", ridge_path(x, y, alphas)[0], theirs)
        options: dict[str, Any] = {"alphas": [0.3, 0.1, 0.03], **tight}
        add("lasso_path", lasso_path(x, y, **options)[1],
            linear_model.lasso_path(x, y, **options)[1])  # fmt: skip
    for name, values in errors.items():
        run.metric(f"coefficient_error.{name}", max(values))
