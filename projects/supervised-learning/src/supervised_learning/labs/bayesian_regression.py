"""Learn a distribution over lines, and count how often its intervals hold new rows.

Ridge gives one coefficient vector; the Bayesian model behind it gives a normal distribution over
them, and with it an interval for every prediction: the noise, and what the data leave open. The
precisions of noise and prior are not tuned, they maximize the evidence, the probability of
the data with the coefficients integrated out.

An interval is worth what it covers. Counted are, on rows that the fit has not seen, how often the
90 % interval holds the truth, and on data made from the model itself, how often the 90 % interval
of a coefficient does. On real tables the errors are not normal: the count shows how much that
matters. The evidence also compares models: it picks the degree of a polynomial without a test set.

MacKay, "Bayesian interpolation", 1992. Bishop, *Pattern Recognition and Machine Learning*, 2006,
chapter 3.
"""

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from scipy import stats
from sklearn import linear_model
from sklearn.model_selection import train_test_split

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Pair, study
from supervised_learning.bayesian import BayesianRidge
from supervised_learning.polynomial import PolynomialFeatures

PRESETS = {
    "smoke": {"seeds": 2, "rows": 1000},
    "default": {},
    "full": {
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
    Claim("behind.BayesianRidge", "<=", 0.5),
    Claim("coefficient_error.BayesianRidge", "<=", 1e-5),
    Claim("deviation_error.BayesianRidge", "<=", 1e-5),
    Claim("posterior_coverage@90", ">=", 0.87),
    Claim("posterior_coverage@90", "<=", 0.93),
    Claim("predictive_coverage@90", ">=", 0.86),
    Claim("predictive_coverage@90", "<=", 0.95),
    Claim("worst_coverage_error@90", "<=", 0.06),
    Claim("evidence_degree", ">=", 3),
    Claim("evidence_degree", "<=", 7),
    Claim("deviation_outside_over_inside", ">=", 2),
    Claim("ratio.fit.BayesianRidge", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.BayesianRidge", "<=", 1.2, presets=("full",)),
    Claim("exponent_excess.BayesianRidge", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.BayesianRidge", "<=", 2.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    sets: Annotated[tuple[str, ...], "the tables to score on"] = ("diabetes", "friedman1"),
    seeds: Annotated[int, Ge(1), "splits of each table"] = 5,
    rows: Annotated[int, Ge(0), "rows of the timed fit"] = 5000,
    largest: Annotated[int, Ge(0), "the largest n of the growth curve; 0 draws none"] = 0,
    memory: Annotated[bool, "whether to measure the peak memory"] = False,
) -> None:
    figure, (left, middle, right) = plots.figure(1, 3, width=11, height=3.6)
    draw_posterior(run, left)
    compare_evidence(run, middle)
    measure_coverage(run, sets, seeds, right)
    run.figure(
        "posterior",
        figure,
        "Left: 40 points of a wave (grey), the mean of a polynomial of degree 6, 12 draws of it, "
        "and the 90 % interval of new points. Middle: evidence and test error by degree. Right: "
        "how often intervals of each width hold new rows.",
    )
    run.metric("posterior_coverage@90", posterior_coverage(run))
    errors, deviations = [], []
    for name in sets:
        x, y = tables.matrix(name, run.data, rows=3000, seed=run.seed, standardize=True)
        ours = BayesianRidge(tol=1e-8, max_iter=2000).fit(x, y)
        theirs = linear_model.BayesianRidge(tol=1e-8, max_iter=2000).fit(x, y)
        errors.append(np.abs(ours.coef_ - theirs.coef_).max() / np.abs(theirs.coef_).max())
        (_, a), (_, b) = (model.predict(x, return_std=True) for model in (ours, theirs))
        deviations.append(np.abs(a / b - 1).max())
    run.metric("coefficient_error.BayesianRidge", max(errors))
    run.metric("deviation_error.BayesianRidge", max(deviations))
    pair = Pair("BayesianRidge", BayesianRidge(), linear_model.BayesianRidge())
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def wave(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    """x (n, 1) in two pieces with a gap between them, and a wave with noise."""
    x = np.concatenate([rng.uniform(-1, -0.2, n // 2), rng.uniform(0.35, 1, n - n // 2)])
    return x[:, None], np.sin(3 * x) + 0.2 * rng.standard_normal(n)


def draw_posterior(run: Run, panel: Any) -> None:
    """The posterior of a polynomial: certain where there are points, open elsewhere."""
    x, y = wave(run.rng, 40)
    features = PolynomialFeatures(6, include_bias=False).fit(x)
    model = BayesianRidge(tol=1e-8, max_iter=5000).fit(features.transform(x), y)
    grid = np.linspace(-1.3, 1.3, 261)
    products = features.transform(grid[:, None])
    mean, deviation = model.predict(products, return_std=True)
    half = stats.norm.ppf(0.95) * deviation
    panel.fill_between(grid, mean - half, mean + half, alpha=0.15, linewidth=0)
    draws = run.rng.multivariate_normal(model.coef_, model.sigma_, 12, method="svd")
    lines = mean[:, None] + (products - model.X_offset_) @ (draws - model.coef_).T
    panel.plot(grid, lines, color=plots.PALETTE[0], linewidth=0.5, alpha=0.5)
    panel.plot(grid, mean)
    panel.plot(grid, np.sin(3 * grid), color=plots.PALETTE[7], linewidth=1)
    panel.plot(x[:, 0], y, ".", color="black", markersize=4)
    panel.set(ylim=(-2.5, 2.5), title="Certain where there are points", xlabel="x", ylabel="y")
    inside = deviation[np.abs(grid - 0.7) < 0.3].mean()
    run.metric("deviation_outside_over_inside", deviation[np.abs(grid) > 1.2].mean() / inside)


def compare_evidence(run: Run, panel: Any) -> None:
    """The evidence of each degree on 40 points, beside the error on many new ones."""
    degrees = range(1, 13)
    x, y = wave(run.rng, 40)
    x_new, y_new = wave(run.rng, 4000)
    evidence, error = [], []
    for degree in degrees:
        features = PolynomialFeatures(degree, include_bias=False)
        products = features.fit_transform(x)
        model = BayesianRidge(tol=1e-8, max_iter=20_000, compute_score=True).fit(products, y)
        evidence.append(model.scores_[-1])
        error.append(np.mean((y_new - model.predict(features.transform(x_new))) ** 2))
    run.metric("evidence_degree", degrees[int(np.argmax(evidence))])
    run.metric("error_at_evidence_over_best", error[int(np.argmax(evidence))] / min(error))
    panel.plot(degrees, evidence, "o-", markersize=3)
    panel.set(title="Evidence picks the degree", xlabel="degree", ylabel="log evidence")
    other = panel.twinx()
    other.semilogy(degrees, error, "s--", markersize=3, color=plots.PALETTE[1])
    other.set_ylabel("squared error, new points", color=plots.PALETTE[1])
    other.grid(visible=False)
    other.spines[:].set_visible(False)


def measure_coverage(run: Run, sets: tuple[str, ...], seeds: int, panel: Any) -> None:
    """How often predictive intervals hold rows that the fit has not seen, on each table."""
    levels = np.linspace(0.05, 0.99, 48)
    at_90 = []
    for name in sets:
        x, y = tables.matrix(name, run.data, rows=5000, seed=run.seed, standardize=True)
        curves, hits, widths = [], [], []
        for seed in run.seeds(seeds):
            a, b, u, v = train_test_split(x, y, test_size=0.25, random_state=seed)
            mean, deviation = BayesianRidge().fit(a, u).predict(b, return_std=True)
            score = np.abs(v - mean) / deviation
            curves.append([np.mean(score <= stats.norm.ppf((1 + p) / 2)) for p in levels])
            hits.append(float(np.mean(score <= stats.norm.ppf(0.95))))
            widths.append(float(np.mean(deviation) / v.std()))
        run.metric(f"predictive_coverage@90.{name}", hits)
        run.metric(f"deviation_over_spread.{name}", widths)
        at_90.append(float(np.mean(hits)))
        panel.plot(levels, np.mean(curves, axis=0), linewidth=1.2, label=name)
    run.metric("predictive_coverage@90", float(np.mean(at_90)))
    run.metric("worst_coverage_error@90", max(abs(hit - 0.9) for hit in at_90))
    panel.plot([0, 1], [0, 1], color=plots.PALETTE[7], linewidth=1)
    panel.set(title="Do intervals hold new rows?", xlabel="promised", ylabel="held")
    panel.legend(fontsize=7)


def posterior_coverage(run: Run) -> list[float]:
    """How often 90 % intervals of coefficients hold them, where prior and noise are as assumed."""
    hits = []
    for _ in range(100):
        w = run.rng.standard_normal(15)
        x = run.rng.standard_normal((60, 15))
        y = x @ w + 2 * run.rng.standard_normal(60)
        model = BayesianRidge().fit(x, y)
        half = stats.norm.ppf(0.95) * np.sqrt(np.diag(model.sigma_))
        hits.append(float(np.mean(np.abs(model.coef_ - w) <= half)))
    return hits
