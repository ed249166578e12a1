"""Map digits with UMAP: from the fuzzy graph of neighbors to a map that takes new points.

UMAP ties each point to its neighbors, with strengths that fall on the point's own scale, and draws
a map whose own graph is like that one (`unsupervised_learning.umap`). The first panel shows the
graph itself, laid out at its eigenvectors, before the first step of the descent. Then come maps
with few and many neighbors: few show the fine grain and break the whole, many smooth it. Unlike
t-SNE's, the map takes new points: those in color were not seen in the fit, and their class is read
from their neighbors on the map.

The library umap-learn stands behind the same interface (`fit`, `transform`, `embedding_`), so that
every number is measured for both. With a seed the library runs in one thread, as this one does.

L. McInnes, J. Healy and J. Melville, "UMAP: Uniform Manifold Approximation and Projection for
Dimension Reduction", 2018.
"""

from functools import partial
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from matplotlib.collections import LineCollection
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, make_rows, study
from unsupervised_learning.embedding_demo import DigitName, digit_rows, draw_map
from unsupervised_learning.embedding_scores import (
    continuity,
    shepard_correlation,
    trustworthiness,
)
from unsupervised_learning.umap import UMAP

PRESETS = {
    "smoke": {"points": 400, "neighbors": (5, 30), "table": "wine", "seeds": 1, "library": False},
    "default": {},
    "full": {
        "data": "mnist",
        "points": 4000,
        "neighbors": (5, 15, 100),
        "table": "otto",
        "sets": ("letter", "otto", "wisdm_har", "jb_winequality_white"),
        "seeds": 5,
        "rows": 5000,
        "largest": 20_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("trustworthiness@15", ">=", 0.95, presets=("default", "full")),
    Claim("trustworthiness@30", ">=", 0.93, presets=("smoke",)),
    Claim("new_rows_accuracy", ">=", 0.85, presets=("smoke", "default")),
    Claim("new_rows_accuracy", ">=", 0.82, presets=("full",)),
    Claim("graph_error", "<=", 1e-4, presets=("default", "full")),
    Claim("behind.UMAP", "<=", 0.5, presets=("default", "full")),
    Claim("new_rows_behind", "<=", 0.02, presets=("default", "full")),
    Claim("ratio.fit.UMAP", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.UMAP", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.UMAP", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.UMAP", "<=", 2.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DigitName, "the images"] = "digits",
    points: Annotated[int, Ge(100), "how many of them"] = 1797,
    neighbors: Annotated[tuple[int, ...], "the numbers of neighbors, rising"] = (5, 15, 100),
    table: Annotated[str, "another table to map"] = "breast_cancer",
    library: Annotated[bool, "measure umap-learn too"] = True,
    sets: Sets = ("iris", "wine", "breast_cancer"),
    seeds: Seeds = 3,
    rows: Rows = 1000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Map digits with several numbers of neighbors, place new ones, compare with the library."""
    X, y = digit_rows(run.data, data, points, run.seed)
    maps = vary_neighbors(run, X, neighbors, seeds)
    reducers: dict[str, Any] = {"": UMAP()}
    if library:
        from umap import UMAP as REFERENCE

        reducers[".umap-learn"] = REFERENCE(n_jobs=1)
        run.metric("graph_error", graph_error(X))
    placed = place_new_rows(run, X, y, reducers, seeds)
    other_x, other_y = tables.matrix(table, run.data, rows=points, seed=run.seed, standardize=True)
    other = UMAP(random_state=run.seed).fit_transform(other_x)
    draw(run, X, y, maps, (table, other, other_y), placed)
    if not library:
        return
    pair = Pair(
        "UMAP",
        UMAP(),
        reducers[".umap-learn"],
        library="umap-learn",
        score=points_of_trust,
        holdout=False,
        apply="",  # the rows of the fit have their place already: new ones are timed
    )
    if rows:
        time_new_rows(run, pair, rows)
    study(
        run,
        [pair],
        sets=sets,
        score_rows=1000,
        seeds=seeds,
        rows=rows,
        largest=largest,
        memory=memory,
        threads=1,
    )


def vary_neighbors(
    run: Run, X: NDArray, neighbors: tuple[int, ...], seeds: int
) -> dict[int, NDArray]:
    """Map X with each number of neighbors and seed; tells the scores, returns a map of each."""
    maps: dict[int, NDArray] = {}
    for k in run.progress(neighbors, label="neighbors"):
        fits = [UMAP(k, random_state=seed).fit_transform(X) for seed in run.seeds(seeds)]
        for name, score in (
            ("trustworthiness", trustworthiness),
            ("continuity", continuity),
            ("shepard_correlation", shepard_correlation),
        ):
            run.metric(f"{name}@{k}", [score(X, embedding) for embedding in fits])
        maps[k] = fits[0]
    return maps


def graph_error(X: NDArray, k: int = 15) -> float:
    """The largest difference from umap-learn's strengths, given the same neighbors."""
    from sklearn.neighbors import NearestNeighbors
    from umap.umap_ import fuzzy_simplicial_set

    X = X[:2000]
    distances, neighbors = NearestNeighbors(n_neighbors=k - 1).fit(X).kneighbors()
    own = np.arange(len(X))  # the library counts the point itself, at distance 0
    theirs = fuzzy_simplicial_set(
        X,
        k,
        np.random.RandomState(0),
        "euclidean",
        knn_indices=np.column_stack([own, neighbors]),
        knn_dists=np.column_stack([0.0 * own, distances]).astype(np.float32),
    )[0]
    ours = UMAP(k, n_epochs=0, init="random").fit(X).graph_
    return float(abs(ours - theirs).max())


def place_new_rows(
    run: Run, X: NDArray, y: NDArray, reducers: dict[str, Any], seeds: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Place a quarter of the rows in maps of the others, and read their class from the map.

    Returns the last map of ours, the new rows' places, and their classes.
    """
    accuracy: dict[str, list[float]] = {name: [] for name in reducers}
    for seed in run.seeds(seeds):
        old, new, old_y, new_y = train_test_split(X, y, test_size=0.25, random_state=seed)
        for name, reducer in reducers.items():
            fitted = reducer.set_params(random_state=seed).fit(old)
            places = fitted.transform(new)
            votes = KNeighborsClassifier(5).fit(fitted.embedding_, old_y)
            accuracy[name].append(votes.score(places, new_y))
            if name == "":
                result = fitted.embedding_, places, new_y
    for name, values in accuracy.items():
        run.metric(f"new_rows_accuracy{name}", values)
    if len(accuracy) > 1:
        ours, theirs = accuracy.values()
        gaps = [b - a for a, b in zip(ours, theirs, strict=True)]
        run.metric("new_rows_behind", gaps)
    return result


def time_new_rows(run: Run, pair: Pair, rows: int) -> None:
    """Time the placing of rows that were not in the fit, a fifth as many as were."""
    X, _ = make_rows(pair, rows + rows // 5, run.seed)
    fits = [
        clone(model).set_params(random_state=0).fit(X[:rows])
        for model in (pair.ours, pair.reference)
    ]
    ours, reference = (partial(model.transform, X[rows:]) for model in fits)
    run.compare(f"predict.{pair.name}", ours, reference, library=pair.library, pairs=5, threads=1)


def points_of_trust(model: Any, X: NDArray, y: NDArray) -> float:
    """The trustworthiness of the model's map of X, times 100."""
    return 100.0 * trustworthiness(X, model.embedding_)


def draw(
    run: Run,
    X: NDArray,
    y: NDArray,
    maps: dict[int, NDArray],
    other: tuple[str, NDArray, NDArray],
    placed: tuple[NDArray, NDArray, NDArray],
) -> None:
    """The graph at its eigenvectors, the maps, the new points, and the other table's map."""
    panels = len(maps) + 3
    lines = -(-panels // 3)
    figure, axes = plots.figure(lines, 3, width=9.6, height=3.1 * lines, squeeze=False)
    cells = list(np.ravel(axes))
    begun = UMAP(n_epochs=0, random_state=run.seed).fit(X)
    draw_graph(cells[0], begun)
    draw_map(cells[0], begun.embedding_, y, "the graph at its eigenvectors", names=False)
    for cell, (k, embedding) in zip(cells[1:], maps.items(), strict=False):
        draw_map(cell, embedding, y, f"{k} neighbors")
    old, new, new_y = placed
    cells[panels - 2].scatter(*old.T, s=1, color="#c9ced6", linewidths=0)
    draw_map(cells[panels - 2], new, new_y, "new points (color)")
    name, embedding, labels = other
    draw_map(cells[panels - 1], embedding, labels, name, names=False)
    for cell in cells[panels:]:
        cell.set_axis_off()
    run.figure(
        "maps",
        figure,
        "The fuzzy graph where the descent begins; maps by the number of neighbors; new points in "
        "a map that has not seen them; the map of another table in the colors of its classes.",
        format="png",
    )


def draw_graph(axes: Any, model: UMAP, most: int = 6000) -> None:
    """The strongest edges of the model's graph on its map, stronger ones darker."""
    edges = model.graph_.tocoo()
    strongest = np.argsort(-edges.data)[:most]
    ends = model.embedding_[np.stack([edges.row, edges.col], axis=1)[strongest]]
    shade = np.zeros((len(strongest), 4))
    shade[:, 3] = 0.1 * edges.data[strongest]
    axes.add_collection(LineCollection(list(ends), colors=shade, linewidths=0.4))
