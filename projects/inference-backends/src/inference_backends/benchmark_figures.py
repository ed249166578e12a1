"""The figure of a benchmark: the front, the throughput over batches, the roof."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from groundwork import plots
from inference_backends.backends import NAMES, Precision
from inference_backends.benchmarking import Peaks, Row, Work, pareto_front

#: A precision's mark and the line of its roof.
MARKS: dict[Precision, str] = {"fp32": "o", "bf16": "s", "fp16": "D", "int8": "^"}
LINES: dict[Precision, str] = {"fp32": "-", "bf16": "--", "int8": ":"}
#: Below this relative difference all are drawn alike: PyTorch itself is at 0.
LEAST_ERROR = 1e-7


def draw(
    rows: Sequence[Row],
    quality: Mapping[str, Mapping[str, Any]],
    peaks: Peaks,
    work: Callable[[int, Precision], Work],
) -> Figure:
    """Three panels, one colour a backend, one mark a precision.

    Parameters
    ----------
    rows : of one number of threads, named `backend precision`.
    quality : by the same names, with `error` (relative) and `size` (bytes).
    work : what a batch of a precision needs.
    """
    figure, axes = plots.figure(1, 3, width=13.0, height=4.6)
    draw_front(axes[0], rows, quality)
    draw_batches(axes[1], rows)
    draw_roof(axes[2], rows, peaks, work)
    names = dict.fromkeys(_split(row.name)[0] for row in rows)
    kinds = dict.fromkeys(_split(row.name)[1] for row in rows)
    handles = [Line2D([], [], color=_color(name), linewidth=4, label=name) for name in names]
    handles += [
        Line2D([], [], color="#20242c", marker=MARKS[kind], linestyle="", label=kind)
        for kind in kinds
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
    return figure


def draw_front(axes: Any, rows: Sequence[Row], quality: Mapping[str, Mapping[str, Any]]) -> None:
    """The logits' error against the latency of the smallest batch; the front as a line."""
    smallest = min((row.batch for row in rows), default=1)
    points = [row for row in rows if row.batch == smallest]

    def error(row: Row) -> float:
        return max(float(quality[row.name]["error"]), LEAST_ERROR)

    largest = max((quality[row.name]["size"] for row in points), default=1)
    front = pareto_front(points, lambda row: row.p50_s, error)
    x, y = [1e3 * row.p50_s for row in front], [error(row) for row in front]
    axes.step(x, y, where="post", color=plots.PALETTE[7], linewidth=1.2, zorder=1)
    for row in points:
        name, kind = _split(row.name)
        area = 25 + 230 * quality[row.name]["size"] / largest
        axes.scatter(
            [1e3 * row.p50_s],
            [error(row)],
            s=area,
            color=_color(name),
            marker=MARKS[kind],
            alpha=0.75,
            linewidths=0,
        )
    axes.set(xscale="log", yscale="log", title="Quick and close")
    axes.set(xlabel=f"p50 of a call with {smallest} image{'s' * (smallest > 1)} (ms)")
    axes.set(ylabel="largest difference of a logit, relative")


def draw_batches(axes: Any, rows: Sequence[Row]) -> None:
    """Images a second against the batch."""
    for label in dict.fromkeys(row.name for row in rows):
        own = sorted((row for row in rows if row.name == label), key=lambda row: row.batch)
        name, kind = _split(label)
        axes.plot(
            [row.batch for row in own],
            [row.images_per_s for row in own],
            color=_color(name),
            marker=MARKS[kind],
            markersize=4,
            linewidth=1.2,
        )
    sizes = sorted({row.batch for row in rows})
    axes.set(xscale="log", yscale="log", title="Throughput", xlabel="images a call")
    axes.set(ylabel="images a second")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()


def draw_roof(
    axes: Any, rows: Sequence[Row], peaks: Peaks, work: Callable[[int, Precision], Work]
) -> None:
    """Multiply-adds a second at each session's best batch, under the roofs."""
    reached: list[float] = []
    intensities: list[float] = []
    for label in dict.fromkeys(row.name for row in rows):
        best = max((row for row in rows if row.name == label), key=lambda row: row.images_per_s)
        name, kind = _split(label)
        needed = work(best.batch, kind)
        intensities.append(needed.intensity)
        reached.append(needed.macs / best.batch * best.images_per_s / 1e9)
        axes.plot(
            intensities[-1], reached[-1], MARKS[kind], color=_color(name), markersize=7, alpha=0.8
        )
    x = np.geomspace(0.2 * min(intensities, default=1), 8 * max(intensities, default=1), 200)
    for kind, line in LINES.items():
        axes.plot(x, peaks.roof(kind, x) / 1e9, line, color=plots.PALETTE[7], linewidth=1.3)
        axes.annotate(
            kind, (x[-1], peaks.macs(kind) / 1e9), (0, 3), textcoords="offset points",
            ha="right", fontsize=8, color=plots.PALETTE[7],
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", title="Under the roof")
    axes.set(xlabel="multiply-adds a byte", ylabel="GMAC a second")


def _split(name: str) -> tuple[str, Precision]:
    backend, precision = name.split()
    return backend, cast(Precision, precision)


def _color(backend: str) -> str:
    return plots.PALETTE[NAMES.index(backend) % len(plots.PALETTE)]
