"""What was measured, how the shipped form is chosen from it, and how it is told.

The quickest form wins among those that keep the accuracy and the size; whether they keep it is
judged on images that were held out for this, and the mean over the seeds counts. The test images
have no say in it: they give the numbers of the report.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from cnn_inference_pipeline.dataset import Dataset
from groundwork import plots
from inference_backends.benchmarking import pareto_front

#: The sizes of batch that speed is measured at.
ONE, MANY = 1, 64


@dataclass(frozen=True)
class Targets:
    """What the user asks for: points of accuracy, times quicker at batch 1, megabytes."""

    max_accuracy_drop: float
    min_speedup: float
    max_size_mb: float


@dataclass
class Form:
    """One network in one runtime, with a number for each seed.

    stage : original, distilled, pruned, PTQ (quantised after training), QAT (in training) or
        QAT unpruned.
    shippable : whether a bundle can be made of it.
    macs : multiply-adds an image; 0 where they cannot be counted.
    accuracy, chosen_by : on the test, and on the images held out for choices, in points.
    bytes : of the file; latency_s, many_s : median seconds of one image, and of 64.
    """

    stage: str
    runtime: str
    precision: str
    shippable: bool
    macs: int
    accuracy: list[float]
    chosen_by: list[float]
    bytes: list[int]
    latency_s: list[float]
    many_s: list[float]

    @property
    def name(self) -> str:
        """Unique among the forms of a run."""
        return f"{self.stage} {self.runtime} {self.precision}"


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean."""
    return float(np.mean(list(values)))


def shares(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """first / second for each seed."""
    return [a / b for a, b in zip(first, second, strict=True)]


def choose(forms: Sequence[Form], base: Form, targets: Targets, held_out: int) -> Form:
    r"""The form to ship: the quickest that keeps accuracy and size.

    Where none keeps both, it is the quickest of the most accurate among those that are small
    enough, or among all. Few images tell accuracies apart only so far: what lies within one
    standard error $\sqrt{p (1 - p) / n}$ of the best counts as equal to it (Leo Breiman and others,
    *Classification and regression trees*, 1984, section 3.4.3).

    held_out : how many images the choice is made on, n.
    """
    offered = [form for form in forms if form.shippable]
    if not offered:
        raise ValueError("no form can be shipped; one or more are taken")
    wanted = mean(base.chosen_by) - targets.max_accuracy_drop
    small = [form for form in offered if mean(form.bytes) <= 1e6 * targets.max_size_mb]
    good = [form for form in small if mean(form.chosen_by) >= wanted]
    if good:
        return min(good, key=lambda form: mean(form.latency_s))
    left = small or offered
    best = max(mean(form.chosen_by) for form in left)
    error = (best * (100.0 - best) / held_out) ** 0.5
    equal = [form for form in left if mean(form.chosen_by) >= best - error]
    return min(equal, key=lambda form: mean(form.latency_s))


def unmet(form: Form, base: Form, targets: Targets) -> list[str]:
    """The targets that the form misses, on the test, in words."""
    drop = mean(base.accuracy) - mean(form.accuracy)
    speedup = mean(shares(base.latency_s, form.latency_s))
    megabytes = mean(form.bytes) / 1e6
    missed = []
    if drop > targets.max_accuracy_drop + 1e-9:
        missed.append(f"accuracy drops by {drop:.2f} points, {targets.max_accuracy_drop:g} allowed")
    if speedup < targets.min_speedup:
        missed.append(f"one image is {speedup:.1f}× quicker, {targets.min_speedup:g}× wanted")
    if megabytes > targets.max_size_mb:
        missed.append(f"the file has {megabytes:.3g} MB, {targets.max_size_mb:g} allowed")
    return missed


def front(forms: Sequence[Form]) -> list[Form]:
    """The forms that none beats in both latency and accuracy, the quickest first."""
    found: list[Form] = pareto_front(
        forms, lambda form: mean(form.latency_s), lambda form: -mean(form.accuracy)
    )
    return found


def rows(forms: Sequence[Form], base: Form) -> list[dict[str, Any]]:
    """The table: each stage's accuracy, size and speed."""
    return [
        {
            "stage": form.stage,
            "runtime": form.runtime,
            "precision": form.precision,
            "accuracy (points)": round(mean(form.accuracy), 2),
            "file (kB)": round(mean(form.bytes) / 1e3, 1),
            "million multiply-adds": round(form.macs / 1e6, 2) if form.macs else None,
            "one image (µs)": round(1e6 * mean(form.latency_s), 1),
            "times quicker": round(mean(shares(base.latency_s, form.latency_s)), 1),
            "images/s in 64s": round(mean(MANY / t for t in form.many_s)),
            "times more": round(mean(shares(base.many_s, form.many_s)), 1),
        }
        for form in forms
    ]


def card(
    data: Dataset, source: str, form: Form, base: Form, threads: int, missed: list[str]
) -> str:
    """The model card of a bundle, in Markdown."""
    drop = mean(base.accuracy) - mean(form.accuracy)
    labels = ", ".join(data.labels[:20]) + (" …" if len(data.labels) > 20 else "")
    channels, height, width = data.shape
    lines = [
        f"# {source} on {data.name}, made small",
        "",
        f"An image classifier for {width}×{height} images with {channels} "
        f"channel{'s' * (channels > 1)}, for {form.runtime} in {form.precision}.",
        "",
        "```",
        "python predict.py image.png",
        "```",
        "",
        "| | original, PyTorch fp32 | this bundle |",
        "| --- | ---: | ---: |",
        f"| accuracy on {len(data.x_test):,} test images | {mean(base.accuracy):.2f} % "
        f"| {mean(form.accuracy):.2f} % ({-drop:+.2f}) |",
        f"| file | {mean(base.bytes) / 1e3:.1f} kB | {mean(form.bytes) / 1e3:.1f} kB |",
        f"| one image | {1e6 * mean(base.latency_s):.0f} µs "
        f"| {1e6 * mean(form.latency_s):.0f} µs |",
        f"| images a second, 64 at a time | {mean(MANY / t for t in base.many_s):,.0f} "
        f"| {mean(MANY / t for t in form.many_s):,.0f} |",
        "",
        f"Times with {threads} thread{'s' * (threads > 1)}, on the machine that made the bundle; "
        f"the mean over {len(form.accuracy)} seed{'s' * (len(form.accuracy) > 1)}, of which the "
        "first is bundled.",
        "",
        "## Data",
        "",
        f"{len(data.x_train):,} images to learn from, {len(data.x_choice):,} held out for choices, "
        f"{len(data.x_test):,} to test on. Classes: {labels}.",
        "",
        "## Limits",
        "",
        "It was made for images like those it learnt from, and says one of its classes to any "
        "image. Its probabilities are not calibrated.",
    ]
    if missed:
        lines += ["", "## Targets that it misses", "", *(f"- {text}" for text in missed)]
    return "\n".join(lines) + "\n"


_COLORS = {
    "original": plots.PALETTE[7],
    "distilled": plots.PALETTE[0],
    "pruned": plots.PALETTE[1],
    "PTQ": plots.PALETTE[4],
    "QAT": plots.PALETTE[2],
    "QAT unpruned": plots.PALETTE[6],
}
_MARKERS = {"eager": "s", "onnxruntime": "o", "openvino": "^", "litert": "D"}


def draw(forms: Sequence[Form], base: Form, shipped: Form, targets: Targets) -> Figure:
    """The Pareto picture: accuracy against the time of one image, and against the file."""
    figure, axes = plots.figure(1, 2, width=10.0, height=4.4, sharey=True)
    lowest = mean(base.accuracy) - targets.max_accuracy_drop
    costs = (
        (lambda form: 1e6 * mean(form.latency_s), "one image (µs)"),
        (lambda form: mean(form.bytes) / 1e3, "file (kB)"),
    )
    for axis, (cost, label) in zip(axes, costs, strict=True):
        for form in forms:
            large = form is shipped
            axis.plot(
                cost(form), mean(form.accuracy), _MARKERS.get(form.runtime, "v"),
                color=_COLORS.get(form.stage, plots.PALETTE[5]),
                markersize=11 if large else 7, markeredgecolor="black" if large else "white",
                markeredgewidth=1.4 if large else 0.6, zorder=4 if large else 3,
            )  # fmt: skip
        best = pareto_front(forms, cost, lambda form: -mean(form.accuracy))
        xs = [cost(form) for form in best]
        ys = [mean(form.accuracy) for form in best]
        axis.step(xs, ys, where="post", color="#20242c", linewidth=1.0, alpha=0.5, zorder=2)
        axis.axhline(lowest, color=plots.PALETTE[3], linewidth=0.9, linestyle=(0, (4, 3)))
        axis.set(xscale="log", xlabel=label)
        low, high = axis.get_xlim()
        steps = (1, 2, 5) if high < 300 * low else (1,)
        ticks = [step * 10.0**power for power in range(6) for step in steps]
        axis.set_xticks([tick for tick in ticks if low <= tick <= high])
        axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set(ylabel="accuracy on the test (points)", title="Time")
    axes[1].set(title="Size")
    axes[1].annotate(
        "accuracy asked for", (0.99, lowest), xycoords=("axes fraction", "data"), ha="right",
        va="bottom", fontsize=8, color=plots.PALETTE[3], xytext=(0, 2), textcoords="offset points",
    )  # fmt: skip
    _legend(figure, axes[0], forms)
    return figure


def _legend(figure: Figure, axis: Any, forms: Sequence[Form]) -> None:
    stages = list(dict.fromkeys(form.stage for form in forms))
    runtimes = list(dict.fromkeys(form.runtime for form in forms))
    handles = [
        axis.plot([], [], "o", color=_COLORS.get(name, plots.PALETTE[5]), label=name)[0]
        for name in stages
    ]
    handles += [
        axis.plot([], [], _MARKERS.get(name, "v"), color="#20242c", fillstyle="none", label=name)[0]
        for name in runtimes
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8.5, frameon=False
    )


def front_text(found: Sequence[Form]) -> str:
    """The front in words, the quickest first."""
    return "; ".join(
        f"{form.name}: {mean(form.accuracy):.2f} points, {1e6 * mean(form.latency_s):.0f} µs, "
        f"{mean(form.bytes) / 1e3:.1f} kB"
        for form in found
    )
