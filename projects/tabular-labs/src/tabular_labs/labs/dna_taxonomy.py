r"""Tell from a short read which species it is of, by the words that its DNA is made of.

Species come from a common ancestor along a tree, individuals differ from their species, and a
machine reads short pieces from either strand, with errors. Naive Bayes counts the k-mers of each
species: one pass over a FASTA file, however large. The test reads come from individuals that were
never counted. A split of reads at random has each genome on both sides; what that feigns is
measured. The strong models weigh naive Bayes at several k (`tabular_labs.taxonomy`), by a softmax
or by boosted trees, tuned on individuals that were left out inside the training part.

The first two panels have the accuracy by the length of a read and by the error rate: an error
spoils all the words that hold it. The third has what was said against what was right: naive Bayes
is far too sure, its pool is not. The fourth sets the reads that were mistaken against the distance
of the two species: errors are between relatives.

Q. Wang and others, Naive Bayesian classifier for rapid assignment of rRNA sequences into the new
bacterial taxonomy, 2007; D. E. Wood and S. L. Salzberg, Kraken, 2014.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray
from scipy.special import softmax

from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from tabular_labs.calibration import calibration_error, reliability
from tabular_labs.fasta import write_fasta
from tabular_labs.fasta_streams import hold_counting, measure_stream, name_reads
from tabular_labs.kmer_bayes import KmerBayes, PooledBayes, index_for, leak, score_columns
from tabular_labs.kmers import count_file
from tabular_labs.schema import Schema
from tabular_labs.species import make_world
from tabular_labs.taxonomy import Catalog, Reads, catalog, draw_reads, nearest_training
from tabular_labs.tuning import TunedBooster

PRESETS = {
    "smoke": {
        "species": 4, "genome": 8000, "reads": 12, "ks": (4, 6, 8), "trials": 2, "seeds": 1,
        "tree_trials": 1, "tree_rounds": 10, "stream_mb": 1,
    },
    "default": {},
    "full": {
        "species": 20, "individuals": 5, "genome": 100_000, "reads": 30, "trials": 20,
        "ks": (4, 6, 8, 10, 12, 16), "tree_trials": 3, "tree_rounds": 80, "stream_mb": 200,
    },
}  # fmt: skip
CLAIMS = [
    Claim("leak", ">=", 0.0, presets=("default", "full")),
    Claim("plan_over_baseline", ">=", 0.2),
    Claim("strong_over_plan", ">=", 0.0),
    Claim("calibration_error.strong", "<=", 0.05, presets=("default", "full")),
    Claim("accuracy.strong", ">=", 0.8, presets=("full",)),
    Claim("difference.vectorizer", "==", 0),
    Claim("ratio.count", "<=", 1.0, presets=("default", "full")),
    Claim("stream_memory", "<=", 64.0),
    Claim("stream_memory_growth", "<=", 1.2, presets=("default", "full")),
]
TITLES = {
    "baseline": "share of G and C",
    "plan": "naive Bayes at one k",
    "strong": "naive Bayes, pooled over k",
    "trees": "LightGBM on its scores, tuned",
}


def main(
    run: Run,
    *,
    fasta: Annotated[str, "genomes of your own: >name Genus species, three of a species"] = "",
    label_words: Annotated[int, Ge(0), "of a header that name the species; 0 takes all"] = 2,
    classify: Annotated[str, "a FASTA file of reads to name, into predictions.csv"] = "",
    species: Annotated[int, Ge(2), "made"] = 10,
    individuals: Annotated[int, Ge(3), "of each species, one of them held out"] = 4,
    genome: Annotated[int, Ge(1000), "letters"] = 30_000,
    within: Annotated[float, Ge(0), Lt(0.5), "substitutions per site in a species"] = 0.02,
    lengths: Annotated[tuple[int, ...], Ge(30), "of reads"] = (50, 100, 200),
    errors: Annotated[tuple[float, ...], Ge(0), Le(0.3), "of the machine, a letter"] = (
        0.0,
        0.02,
        0.05,
        0.1,
    ),
    reads: Annotated[int, Ge(5), "of a genome, at each length and error rate"] = 20,
    k: Annotated[int, Ge(1), Le(10), "of the plan's model"] = 8,
    ks: Annotated[tuple[int, ...], Ge(1), Le(31), "of the pooled models"] = (4, 6, 8, 10),
    trials: Annotated[int, Ge(1), "of smoothings"] = 10,
    tree_trials: Annotated[int, Ge(1), "of the boosted trees' settings"] = 2,
    tree_rounds: Annotated[int, Ge(1), "of boosting at most"] = 40,
    seeds: Annotated[int, Ge(1), "worlds, or splits of your own file"] = 3,
    stream_mb: Annotated[int, Gt(0), "of the FASTA file to count as a stream"] = 20,
) -> None:
    """Make or read genomes, hold individuals out, learn, and name reads."""
    found = []
    store = run.checkpoint("worlds")
    done: dict[int, dict[str, Any]] = store.load() or {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in run.progress(run.seeds(seeds), label="worlds"):
            rng = np.random.default_rng(seed)
            path, distance = Path(fasta), None
            if not fasta:
                world = make_world(
                    rng, species=species, individuals=individuals, length=genome, within=within
                )
                path, distance = Path(folder) / "world.fasta", world.distance
                write_fasta(path, world.records())
            with told_as_usage("--fasta"):
                known = catalog(path, rng, words=label_words)
                drawn = draw_reads(path, known, rng, lengths=lengths, errors=errors, count=reads)
            if seed not in done:
                done[seed], model = judge(
                    path, known, drawn, k, ks, trials, (tree_trials, tree_rounds), seed
                )
                if classify and seed == run.seed:
                    with told_as_usage("--classify"):
                        name_reads(run, classify, model, known)
                store.save(done)
            found.append(done[seed] | {"known": known, "distance": distance})
            if seed == run.seed:
                look(run, path, known)
                hold_counting(run, Path(folder), drawn)
        measure_stream(run, Path(folder), stream_mb)
    tell(run, found)
    draw(run, found)


@contextmanager
def told_as_usage(option: str) -> Iterator[None]:
    """What is wrong with a user's file, as one line that names the option."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{option} {error.filename}: {error.strerror}; a FASTA file is taken"
        ) from error
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def judge(
    path: Path,
    known: Catalog,
    drawn: Reads,
    k: int,
    ks: tuple[int, ...],
    trials: int,
    tree: tuple[int, int],
    seed: int,
) -> tuple[dict[str, Any], PooledBayes]:
    """Fit all models on the training individuals; what they say of the test individuals' reads."""
    folds = tuple(range(1, known.folds + 1))
    train, test = drawn.take(drawn.part > 0), drawn.take(drawn.part == 0)
    said: dict[str, NDArray] = {}
    for name, width in (("baseline", 1), ("plan", k)):
        index = index_for(width)
        model = KmerBayes(index).fit(count_file(path, index, known.rows(*folds)))
        said[name] = softmax(model.scores(test.batch), axis=1)
    pooled = PooledBayes(ks, trials=trials, seed=seed).fit(path, known, train)
    said["strong"] = pooled.predict_proba(test.batch)
    inputs = score_columns(pooled.held_, train)
    trees = TunedBooster(
        Schema.of(inputs), trials=tree[0], rounds=tree[1], folds=min(3, known.folds), seed=seed
    )
    trees.fit(inputs, train.species, train.part)
    said["trees"] = trees.predict_proba(score_columns(pooled.scores(test.batch), test))
    pool = [
        {"k": k, "smoothing": alpha, "weight": weight}
        for k, alpha, weight in zip(pooled.ks, pooled.alphas_, pooled.pool_.weights_, strict=True)
    ]
    return {"test": test, "said": said, "leak": leak(path, known, test), "pool": pool}, pooled


def look(run: Run, path: Path, known: Catalog) -> None:
    """The species at a glance, and whether a held-out genome stands in training as well."""
    near = nearest_training(path, known)
    run.table(
        "look",
        [
            {
                "species": name,
                "individuals": int(np.sum(known.species == s)),
                "letters": int(known.lengths[known.species == s].mean()),
                "G and C": known.gc[known.species == s].mean(),
                "held-out one to its own": near[s][0],
                "to the nearest other": near[s][1],
                "same genome twice": "yes" if near[s][0] == 0 else "no",
            }
            for s, name in enumerate(known.names)
        ],
        caption="Distances in substitutions per site, from sketches of k-mers",
    )
    run.metric("genomes_twice", float(sum(own == 0 for own, _ in near)), "species")


def right(row: dict[str, Any], name: str, **given: float) -> NDArray[np.bool_]:
    """Whether a model names each test read rightly; of those with a given length or error."""
    mask = np.ones(len(row["test"]), bool)
    for field, value in given.items():
        mask &= getattr(row["test"], field) == value
    return np.asarray(row["said"][name].argmax(axis=1) == row["test"].species)[mask]


def accuracy(found: list[dict[str, Any]], name: str, **given: float) -> float:
    """The mean over the worlds."""
    return float(np.mean([right(row, name, **given).mean() for row in found]))


def tell(run: Run, found: list[dict[str, Any]]) -> None:
    """The metrics, one number a world; accuracy by condition; what is mistaken for what."""
    for name in TITLES:
        run.metric(f"accuracy.{name}", [float(right(row, name).mean()) for row in found])
        sure = [row["said"][name].max(axis=1) for row in found]
        run.metric(
            f"calibration_error.{name}",
            [
                calibration_error(right(r, name).astype(int), s)
                for r, s in zip(found, sure, strict=True)
            ],
        )
        genera = [np.array([words.split()[0] for words in row["known"].names]) for row in found]
        run.metric(
            f"accuracy_genus.{name}",
            [
                float(np.mean(genus[r["said"][name].argmax(axis=1)] == genus[r["test"].species]))
                for r, genus in zip(found, genera, strict=True)
            ],
        )
    for a, b in (("strong", "plan"), ("trees", "plan"), ("plan", "baseline")):
        gains = [float(right(row, a).mean() - right(row, b).mean()) for row in found]
        run.metric(f"{a}_over_{b}", gains)
    run.metric("leak", [row["leak"][0] - row["leak"][1] for row in found])
    run.metric("accuracy_counted.own_genome", [row["leak"][0] for row in found])
    run.metric("accuracy_counted.other_individuals", [row["leak"][1] for row in found])
    test = found[0]["test"]
    run.table(
        "conditions",
        [
            {"letters": int(length), "error": error}
            | {t: accuracy(found, n, length=length, error=error) for n, t in TITLES.items()}
            for length in np.unique(test.length)
            for error in np.unique(test.error)
        ],
        caption="Accuracy on reads of individuals that were never counted",
    )
    run.table("pool", found[0]["pool"], caption="What the pool learnt in the first world")


def mistakes(row: dict[str, Any]) -> tuple[NDArray, NDArray]:
    """For each pair of species: the distance, and the share of one's reads taken for the other."""
    n, test = len(row["known"].names), row["test"]
    table = np.zeros((n, n))
    np.add.at(table, (test.species, row["said"]["strong"].argmax(axis=1)), 1)
    table /= table.sum(axis=1, keepdims=True)
    pairs = ~np.eye(n, dtype=bool)
    return row["distance"][pairs], table[pairs]


def draw(run: Run, found: list[dict[str, Any]]) -> None:
    """By length; by error rate; reliability; mistakes by distance."""
    figure, axes = plots.figure(2, 2, width=9.5, height=6.8)
    test = found[0]["test"]
    lengths, errors = np.unique(test.length), np.unique(test.error)
    for place, (name, title) in enumerate(TITLES.items()):
        color = plots.PALETTE[(7, 1, 0, 2)[place]]
        style = {"color": color, "markersize": 4, "label": title}
        by = [accuracy(found, name, length=length) for length in lengths]
        kind = "o:" if name == "trees" else "o-"
        axes[0, 0].plot(lengths, by, kind, **style)
        by = [accuracy(found, name, error=error) for error in errors]
        axes[0, 1].plot(100 * errors, by, kind, **style)
        if name != "baseline":
            sure = np.concatenate([row["said"][name].max(axis=1) for row in found])
            hit = np.concatenate([right(row, name) for row in found]).astype(int)
            axes[1, 0].plot(*reliability(hit, sure)[:2], "o-", **style)
    axes[0, 0].set(title="Longer reads", xlabel="letters of a read", ylabel="accuracy")
    axes[0, 0].set(ylim=(0, 1.02), xticks=lengths)
    axes[0, 1].set(title="A machine that errs", xlabel="misread letters (%)", ylabel="accuracy")
    axes[0, 1].set(ylim=(0, 1.02))
    axes[0, 0].legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.14))
    axes[1, 0].plot([0, 1], [0, 1], ":", color=plots.PALETTE[7])
    axes[1, 0].set(title="Said and seen", xlabel="probability of the species named")
    axes[1, 0].set(ylabel="share named rightly")
    if found[0]["distance"] is None:
        axes[1, 1].axis("off")
    else:
        for row in found:
            distance, share = mistakes(row)
            axes[1, 1].plot(distance, 100 * share, "o", markersize=3.5, alpha=0.6)
        axes[1, 1].set(title="Mistaken for a relative", xlabel="substitutions per site apart")
        axes[1, 1].set(ylabel="reads taken for the other (%)")
    run.figure(
        "taxonomy",
        figure,
        "Accuracy on reads of individuals that were never counted, by length and by error rate; "
        "probabilities against what was right; for each pair of species, how often one is taken "
        "for the other against their distance, each world in a color.",
    )
