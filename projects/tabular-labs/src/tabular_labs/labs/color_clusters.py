r"""Find the colors of a palette again: k-means where distance is what the eye sees.

Points lie around the entries of a palette, off by noise of a stated size in CIEDE2000, which is how
different two colors look. The same k-means runs on four sets of numbers for the same colors: sRGB
as files hold it, linear light, CIELAB and OKLab. In linear light the dark colors fall together; in
a perceptual space clusters are rounder and of like size, and that is what k-means takes them for. A
mixture of normal distributions, whose shapes are learnt and whose kind is chosen by BIC, may do
more. How many colors there are is asked of the gap statistic and the silhouette.

The first panel has one palette: the points as they look, by their two chromatic axes, and the
centers that were found. The second has the agreement with the true entries on points that were not
clustered, every seed; the third asks how many. The last one is a photograph in few colors: how far
off its pixels are, by the space in which they were chosen. The pictures show it.

S. P. Lloyd, Least squares quantization in PCM, 1982; R. Tibshirani, G. Walther and T. Hastie,
Estimating the number of clusters in a data set via the gap statistic, 2001.
"""

import warnings
from functools import partial
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray
from sklearn.cluster import KMeans as ReferenceKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from tabular_labs import palettes
from tabular_labs.clusters import confusions, how_many, k_means, mixture_by_bic
from tabular_labs.color import SPACES, ciede2000, lab_to_srgb
from unsupervised_learning import KMeans

PRESETS = {
    "smoke": {
        "entries": 8, "points": 1500, "noise": 4.0, "seeds": 1, "colors": (8, 16), "sample": 3000,
    },
    "default": {},
    "full": {
        "entries": 24, "points": 40_000, "seeds": 5, "pictures": ("china", "flower"),
        "colors": (4, 8, 16, 32, 64, 128), "sample": 40_000, "starts": 20,
    },
}  # fmt: skip
CLAIMS = [
    Claim("ari.lab", ">=", 0.95),
    Claim("lab_over_linear", ">=", 0.02),
    Claim("mixture_over_plan", ">=", 0.0, presets=("default", "full")),
    Claim("inertia_over_reference", "<=", 1e-6),
    Claim("entries_missed.silhouette", "<=", 2.0),
    Claim("picture_error_saved.lab", ">=", 0.02, presets=("default", "full")),
    Claim("ratio.kmeans", "<=", 3.0, presets=("full",)),
]
TITLES = {"srgb": "sRGB", "linear": "linear light", "lab": "CIELAB", "oklab": "OKLab"}
INK = {"srgb": plots.PALETTE[7], "linear": plots.PALETTE[1], "lab": plots.PALETTE[0]} | {
    "oklab": plots.PALETTE[2]
}


def main(
    run: Run,
    *,
    entries: Annotated[int, Ge(2), Le(40), "colors of the palette"] = 16,
    points: Annotated[int, Ge(200), "around the palette, half of them held out"] = 8000,
    apart: Annotated[float, Gt(0), "least CIEDE2000 between two entries"] = 12.0,
    noise: Annotated[float, Gt(0), "CIEDE2000 of a point off its entry, about"] = 3.0,
    starts: Annotated[int, Ge(1), "of k-means, the best one counts"] = 10,
    seeds: Annotated[int, Ge(1), "palettes"] = 3,
    pictures: Annotated[tuple[str, ...], "china, flower, or files of your own"] = ("china",),
    colors: Annotated[tuple[int, ...], Ge(2), Le(256), "of a picture"] = (4, 8, 16, 32, 64),
    sample: Annotated[int, Ge(500), "pixels to choose a picture's colors from"] = 10_000,
) -> None:
    """Cluster palettes, count them, and paint pictures in few colors."""
    if min(points, sample) < 4 * max(entries, *colors):
        raise UsageError("--points and --sample must be at least four for each color")
    images = {name: read_picture(run, name) for name in pictures}
    rows = []
    for seed in run.progress(run.seeds(seeds), label="palettes"):
        rows.append(one_palette(seed, entries, points, apart, noise, starts))
    tell(run, rows, entries)
    hold(run, rows[0]["painted"], entries)
    errors = paint_pictures(run, images, colors, sample, starts)
    draw(run, rows, errors, entries)


def one_palette(
    seed: int, entries: int, points: int, apart: float, noise: float, starts: int
) -> dict[str, Any]:
    """Cluster half of the points of one palette, and judge by the other half."""
    rng = np.random.default_rng(seed)
    palette = palettes.make_palette(rng, entries, apart)
    painted = palettes.paint(rng, palette, points, noise)
    train = np.zeros(points, bool)
    train[rng.permutation(points)[: points // 2]] = True
    unseen = painted.labels[~train]
    found: dict[str, Any] = {"painted": painted, "train": train, "ari": {}}
    ks = tuple(range(max(2, entries - 6), entries + 7))
    levels = max(2, round(entries ** (1 / 3)))
    cells = palettes.uniform_cells(painted.points[~train], levels)
    found["ari"]["baseline"] = adjusted_rand_score(unseen, cells)
    for space in SPACES:
        X = palettes.to_space(painted.points, space)
        model = k_means(entries, starts, seed, X[train])
        said = model.predict(X[~train])
        found["ari"][space] = adjusted_rand_score(unseen, said)
        if space == "lab":
            found["centers"] = model.cluster_centers_
            mixed, found["kind"] = mixture_by_bic(X[train], model.cluster_centers_, seed)
            found["ari"]["mixture"] = adjusted_rand_score(unseen, mixed.predict(X[~train]))
            found |= how_many(X[train], ks, starts, seed)
            found["errors"] = confusions(palette, model.cluster_centers_, unseen, said)
    seen = {color.tobytes() for color in painted.points[train]}
    found["twins"] = float(np.mean([c.tobytes() in seen for c in painted.points[~train]]))
    return found


def tell(run: Run, rows: list[dict[str, Any]], entries: int) -> None:
    """The metrics, and the tables: a look, the leakage check, the errors."""
    for name in rows[0]["ari"]:
        run.metric(f"ari.{name}", [row["ari"][name] for row in rows])
    for first, name in (("linear", "lab_over_linear"), ("srgb", "lab_over_srgb")):
        run.metric(name, [row["ari"]["lab"] - row["ari"][first] for row in rows])
    run.metric("mixture_over_plan", [r["ari"]["mixture"] - r["ari"]["lab"] for r in rows])
    for way in ("silhouette", "gap"):
        missed = [abs(row["chosen"][way] - entries) for row in rows]
        run.metric(f"entries_missed.{way}", missed, "entries")
    looks = []
    for row in rows:
        palette = row["painted"].palette
        between = ciede2000(palette[:, None], palette[None])
        np.fill_diagonal(between, np.inf)
        off = ciede2000(
            palettes.to_space(row["painted"].points, "lab"), palette[row["painted"].labels]
        )
        counts = np.bincount(row["painted"].labels)
        looks.append(
            {
                "nearest entries (ΔE)": between.min(),
                "points off (ΔE, median)": np.median(off),
                "points off (ΔE, 95 %)": np.quantile(off, 0.95),
                "rarest entry (points)": counts.min(),
                "commonest entry (points)": counts.max(),
                "held-out points with a twin": row["twins"],
                "mixture chosen by BIC": row["kind"],
            }
        )
    run.table("look", looks, caption="Each palette; labels are used for the score alone")
    run.table(
        "errors",
        rows[0]["errors"],
        ["entry", "taken for", "points", "of the entry's", "ΔE"],
        caption="The first palette: entries that were mixed",
    )


def hold(run: Run, painted: palettes.Painted, entries: int) -> None:
    """The same centers to begin with, the same stopping rule: inertia and time."""
    X = palettes.to_space(painted.points, "lab")
    start = X[run.rng.permutation(len(X))[:entries]]
    ours = KMeans(entries, init=start, n_init=1, tol=0, max_iter=100)
    theirs = ReferenceKMeans(entries, init=start, n_init=1, tol=0, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ratio = ours.fit(X).inertia_ / theirs.fit(X).inertia_
        run.metric("inertia_over_reference", ratio - 1)
        run.compare("kmeans", partial(ours.fit, X), partial(theirs.fit, X), library="scikit-learn")


def paint_pictures(
    run: Run, images: dict[str, NDArray], colors: tuple[int, ...], sample: int, starts: int
) -> dict[tuple[str, str, int], float]:
    """The mean CIEDE2000 of each picture in so many colors, by space; and what it looks like."""
    errors: dict[tuple[str, str, int], float] = {}
    shown: list[tuple[str, NDArray]] = []
    middle = colors[len(colors) // 2]
    first = next(iter(images))
    for name, image in images.items():
        pixels = np.random.default_rng(run.seed).permutation(image[..., 0].size)[:sample]
        work = [(space, k) for k in colors for space in SPACES]
        for space, k in run.progress(work, label=f"colors of {name}"):
            make = partial(KMeans, k, n_init=max(1, starts // 4), random_state=run.seed)
            quantized, palette = palettes.quantize(image, space, make, pixels)
            errors[name, space, k] = float(palettes.quantization_error(image, quantized).mean())
            if name == first and k == colors[min(1, len(colors) - 1)]:
                shown.append((f"{TITLES[space]}, {k} colors", quantized))
            if space == "oklab" and k == middle and name not in ("china", "flower"):
                run.artifact("palette.csv").write_text(
                    "".join(f"{r},{g},{b}\n" for r, g, b in [("red", "green", "blue"), *palette])
                )
        if name == first:
            shown.insert(0, ("the photograph", image))
    for space in SPACES:
        saved = [1 - e / errors[n, "srgb", k] for (n, s, k), e in errors.items() if s == space]
        run.metric(f"picture_error.{space}", float(np.mean(
            [e for (_, s, k), e in errors.items() if s == space and k == middle]
        )), "CIEDE2000")  # fmt: skip
        run.metric(f"picture_error_saved.{space}", float(np.mean(saved)))
    run.table(
        "pictures",
        [
            {"picture": name if name in ("china", "flower") else "your own", "colors": k}
            | {TITLES[space]: errors[name, space, k] for space in SPACES}
            for name in images
            for k in colors
        ],
        caption="Mean CIEDE2000 of the pixels, by the space in which the colors were chosen",
    )
    height, width, _ = shown[0][1].shape
    grid, cells = plots.figure(2, 3, width=7.0, height=4.7 * height / width + 0.6)
    for cell in cells.flat:
        cell.axis("off")
    for cell, (title, image) in zip(cells.flat, shown, strict=False):
        cell.imshow(image, interpolation="nearest")
        cell.set_title(title, fontsize=9, loc="center", fontweight="normal")
    run.figure("pictures", grid, "A photograph, and in few colors by space.", format="png")
    return errors


def read_picture(run: Run, name: str) -> NDArray[np.uint8]:
    """A bundled photograph, or a file."""
    if name in ("china", "flower"):
        return np.asarray(run.data(name)["image"])
    try:
        return palettes.load_picture(name)
    except ValueError as error:
        raise UsageError(f"--pictures: {error}; china and flower are bundled") from error


def draw(
    run: Run, rows: list[dict[str, Any]], errors: dict[tuple[str, str, int], float], entries: int
) -> None:
    """One palette; every seed's agreement; how many; a picture's error."""
    figure, axes = plots.figure(2, 2, width=9.5, height=7.4)
    painted = rows[0]["painted"]
    some = np.random.default_rng(0).permutation(len(painted.points))[:1500]
    lab = palettes.to_space(painted.points[some], "lab")
    axes[0, 0].scatter(
        lab[:, 1], lab[:, 2], s=6, c=painted.points[some] / 255.0, linewidths=0, rasterized=True
    )
    centers = rows[0]["centers"]
    axes[0, 0].scatter(
        centers[:, 1], centers[:, 2], s=60, linewidths=1.2, edgecolors="#20242c",
        c=np.clip(lab_to_srgb(centers), 0, 1),
    )  # fmt: skip
    axes[0, 0].set(title="One palette, and the centers found", xlabel="a*: green to red")
    axes[0, 0].set(ylabel="b*: blue to yellow", aspect="equal")
    names = {"baseline": "equal\ncells", "linear": "linear\nlight", "srgb": "sRGB"} | {
        "oklab": "OKLab", "lab": "CIELAB", "mixture": "mixture\nin CIELAB",
    }  # fmt: skip
    for place, name in enumerate(names):
        values = [row["ari"][name] for row in rows]
        axes[0, 1].plot([place] * len(values), values, "o", markersize=5, alpha=0.7,
                        color=INK.get(name, plots.PALETTE[4]))  # fmt: skip
    axes[0, 1].axhline(0.95, color=plots.PALETTE[7], linestyle=":")
    axes[0, 1].set(
        title="Agreement with the palette", ylabel="adjusted Rand index", ylim=(None, 1.01)
    )
    axes[0, 1].set_xticks(range(len(names)), list(names.values()), fontsize=8)
    for row in rows:
        ks = np.array(row["ks"]) - entries
        axes[1, 0].plot(ks, row["silhouettes"], "o-", markersize=3, color=plots.PALETTE[0])
    axes[1, 0].axvline(0, color=plots.PALETTE[7], linestyle=":")
    axes[1, 0].set(title="How many?", xlabel="clusters beyond the true number", ylabel="silhouette")
    first = next(iter(errors))[0]
    for space in SPACES:
        line = {k: e for (name, s, k), e in errors.items() if (name, s) == (first, space)}
        axes[1, 1].plot(list(line), list(line.values()), "o-", markersize=3, color=INK[space],
                        label=TITLES[space])  # fmt: skip
    axes[1, 1].set(title="A photograph in few colors", xlabel="colors", ylabel="mean CIEDE2000")
    axes[1, 1].set_xscale("log", base=2)
    axes[1, 1].set_xticks(list(line), [str(k) for k in line])
    axes[1, 1].legend(fontsize=8)
    run.figure(
        "colors",
        figure,
        "One palette's points as they look, and the centers of k-means in CIELAB; the agreement of "
        "held-out points with the palette, every seed; the silhouette by the number of clusters; "
        "the error of a photograph by the space in which its colors were chosen.",
    )
