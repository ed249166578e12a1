"""Predict what two integer kernels cost on ARM cores, and prove on an emulator that they are right.

A dot product of 8-bit integers and a depthwise 3×3 convolution, built for 64-bit ARM in four ways:
plain C, C with the compiler's own vectors, NEON instructions that widen as they multiply, and the
dot-product extension. No board is needed: an emulator runs each build, and its sums must be NumPy's
to the bit; its trace tells which loop the time goes to; the scheduling model of a real core gives
that loop's cycles.

Look at how far each bar stays below its core's peak. The dot product with the extension is held up
by its loads: two bytes come from memory for each multiplication, so that on the big core the load
units are full and the multipliers half empty. The depthwise convolution sums over pixels, which are
not neighbours in memory, and pays for turning them: there the extension gains far less.

What this cannot tell, and a board can: caches and memory beyond the first level, wrongly foretold
branches, the clock and its throttling, what else the system does. `arm/sources/raspberry_pi.sh`
times the same sources on a board; `--measured FILE` puts its numbers beside the predictions.

Andrea Di Biagio and Matt Davis, llvm-mca: a static performance analysis tool, 2018; Samuel Williams
and others, Roofline: an insightful visual performance model for multicore architectures, 2009.
"""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from inference_backends import arm

PRESETS = {"smoke": {"shapes": 3, "n": 1024}, "default": {}, "full": {"shapes": 60}}
CLAIMS = [
    Claim("mismatches", "<=", 0),
    Claim("speedup.dot.cortex-a55", ">=", 4.0),
    Claim("speedup.dot.neoverse-n1", ">=", 4.0),
    Claim("speedup.depthwise.neoverse-n1", ">=", 4.0),
    Claim("largest_share_of_peak", "<=", 1.0),
]


def main(
    run: Run,
    *,
    n: Annotated[int, Ge(64), Le(65536), "numbers in the dot product that is traced"] = 4096,
    channels: Annotated[int, Ge(16), Le(256), "channels of the image that is traced"] = 32,
    shapes: Annotated[int, Ge(1), "random shapes that each build's sums are checked on"] = 12,
    measured: Annotated[str, "a file that raspberry_pi.sh printed on a board"] = "",
) -> None:
    """Build, emulate, trace, predict."""
    board = read_board(measured) if measured else None
    if channels % 16:
        raise UsageError(f"channels = {channels}; a multiple of 16 is taken")
    tools = arm.find_tools()
    traced = {
        "dot": numbers(run, (1, n), (n,)),
        "depthwise": numbers(run, (10, 14, channels), (3, 3, channels)),
    }
    macs = {"dot": n, "depthwise": 9 * 8 * 12 * channels}
    rows: list[dict[str, Any]] = []
    mismatches = 0
    pressures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for entry in run.progress(list(arm.BUILDS.values()), label="builds"):
            program = arm.build(tools, entry, Path(folder))
            for kernel in arm.KERNELS:
                mismatches += check(run, tools, program, kernel, shapes)
                counted = arm.trace(tools, program, kernel, *traced[kernel])
                loop = arm.hot_loop(tools, program, kernel, counted, macs[kernel])
                for core in arm.CORES.values():
                    if entry.dotprod and not core.dotprod:
                        continue
                    found = arm.predict(tools, loop, core)
                    pressures[f"{kernel} {entry.name} {core.name}"] = found.pressure
                    rows.append(
                        {
                            "kernel": kernel,
                            "build": entry.name,
                            "core": core.name,
                            "model": arm.scheduling_model(tools, core),
                            "instructions a MAC": counted.instructions / macs[kernel],
                            "share in the loop": loop.share,
                            "cycles of a pass": found.cycles,
                            "MACs a pass": loop.macs,
                            "MACs a cycle": found.macs_per_cycle,
                            "share of peak": found.macs_per_cycle / arm.peak(tools, core),
                            "bytes loaded a cycle": found.bytes_per_cycle,
                            "busiest unit": busiest(found.pressure),
                        }
                    )
    run.metric("mismatches", mismatches)
    run.table("predictions", rows, caption=f"Predicted by {versions(tools)}; loads hit level 1")
    tell(run, tools, rows)
    if board:
        compare_board(run, rows, board)
    draw(run, tools, rows, pressures)


def numbers(run: Run, values: tuple[int, ...], weights: tuple[int, ...]) -> Any:
    """Random activations (-128 to 127) and weights (-127 to 127), a third of them at the end."""
    a = run.rng.integers(-128, 128, values, dtype=np.int8)
    b = run.rng.integers(-127, 128, weights, dtype=np.int8)
    a.flat[: a.size // 3], b.flat[: b.size // 3] = -128, -127
    return a, b


def check(run: Run, tools: arm.Tools, program: Path, kernel: arm.Kernel, shapes: int) -> int:
    """How many sums differ from NumPy's, over random shapes."""
    wrong = 0
    for _ in range(shapes):
        if kernel == "dot":
            count, n = run.rng.integers(1, (9, 700))
            given = numbers(run, (count, n), (n,))
        else:
            height, width, blocks = run.rng.integers(1, (9, 12, 5))
            given = numbers(run, (height + 2, width + 2, 16 * blocks), (3, 3, 16 * blocks))
        found = arm.emulate(tools, program, kernel, *given)
        wrong += int(np.count_nonzero(found != arm.reference(kernel, *given)))
    return wrong


def busiest(pressure: dict[str, float]) -> str:
    """The unit that is occupied most."""
    name = max(pressure, key=lambda key: pressure[key])
    return f"{name} {pressure[name]:.0%}"


def versions(tools: arm.Tools) -> str:
    """The tools with their versions."""
    return ", ".join(f"{name} {number}" for name, number in tools.versions().items())


def rate(rows: list[dict[str, Any]], kernel: str, build: str, core: str) -> float:
    """Predicted multiplications a cycle; 0 where the core cannot run the build."""
    found = [r for r in rows if (r["kernel"], r["build"], r["core"]) == (kernel, build, core)]
    return float(found[0]["MACs a cycle"]) if found else 0.0


def tell(run: Run, tools: arm.Tools, rows: list[dict[str, Any]]) -> None:
    """The metrics: rates, gains over plain C, and the largest share of a core's peak."""
    for core in arm.CORES.values():
        best = "dotprod" if core.dotprod else "neon"
        run.metric(f"peak.{core.name}", arm.peak(tools, core), "MACs/cycle")
        for kernel in arm.KERNELS:
            quick = rate(rows, kernel, best, core.name)
            run.metric(f"macs_per_cycle.{kernel}.{core.name}", quick, "MACs/cycle")
            plain = rate(rows, kernel, "plain", core.name)
            run.metric(f"speedup.{kernel}.{core.name}", quick / plain)
            if core.dotprod:
                run.metric(
                    f"dotprod_over_neon.{kernel}.{core.name}",
                    quick / rate(rows, kernel, "neon", core.name),
                )
    run.metric("largest_share_of_peak", max(row["share of peak"] for row in rows))


def read_board(name: str) -> dict[str, Any]:
    """What the script printed on a board."""
    try:
        board: dict[str, Any] = json.loads(Path(name).read_text("utf-8"))
        good = float(board["mhz"]) > 0 and all(
            {"build", "kernel", "macs", "seconds"} <= set(entry) for entry in board["kernels"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--measured {name}: {error}; give what raspberry_pi.sh printed"
        ) from error
    if not good:
        raise UsageError(f"--measured {name}: its clock (mhz) or an entry is missing")
    return board


def compare_board(run: Run, rows: list[dict[str, Any]], board: dict[str, Any]) -> None:
    """Measured multiplications a cycle beside each core's prediction."""
    table = []
    for entry in board["kernels"]:
        found = entry["macs"] / (entry["seconds"] * board["mhz"] * 1e6)
        predicted = {
            core: rate(rows, entry["kernel"], entry["build"], core) or "none" for core in arm.CORES
        }
        words = {"kernel": entry["kernel"], "build": entry["build"], "measured": found}
        table.append(words | predicted)
        run.metric(f"measured.{entry['kernel']}.{entry['build']}", found, "MACs/cycle")
    run.table("board", table, caption=f"MACs a cycle on {board['machine']}, and as predicted")


def draw(
    run: Run, tools: arm.Tools, rows: list[dict[str, Any]], pressures: dict[str, dict[str, float]]
) -> None:
    """Multiplications a cycle by core and build, and what two loops keep busy."""
    figure, axes = plots.figure(1, 3, width=13.0, height=3.6, width_ratios=(1, 1, 0.8))
    titles = {"dot": "Dot product", "depthwise": "Depthwise 3×3"}
    for place, kernel in zip(axes, arm.KERNELS, strict=False):
        for c, core in enumerate(arm.CORES.values()):
            for b, entry in enumerate(arm.BUILDS.values()):
                value = rate(rows, kernel, entry.name, core.name)
                label = entry.words if c == 0 else None
                place.bar(c + 0.2 * (b - 1.5), value, 0.18, color=plots.PALETTE[b], label=label)
            top = arm.peak(tools, core)
            label = "peak of the core" if c == 0 else None
            place.hlines(
                top, c - 0.42, c + 0.42, color=plots.PALETTE[7], linestyle=":", label=label
            )
        place.set(title=titles[kernel], yscale="log", ylim=(0.05, 60))
        place.set(xticks=range(len(arm.CORES)), xticklabels=list(arm.CORES))
        place.grid(axis="x", visible=False)
        place.tick_params(axis="x", labelsize=8.5)
    axes[0].set(ylabel="multiplications a cycle")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
    )
    big = "neoverse-n1"
    shown = [f"{kernel} dotprod {big}" for kernel in arm.KERNELS]
    units = sorted({u for key in shown for u, part in pressures[key].items() if part > 0.02})
    for k, key in enumerate(shown):
        parts = [100 * pressures[key].get(unit, 0.0) for unit in units]
        at = np.arange(len(units)) + 0.38 * (k - 0.5)
        axes[2].barh(at, parts, 0.36, label=titles[arm.KERNELS[k]], color=plots.PALETTE[(3, 5)[k]])
    names = [unit.partition("Unit")[2] for unit in units]
    axes[2].set(title=f"Busy units, {big}", xlabel="share of the cycles (%)", xlim=(0, 104))
    axes[2].set(yticks=range(len(units)), yticklabels=names)
    axes[2].grid(axis="y", visible=False)
    axes[2].set(ylim=(len(units) - 0.4, -1.5))
    axes[2].legend(fontsize=7.5, loc="upper right", ncols=2)
    run.figure(
        "cycles",
        figure,
        "Predicted multiplications a cycle of the two kernels, by core and build, with each core's "
        "peak; how busy each unit of one core is in the two loops with the extension (B branches, "
        "L loads, M and S integers, V vectors, D stores).",
    )
