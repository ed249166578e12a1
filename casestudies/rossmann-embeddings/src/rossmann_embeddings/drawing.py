"""Pictures: where values lie in embedding space, errors by week, learning curves, forecasts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundwork import plots
from rossmann_embeddings.generator import GROUPS, REGIONS, Truth
from rossmann_embeddings.tables import SalesTable


def kinds_of(
    table: SalesTable, name: str, levels: Sequence[object], truth: Truth | None
) -> list[str]:
    """What a map's colours tell of a category's values, one word each.

    The truth where the chain is generated; a store's state or type; else how much a value sells.
    """
    if truth is not None and name in ("store", "department"):
        names, kind = (REGIONS, truth.region) if name == "store" else (GROUPS, truth.group)
        return [names[kind[int(str(level)) - 1]] for level in levels]
    frame = table.frame
    by = next((column for column in ("state", "type") if column in frame), None)
    if name == "store" and by:
        known = frame.drop_duplicates("store").set_index("store")[by]
        return [f"{by} {known[level]}" for level in levels]
    if name not in frame:
        return [""] * len(levels)
    sizes = frame.groupby(name)["sales"].mean().loc[list(levels)]
    third = (3 * sizes.rank(pct=True)).clip(upper=2.99).astype(int)
    return [f"{('low', 'middle', 'high')[k]} sales" for k in third]


def draw_map(
    axes: Any,
    vectors: NDArray[np.float32],
    labels: Sequence[object],
    groups: Sequence[object],
    title: str,
) -> float:
    """Vectors (k, width) in their two main directions, a label each, coloured by group.

    Returns the share of the variance that the plane shows.
    """
    from unsupervised_learning import PCA

    if vectors.shape[1] > 2:
        pca = PCA(n_components=2).fit(vectors)
        points, shown = pca.transform(vectors), float(pca.explained_variance_ratio_.sum())
    else:
        points, shown = np.pad(vectors, ((0, 0), (0, 2 - vectors.shape[1]))), 1.0
    kinds = list(dict.fromkeys(sorted(groups, key=str)))
    for i, kind in enumerate(kinds):
        here = np.array([group == kind for group in groups])
        color = plots.PALETTE[i % len(plots.PALETTE)]
        label = str(kind) if len(kinds) > 1 else None
        axes.plot(*points[here].T, "o", color=color, markersize=8, alpha=0.25, label=label)
        for point, text in zip(points[here], np.array(labels, object)[here], strict=True):
            axes.text(*point, str(text), fontsize=6.5, ha="center", va="center")
    axes.set(title=title, xticks=[], yticks=[])
    axes.margins(0.08)
    if 1 < len(kinds) <= len(plots.PALETTE):
        axes.legend(fontsize=8, markerscale=0.8, handletextpad=0.1)
    return shown


def weekly_errors(
    dates: NDArray[np.datetime64], errors: NDArray[np.float64]
) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """The mean of the errors (n,) in each calendar week that the dates fall in, and its first."""
    weeks = dates.astype("datetime64[W]")
    kinds, place = np.unique(weeks, return_inverse=True)
    return kinds, np.bincount(place, errors) / np.bincount(place)


def draw_weeks(
    axes: Any,
    dates: NDArray[np.datetime64],
    errors: Mapping[str, NDArray[np.float64]],
    festive: NDArray[np.bool_],
    unit: str,
) -> None:
    """The mean absolute error of each week, a line for each forecast; weeks that weigh more."""
    for name, values in errors.items():
        weeks, means = weekly_errors(dates, values)
        axes.plot(weeks.astype("datetime64[D]"), means, "o-", markersize=3, label=name)
    marked = np.unique(dates[festive].astype("datetime64[W]")).astype("datetime64[D]")
    for i, week in enumerate(marked):
        axes.axvline(
            week, color=plots.PALETTE[7], linestyle=":", label=None if i else "week of a holiday"
        )
    axes.set(title="Error by week", ylabel=f"mean absolute error ({unit})", ylim=(0, None))
    axes.xaxis.set_major_locator(_few_dates())
    axes.xaxis.set_major_formatter(_short_dates())
    axes.legend(fontsize=8, loc="lower left")


def draw_curves(
    axes: Any, curves: Mapping[str, Sequence[float]], levels: Mapping[str, float]
) -> None:
    """The inner split's error after each pass, a line for each network; levels to compare with."""
    from matplotlib.ticker import MaxNLocator

    for label, values in curves.items():
        axes.plot(range(1, len(values) + 1), values, "o-", markersize=3, label=label)
    for (label, level), style in zip(levels.items(), ("--", ":"), strict=False):
        axes.axhline(level, color=plots.PALETTE[7], linestyle=style, label=label)
    axes.set(title="Learning curves, inner split", xlabel="passes over the rows")
    axes.set(ylabel="weighted error")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8)


def draw_forecasts(
    axes: Sequence[Any],
    past: Sequence[tuple[NDArray, NDArray]],
    ahead: Sequence[tuple[NDArray, NDArray, NDArray, NDArray]],
    titles: Sequence[str],
) -> None:
    """A panel for each series: dates and sales, then dates, forecast, low and high."""
    rows = zip(axes, past, ahead, titles, strict=True)
    for i, (panel, (when, sales), (then, middle, low, high), title) in enumerate(rows):
        blue, orange = plots.PALETTE[:2]
        panel.plot(when, sales / 1000, color=blue, label="sales" if i == 0 else None)
        panel.fill_between(
            then, np.maximum(low, 0) / 1000, high / 1000, color=orange, alpha=0.25, linewidth=0,
            label="interval" if i == 0 else None,
        )  # fmt: skip
        panel.plot(then, middle / 1000, color=orange, label="forecast" if i == 0 else None)
        panel.set(title=title, ylabel="sales (thousands)", ylim=(0, None))
        panel.xaxis.set_major_locator(_few_dates())
        panel.xaxis.set_major_formatter(_short_dates())
        if i == 0:
            panel.legend(fontsize=8, loc="lower left")


def _few_dates() -> Any:
    from matplotlib.dates import AutoDateLocator

    return AutoDateLocator(minticks=3, maxticks=6)


def _short_dates() -> Any:
    from matplotlib.dates import ConciseDateFormatter

    return ConciseDateFormatter(_few_dates())
