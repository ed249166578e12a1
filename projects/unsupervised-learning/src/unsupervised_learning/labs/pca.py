"""Find the directions in which images of digits spread, and keep only as many as are needed.

The components are the eigenvectors of the covariance (derived in `unsupervised_learning.pca`). The
figure shows the mean digit and the first components as images; all digits on the plane of the first
two; how much of the variance k components explain, and how many keep 50, 90 and 99 % of it; and one
digit made again from 1, 5, 20 and more numbers. No other plane of as few numbers comes nearer to
the images: that is the theorem of Eckart and Young, and the last panel checks it against random
planes.

K. Pearson, On lines and planes of closest fit to systems of points in space, 1901; H. Hotelling,
Analysis of a complex of statistical variables into principal components, 1933.
"""

from typing import Annotated, Any, Literal

import matplotlib
import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import decomposition as reference
from sklearn.datasets import make_low_rank_matrix

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.pca import PCA

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 2000},
    "default": {},
    "full": {
        "data": "mnist",
        "sets": ("letter", "otto", "wisdm_har", "lightgbm_binary", "jb_sonar"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("component_error", "<=", 1e-6),
    Claim("plane_over_random", "<=", 1.0),
    Claim("components_for.0.9", "<=", 25, presets=("smoke", "default")),
    Claim("components_for.0.9", "<=", 90, presets=("full",)),
    Claim("explained_by_two", ">=", 0.15),
    Claim("apart.PCA", "<=", 1e-3),
    Claim("behind.RandomizedPCA", "<=", 0.5),
    Claim("ratio.fit.PCA", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.PCA", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.RandomizedPCA", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.RandomizedPCA", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.PCA", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.RandomizedPCA", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.PCA", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.RandomizedPCA", "<=", 2.0, presets=("full",)),
]
SHARES = (0.5, 0.9, 0.99)


def main(
    run: Run,
    *,
    data: Annotated[Literal["digits", "mnist"], "the images"] = "digits",
    images: Annotated[int, Ge(500), "at most so many of them"] = 20_000,
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw the components, the map and the curve, then hold the estimator against the library."""
    X, y = load(run, data, images)
    model = PCA().fit(X)
    with matplotlib.rc_context(plots.STYLE):
        draw(run, model, X, y)
    exact = reference.PCA(20, svd_solver="full").fit(X)
    signs = np.sign(np.sum(exact.components_ * model.components_[:20], axis=1))
    gap = exact.components_ * signs[:, None] - model.components_[:20]
    run.metric("component_error", float(np.abs(gap).max()))
    run.metric("plane_over_random", error_over_best_random(run, X, model, planes=100))

    pairs = [
        Pair(
            "PCA",
            PCA(3),
            reference.PCA(3),
            score=explained,
            holdout=False,
            apply="transform",
        ),
        Pair(
            "RandomizedPCA",
            PCA(3, svd_solver="randomized", random_state=0),
            reference.PCA(3, svd_solver="randomized", random_state=0),
            score=explained,
            holdout=False,
            apply="transform",
            make=wide,
        ),
    ]
    study(run, pairs, sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def load(run: Run, data: str, images: int) -> tuple[NDArray, NDArray]:
    """Images as rows of brightness from 0 to 1, and their digits."""
    bunch = run.data(data)
    mnist = data == "mnist"
    X, y = (np.asarray(bunch[name]) for name in (("x_train", "y_train") if mnist else ("x", "y")))
    return X[:images].reshape(len(X[:images]), -1).astype(float) / float(X.max()), y[:images]


def wide(n: int, seed: int) -> tuple[NDArray, None]:
    """Made rows of 200 columns, of which about ten directions matter: X (n, 200)."""
    return make_low_rank_matrix(n, 200, effective_rank=10, random_state=seed), None


def explained(model: Any, X: NDArray, y: Any) -> float:
    """The share of the variance that the model's projections keep, in percent."""
    centered = X - X.mean(axis=0)
    lost = np.square(model.inverse_transform(model.transform(X)) - X).sum()
    return 100.0 * (1.0 - float(lost / np.square(centered).sum()))


def error_over_best_random(run: Run, X: NDArray, model: PCA, planes: int) -> float:
    """The squared error of the first two components over that of the best of random planes.

    The planes lie around the first two components: they are the rivals that could come close.
    """
    centered = X[:2000] - X[:2000].mean(axis=0)
    own = PCA(2).fit(centered).components_.T
    total = np.square(centered).sum()
    errors = []
    for k in range(planes):
        noise = run.rng.standard_normal(own.shape)
        plane, _ = np.linalg.qr(own + 10.0 ** -(1 + k % 4) * noise)
        errors.append(total - np.square(centered @ plane).sum())
    return float((total - np.square(centered @ own).sum()) / min(errors))


def draw(run: Run, model: PCA, X: NDArray, y: NDArray) -> None:
    """Components as images, the map, the curve, and a digit made of few numbers."""
    side = int(np.sqrt(X.shape[1]))
    figure = plots.figure(1, 1, width=10.0, height=5.4)[0]
    figure.clear()
    grid = figure.add_gridspec(2, 8, height_ratios=(1, 2.6))
    images = [("mean", model.mean_)] + [
        (f"{k + 1}", component) for k, component in enumerate(model.components_[:7])
    ]
    for column, (title, image) in enumerate(images):
        cell = figure.add_subplot(grid[0, column])
        limit = float(np.abs(image).max())
        cell.imshow(image.reshape(side, side), cmap="RdBu", vmin=-limit, vmax=limit)
        cell.set_title(title, loc="center")
        cell.axis("off")
    draw_map(run, figure.add_subplot(grid[1, :3]), model, X, y)
    draw_curve(run, figure.add_subplot(grid[1, 3:6]), model)
    draw_again(figure, grid[1, 6:], model, X, side)
    run.figure(
        "components",
        figure,
        "The mean and the first components as images; the digits on the first two; the variance "
        "that k components explain; digits made again from few numbers.",
        format="png",
    )


def draw_map(run: Run, panel: Any, model: PCA, X: NDArray, y: NDArray) -> None:
    shown = slice(0, 2000)
    flat = model.transform(X[shown])[:, :2]
    for digit in range(10):
        color = plots.PALETTE[digit % len(plots.PALETTE)]
        x, up = flat[y[shown] == digit].T
        panel.scatter(x, up, s=6, marker=f"${digit}$", color=color, linewidths=0.3)
    run.metric("explained_by_two", float(model.explained_variance_ratio_[:2].sum()))
    panel.set(title="Two numbers a digit", xlabel="component 1", ylabel="component 2")


def draw_curve(run: Run, panel: Any, model: PCA) -> None:
    together = np.cumsum(model.explained_variance_ratio_)
    panel.plot(np.arange(1, len(together) + 1), together)
    for share in SHARES:
        k = int(np.searchsorted(together, share)) + 1
        run.metric(f"components_for.{share}", k)
        panel.plot([k, k, 0], [0, share, share], ":", color=plots.PALETTE[7], linewidth=1)
        panel.annotate(f"{k} keep {share:.0%}", (k, share), (6, -10), textcoords="offset points")
    panel.set(title="Variance explained", xlabel="components", ylabel="share", ylim=(0, 1.02))


def draw_again(figure: Any, place: Any, model: PCA, X: NDArray, side: int) -> None:
    """Three digits, made again from growing numbers of components."""
    numbers = (1, 5, 20, len(model.components_))
    inner = place.subgridspec(len(numbers), 3)
    for row, k in enumerate(numbers):
        basis = model.components_[:k]
        for column in range(3):
            image = model.mean_ + (X[column] - model.mean_) @ basis.T @ basis
            cell = figure.add_subplot(inner[row, column])
            cell.imshow(image.reshape(side, side), cmap="gray_r", vmin=0, vmax=1)
            cell.set(xticks=[], yticks=[], frame_on=False)
            if column == 0:
                cell.set_ylabel(str(k), rotation=0, ha="right", va="center")
