"""Map digits into the plane with t-SNE, and see what the perplexity changes.

t-SNE keeps each point's likely neighbors and gives up the rest (`unsupervised_learning.tsne`). The
perplexity says how many neighbors count. The figure shows the same digits at several perplexities,
then a table of other data, then the scores: with few neighbors the map breaks into shreds, and
groups that belong together come apart; with many the whole is laid out better, and neighbors less
well. Whether points that are near stay near in the map (the continuity) goes either way: on the
small digits it grows with the perplexity, on MNIST it falls. A map is one of many, for the start is
random: every score has a mean and a spread over seeds. How large a cluster is and how far it lies
from the next one mean little.

The times are those of one thread each: the reference can use more, this one does not.

L. van der Maaten and G. Hinton, "Visualizing Data Using t-SNE", 2008. M. Wattenberg, F. Viégas and
I. Johnson, "How to Use t-SNE Effectively", Distill, 2016.
"""

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn.manifold import TSNE as REFERENCE
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.embedding_demo import DigitName, digit_rows, draw_map
from unsupervised_learning.embedding_scores import (
    continuity,
    shepard_correlation,
    trustworthiness,
)
from unsupervised_learning.tsne import TSNE

PRESETS = {
    "smoke": {
        "points": 300,
        "perplexities": (5.0, 30.0),
        "table": "wine",
        "sets": ("iris",),
        "seeds": 1,
        "rows": 0,
    },
    "default": {},
    "full": {
        "data": "mnist",
        "points": 3000,
        "perplexities": (3.0, 10.0, 30.0, 100.0),
        "table": "otto",
        "sets": ("letter", "otto", "wisdm_har", "jb_winequality_white"),
        "seeds": 5,
        "rows": 1500,
        "largest": 10_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("trustworthiness@30", ">=", 0.97),
    Claim("neighbor_accuracy@30", ">=", 0.9, presets=("smoke", "default")),
    Claim("neighbor_accuracy@30", ">=", 0.88, presets=("full",)),
    Claim("continuity_gain", ">=", 0.0, presets=("default",)),
    Claim("shepard_correlation_gain", ">=", 0.05, presets=("default", "full")),
    Claim("behind.TSNE", "<=", 0.5, presets=("default", "full")),
    Claim("ratio.fit.TSNE", "<=", 1.0, presets=("full",)),
    Claim("exponent_excess.TSNE", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.TSNE", "<=", 2.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DigitName, "the images"] = "digits",
    points: Annotated[int, Ge(100), "how many of them"] = 1797,
    perplexities: Annotated[tuple[float, ...], "the perplexities, rising"] = (
        3.0,
        10.0,
        30.0,
        100.0,
    ),
    table: Annotated[str, "another table to map"] = "breast_cancer",
    sets: Sets = ("breast_cancer", "diabetes", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 500,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Map digits at several perplexities, then hold the method against the reference."""
    X, y = digit_rows(run.data, data, points, run.seed)
    maps: dict[str, NDArray] = {}
    scores: dict[str, list[list[float]]] = {}
    for perplexity in run.progress(perplexities, label="perplexities"):
        for seed in run.seeds(seeds):
            model = TSNE(perplexity=perplexity, init="random", random_state=seed).fit(X)
            maps.setdefault(f"{perplexity:g}", model.embedding_)
            for name, value in quality(X, y, model).items():
                scores.setdefault(name, [[] for _ in perplexities])
                scores[name][perplexities.index(perplexity)].append(value)
    means = {}
    for name, values in scores.items():
        means[name] = [
            run.metric(f"{name}@{perplexity:g}", value)
            for perplexity, value in zip(perplexities, values, strict=True)
        ]
    for score in ("continuity", "shepard_correlation"):
        run.metric(f"{score}_gain", means[score][-1] - means[score][0])

    other_x, other_y = tables.matrix(table, run.data, rows=points, seed=run.seed, standardize=True)
    other = TSNE(random_state=run.seed).fit_transform(other_x)
    draw(run, maps, y, (table, other, other_y), perplexities, means)

    pair = Pair(
        "TSNE",
        TSNE(init="random"),
        REFERENCE(init="random"),
        score=points_of_trust,
        holdout=False,
        apply="",
    )
    study(
        run,
        [pair],
        sets=sets,
        score_rows=500,
        seeds=seeds,
        rows=rows,
        largest=largest,
        memory=memory,
        threads=1,
    )


def quality(X: NDArray, y: NDArray, model: TSNE) -> dict[str, float]:
    """The scores of a map, with the share of points whose 5 neighbors tell their class."""
    votes = cross_val_score(KNeighborsClassifier(5), model.embedding_, y, cv=5)
    return {
        "trustworthiness": trustworthiness(X, model.embedding_, n_neighbors=10),
        "continuity": continuity(X, model.embedding_, n_neighbors=10),
        "shepard_correlation": shepard_correlation(X, model.embedding_),
        "neighbor_accuracy": float(votes.mean()),
        "divergence": model.kl_divergence_,
    }


def points_of_trust(model: Any, X: NDArray, y: NDArray) -> float:
    """The trustworthiness of the model's map of X, times 100."""
    return 100.0 * trustworthiness(X, model.embedding_)


def draw(
    run: Run,
    maps: dict[str, NDArray],
    y: NDArray,
    other: tuple[str, NDArray, NDArray],
    perplexities: tuple[float, ...],
    means: dict[str, list[float]],
) -> None:
    """A map a perplexity, the other table's map, and the scores against the perplexity."""
    panels = len(maps) + 2
    lines = -(-panels // 3)
    figure, axes = plots.figure(lines, 3, width=9.6, height=3.1 * lines, squeeze=False)
    cells = list(np.ravel(axes))
    for cell, (perplexity, embedding) in zip(cells, maps.items(), strict=False):
        draw_map(cell, embedding, y, f"perplexity {perplexity}")
    name, embedding, labels = other
    draw_map(cells[panels - 2], embedding, labels, name, names=False)
    last = cells[panels - 1]
    for score in ("trustworthiness", "continuity", "neighbor_accuracy", "shepard_correlation"):
        last.plot(perplexities, means[score], "o-", label=score.replace("_", " "))
    last.set(xscale="log", xlabel="perplexity", ylim=(0, 1.03), title="Scores")
    last.minorticks_off()
    last.set_xticks(perplexities, [f"{perplexity:g}" for perplexity in perplexities])
    last.legend(fontsize=8)
    for cell in cells[panels:]:
        cell.set_axis_off()
    run.figure(
        "maps",
        figure,
        "The same digits at several perplexities, the map of another table in the colors of its "
        "classes, and the scores of the digits' maps.",
        format="png",
    )
