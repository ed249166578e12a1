r"""Find out where a graph network's time goes, and which limit each part of it meets.

A profile says what is slow; a roofline says whether it need be. A part that does $F$ operations on
$B$ bytes cannot take less than $\max(F / P, B / M)$ seconds on a machine that does $P$ operations
and moves $M$ bytes a second. The dense product of a layer has dozens of operations for each byte
and meets the processor's limit; the sum over neighbors has less than one and meets the memory's,
so the only way to make it quicker is to move less.

The first panel has the shares of the operators in torch-geometric's GCN and in ours: gathering and
scattering take nearly all of it. The second is the roofline: each part of the first layer, at its
operations for each byte. The trace beside the report opens in a browser's trace viewer.

Samuel Williams, Andrew Waterman and David Patterson, Roofline: an insightful visual performance
model for multicore architectures, 2009.
"""

from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from matplotlib.axes import Axes
from torch import Tensor

from graph_nets.generators import power_law
from graph_nets.geometric import geometric_forward
from graph_nets.inference import FusedNetwork
from graph_nets.networks import Settings, make_network
from graph_nets.profiling import (
    Operator,
    Part,
    median_seconds,
    parts_of_layer,
    peak_flops,
    profile,
)
from graph_nets.traffic import peak_bandwidth
from groundwork import Claim, Run, plots
from groundwork.measure import thread_limit

PRESETS = {
    "smoke": {"nodes": 3_000, "features": 64},
    "default": {},
    "full": {"nodes": 100_000, "degree": 10, "threads": 2},
}
CLAIMS = [
    Claim("difference", "<=", 1e-4),
    Claim("accounted_share.geometric", ">=", 0.7),
    Claim("message_share.geometric", ">=", 0.5, presets=("full",)),
    Claim("roof_share.dense-product", ">=", 0.3, presets=("full",)),
    Claim("bytes_saved", ">=", 4.0),
]
#: Operators that gather, weigh and scatter messages.
MESSAGES = ("index_select", "index", "scatter_add", "index_add", "mul", "new_zeros", "fill", "copy")


def main(
    run: Run,
    *,
    nodes: Annotated[int, Ge(100), "of the generated graph"] = 30_000,
    degree: Annotated[int, Ge(1), "edges for each node"] = 10,
    features: Annotated[int, Ge(1), "of each node"] = 128,
    hidden: Annotated[int, Ge(1), "features between the two layers"] = 64,
    classes: Annotated[int, Ge(2), "outputs"] = 16,
    threads: Annotated[int, Ge(1), "for everything"] = 1,
) -> None:
    """Profile both, time the parts, and draw them under the roof."""
    graph = power_law(nodes, degree * nodes, features, run.seed)
    told = Settings(hidden, 0.0, 0.01, 0.0)
    network = make_network("gcn", features, classes, run.seed, told).eval()
    plan = FusedNetwork(network, graph.edges, threads)
    theirs = geometric_forward(network, graph, "edges")

    @torch.no_grad()
    def ours() -> Tensor:
        answer: Tensor = network(graph.x, graph.edges)
        return answer

    wanted = theirs().numpy()
    found = plan.run(graph.x.numpy())
    run.metric("difference", float(np.abs(found - wanted).max() / np.abs(wanted).max()))
    with thread_limit(threads), torch.no_grad():
        profiles = {}
        for name, call in (("torch-geometric", theirs), ("sparse products", ours)):
            trace = run.artifact("trace.json") if name == "torch-geometric" else None
            profiles[name] = profile(call, trace)
        weight = network.layers[0].weight
        assert isinstance(weight, Tensor)
        parts = parts_of_layer(graph.x, graph.edges, weight.detach(), plan)
        seconds = {
            part.name: median_seconds(part.call) for part in run.progress(parts, label="parts")
        }
        limits = peak_flops(threads), peak_bandwidth(threads)
        whole = median_seconds(lambda: plan.run(graph.x.numpy()))
    tell(run, profiles, parts, seconds, limits, whole)
    draw(run, profiles, parts, seconds, limits)


def tell(
    run: Run,
    profiles: dict[str, tuple[list[Operator], float]],
    parts: list[Part],
    seconds: dict[str, float],
    limits: tuple[float, float],
    whole: float,
) -> None:
    """The metrics and the tables."""
    for name, (operators, taken) in profiles.items():
        short = name.split("-")[-1].replace(" ", "-")
        total = sum(operator.seconds for operator in operators)
        run.metric(f"seconds.{short}", taken, "s")
        run.metric(f"accounted_share.{short}", min(total / taken, 1.0))
        if short == "geometric":
            spent = sum(operator.seconds for operator in operators if is_message(operator))
            run.metric(f"message_share.{short}", spent / total)
        run.table(
            f"operators-{short}",
            [
                {
                    "operator": operator.name,
                    "calls": operator.calls,
                    "ms": 1e3 * operator.seconds,
                    "share": operator.seconds / total,
                }
                for operator in operators[:10]
            ],
            caption=f"{name}: time of the operators themselves",
        )
    run.metric("seconds.fused", whole, "s")
    run.metric("peak_flops", limits[0] / 1e9, "GFLOP/s")
    run.metric("peak_bandwidth", limits[1] / 1e9, "GB/s")
    rows = []
    for part in parts:
        rate = part.flops / seconds[part.name]
        share = rate / part.roof(*limits)
        run.metric(f"roof_share.{part.name.replace(',', '').replace(' ', '-')}", share)
        rows.append(
            {
                "part": part.name,
                "ms": 1e3 * seconds[part.name],
                "MFLOP": part.flops / 1e6,
                "MB": part.bytes / 1e6,
                "FLOP a byte": part.intensity,
                "GFLOP/s": rate / 1e9,
                "share of the roof": share,
            }
        )
    run.table("parts", rows, caption="The first layer; above the roof where caches serve the rows")
    of = {part.name: part.bytes for part in parts}
    run.metric("bytes_saved", of["edge by edge"] / of["fused, with the next map"])


def is_message(operator: Operator) -> bool:
    """Whether it handles messages, and not whole rows of nodes."""
    return any(operator.name.removeprefix("aten::").startswith(word) for word in MESSAGES)


def draw(
    run: Run,
    profiles: dict[str, tuple[list[Operator], float]],
    parts: list[Part],
    seconds: dict[str, float],
    limits: tuple[float, float],
) -> None:
    """The operators' time; the parts under the roof."""
    figure, axes = plots.figure(1, 2, width=10.5, height=3.8)
    stack(axes[0], profiles)
    intensities = [part.intensity for part in parts]
    across = np.geomspace(min(intensities) / 3, max(intensities) * 3, 100)
    axes[1].loglog(across, np.minimum(limits[0], limits[1] * across) / 1e9, color="#20242c")
    for k, part in enumerate(parts):
        rate = part.flops / seconds[part.name] / 1e9
        axes[1].loglog(
            part.intensity, rate, "o", color=plots.PALETTE[k],
            label=f"{part.name}: {1e3 * seconds[part.name]:.3g} ms",
        )  # fmt: skip
    axes[1].set(title="Under the roof", xlabel="operations for each byte", ylabel="GFLOP/s")
    axes[1].legend(loc="lower right")
    run.figure(
        "profile",
        figure,
        "The time of the operators of a whole GCN; each part of its first layer at its operations "
        "for each byte, below the lower of what the processor computes and what the memory feeds.",
    )


def stack(axes: Axes, profiles: dict[str, tuple[list[Operator], float]]) -> None:
    """A bar for each profile, cut by operator; the small ones together."""
    listed = [operators for operators, _ in profiles.values()]
    names = list(dict.fromkeys(o.name for operators in listed for o in operators[:4]))[:7]
    for place, operators in enumerate(listed):
        left = 0.0
        others = sum(o.seconds for o in operators if o.name not in names)
        known = {o.name: o.seconds for o in operators}
        for k, name in enumerate([*names, "others"]):
            width = 1e3 * (others if name == "others" else known.get(name, 0.0))
            axes.barh(
                place, width, left=left, height=0.5, color=plots.PALETTE[k],
                label=name.removeprefix("aten::") if place == 0 else None,
            )  # fmt: skip
            left += width
    axes.set(title="Where the time goes", xlabel="ms", yticks=range(len(profiles)))
    axes.set_yticklabels(list(profiles))
    axes.grid(visible=False, axis="y")
    axes.set_ylim(-0.6, len(profiles) + 0.4)
    axes.legend(loc="upper right", ncols=2, fontsize=8)
