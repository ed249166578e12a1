"""Say how likely a row belongs to each of several Gaussians, and let a criterion count them.

EM takes turns: how probable is each component for each row, and which parameters fit those shares
best (derived in `unsupervised_learning.mixture`). The figure shows iris after 1, 3, 6 and all
rounds on two columns: the ellipses travel and turn until the likelihood, which never falls, stands
still. Below: the likelihood of each round; BIC against the number of components for four shapes of
covariance, which picks the shape and number with which iris was measured; and what k-means cannot
do: stretched clusters that EM with full covariances tells apart.

A. P. Dempster, N. M. Laird and D. B. Rubin, Maximum likelihood from incomplete data via the EM
algorithm, 1977; G. Schwarz, Estimating the dimension of a model, 1978.
"""

import warnings
from typing import Any

import numpy as np
from matplotlib.patches import Ellipse
from numpy.typing import NDArray
from sklearn import mixture as reference
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.kmeans import KMeans
from unsupervised_learning.mixture import GaussianMixture

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 2000},
    "default": {},
    "full": {
        "sets": ("penguins", "jb_banknote_authentication", "jb_wheat_seeds", "jb_glass"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("largest_fall", "<=", 1e-9),
    Claim("components_by_bic.iris", ">=", 2),
    Claim("components_by_bic.iris", "<=", 3),
    Claim("components_by_bic.made", "==", 4),
    Claim("agreement.mixture", ">=", 0.95),
    Claim("agreement.mixture_over_kmeans", ">=", 1.2),
    Claim("mean_error.GaussianMixture", "<=", 1e-5),
    Claim("behind.GaussianMixture", "<=", 0.5),
    Claim("behind.GaussianMixtureTied", "<=", 0.5),
    Claim("behind.GaussianMixtureDiag", "<=", 0.5),
    Claim("behind.GaussianMixtureSpherical", "<=", 0.5),
    Claim("ratio.fit.GaussianMixture", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.GaussianMixture", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.GaussianMixtureTied", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.GaussianMixtureTied", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.GaussianMixtureDiag", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.GaussianMixtureDiag", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.GaussianMixtureSpherical", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.GaussianMixtureSpherical", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.GaussianMixture", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.GaussianMixtureTied", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.GaussianMixtureDiag", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.GaussianMixtureSpherical", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.GaussianMixture", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.GaussianMixtureTied", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.GaussianMixtureDiag", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.GaussianMixtureSpherical", "<=", 2.0, presets=("full",)),
]
SHAPES = ("full", "tied", "diag", "spherical")


def main(
    run: Run,
    *,
    sets: Sets = ("iris", "wine", "breast_cancer"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Watch EM, count components, then hold the four shapes against the library."""
    iris = run.data("iris")
    X = np.asarray(iris["x"], dtype=float)
    figure, axes = plots.figure(2, 4, width=11.0, height=5.4)
    draw_rounds(run, axes[0], X[:, [0, 2]])
    draw_likelihood(run, axes[1][0], X)
    draw_criterion(run, axes[1][1], X)
    draw_stretched(run, axes[1][2:])
    run.figure(
        "em",
        figure,
        "Iris after growing numbers of rounds; the likelihood of each round; BIC by number and "
        "shape; stretched clusters as k-means and as the mixture see them.",
    )
    start: dict[str, Any] = {
        "means_init": X[[0, 60, 120]],
        "tol": 1e-10,
        "max_iter": 2000,
        "random_state": 0,
    }
    ours = GaussianMixture(3, **start).fit(X)
    theirs = reference.GaussianMixture(3, **start).fit(X)
    run.metric("mean_error.GaussianMixture", float(np.abs(ours.means_ - theirs.means_).max()))

    pairs = []
    for shape in SHAPES:
        name = "GaussianMixture" + shape.capitalize() * (shape != "full")
        options: dict[str, Any] = {"covariance_type": shape, "random_state": 0, "reg_covar": 1e-3}
        pairs.append(
            Pair(
                name,
                GaussianMixture(3, n_init=3, max_iter=500, **options),
                reference.GaussianMixture(3, n_init=3, max_iter=500, **options),
                score=agreement,
                holdout=False,
                make=made,
            )
        )
    study(run, pairs, sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def agreement(model: Any, X: NDArray, y: Any) -> float:
    """The adjusted Rand index of components and true classes, times 100."""
    return 100.0 * float(adjusted_rand_score(y, model.predict(X)))


def made(n: int, seed: int) -> tuple[NDArray, None]:
    """Made rows of five clusters: X (n, 20)."""
    return make_blobs(n, 20, centers=5, cluster_std=4.0, random_state=seed)[0], None


def draw_rounds(run: Run, panels: Any, X: NDArray) -> None:
    """The ellipses of two standard deviations, after growing numbers of rounds."""
    for panel, rounds in zip(panels, (1, 3, 6, 500), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            options: dict[str, Any] = {
                "init_params": "random_from_data",
                "max_iter": rounds,
                "tol": 1e-6,
            }
            model = GaussianMixture(3, random_state=run.seed + 1, **options).fit(X)
        shares = model.predict_proba(X)
        colors = np.clip(shares @ rgb(plots.PALETTE[:3]), 0, 1)
        panel.scatter(*X.T, s=8, c=colors)
        for j in range(3):
            outline(panel, model.means_[j], model.covariances_[j], plots.PALETTE[j])
        panel.set(title=f"{model.n_iter_} round{'s' * (model.n_iter_ > 1)}")
        panel.set(xlabel="sepal length (cm)", ylabel="petal length (cm)")


def rgb(colors: tuple[str, ...]) -> NDArray:
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors])


def outline(panel: Any, mean: NDArray, covariance: NDArray, color: str) -> None:
    variances, axes = np.linalg.eigh(covariance)
    angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
    width, height = 4 * np.sqrt(variances[1]), 4 * np.sqrt(variances[0])
    panel.add_patch(
        Ellipse(
            (mean[0], mean[1]),
            width,
            height,
            angle=angle,
            fill=False,
            edgecolor=color,
            linewidth=1.5,
        )
    )


def draw_likelihood(run: Run, panel: Any, X: NDArray) -> None:
    """The mean log-likelihood of each round, from five beginnings."""
    fall = 0.0
    options: dict[str, Any] = {"init_params": "random", "reg_covar": 0.0, "tol": 1e-6}
    for seed in run.seeds(5):
        model = GaussianMixture(3, max_iter=1000, random_state=seed, **options).fit(X)
        bounds = np.asarray(model.lower_bounds_)
        fall = max(fall, float(-np.diff(bounds).min()))
        panel.semilogx(np.arange(1, len(bounds) + 1), bounds, linewidth=1.2)
    run.metric("largest_fall", fall, "nats")
    panel.set(title="The likelihood never falls", xlabel="round", ylabel="nats a row")


def draw_criterion(run: Run, panel: Any, X: NDArray) -> None:
    """BIC by the number of components; then whether it counts four made clusters right."""
    numbers = range(1, 8)
    best: tuple[float, int, str] = (np.inf, 0, "")
    for shape in SHAPES:
        options: dict[str, Any] = {"covariance_type": shape, "random_state": run.seed}
        values = [GaussianMixture(k, n_init=3, **options).fit(X).bic(X) for k in numbers]
        k = numbers[int(np.argmin(values))]
        best = min(best, (min(values), k, shape))
        panel.plot(numbers, values, "o-", markersize=3, linewidth=1.2, label=shape)
    run.metric("components_by_bic.iris", best[1])
    run.log(f"BIC takes {best[1]} components of the shape {best[2]} for iris")
    blobs = make_blobs(600, 3, centers=4, cluster_std=1.0, random_state=run.seed + 3)[0]
    found = [
        GaussianMixture(k, n_init=3, random_state=run.seed).fit(blobs).bic(blobs) for k in numbers
    ]
    run.metric("components_by_bic.made", numbers[int(np.argmin(found))])
    panel.set(title="BIC counts", xlabel="components", ylabel="BIC")
    panel.legend(fontsize=8)


def draw_stretched(run: Run, panels: Any) -> None:
    """Three long clusters side by side: k-means cuts across, the mixture along.

    From the clusters of k-means EM may stay in a poor maximum; from single rows, the best of ten
    beginnings finds the right one.
    """
    models: dict[str, Any] = {
        "kmeans": KMeans(3, n_init=10),
        "mixture_from_kmeans": GaussianMixture(3, n_init=10, max_iter=300),
        "mixture": GaussianMixture(3, n_init=10, max_iter=300, init_params="random_from_data"),
    }
    agreements: dict[str, list[float]] = {name: [] for name in models}
    for seed in run.seeds(5):
        rng = np.random.default_rng(seed)
        y = np.repeat(np.arange(3), 200)
        X = rng.standard_normal((600, 2)) * [2.0, 0.3] + np.array([[0, 0], [0.5, 2], [1, 4]])[y]
        X = X @ np.array([[0.8, 0.6], [-0.6, 0.8]])
        found = {name: m.set_params(random_state=seed).fit_predict(X) for name, m in models.items()}
        for name, labels in found.items():
            agreements[name].append(adjusted_rand_score(y, labels))
    values = {name: run.metric(f"agreement.{name}", each) for name, each in agreements.items()}
    run.metric("agreement.mixture_over_kmeans", values["mixture"] / values["kmeans"])
    for panel, title, name in zip(
        panels, ("k-means", "Mixture"), ("kmeans", "mixture"), strict=True
    ):
        for j in range(3):
            panel.plot(*X[found[name] == j].T, ".", markersize=3, color=plots.PALETTE[j])
        panel.set(title=f"{title}: agreement {agreements[name][-1]:.2f}", aspect="equal")
