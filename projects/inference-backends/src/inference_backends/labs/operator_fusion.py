"""Count the bytes that a chain of operators moves, and time it operator by operator and fused.

A batch norm, a ReLU and a sum compute next to nothing: their time is that of memory. Run one by one
they read and write the tensor seven times, as one loop three times. The first panel shows the time
of this chain against the tensor's size, by PyTorch's operators and by the one loop that its
compiler makes, beside what the bytes would take at the bandwidth of a triad. In the cache the
operators' calls are what costs, and outside of it the bytes. The second panel shows the bandwidth
that each reaches: about the same, since the fused loop is not better at moving bytes, it moves
fewer. The third has a 3×3 convolution before the chain, which multiplies so much that the same
bytes are a smaller part of the time: there is less for fusion to save.

Bytes are counted twice: from the shapes, and by watching the operators that PyTorch runs.

Samuel Williams and others, Roofline, 2009; Jason Ansel and others, PyTorch 2: faster machine
learning through dynamic Python bytecode transformation and graph compilation, 2024.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn

from groundwork import Claim, Run, plots
from groundwork.measure import thread_limit
from inference_backends.passes import optimize
from inference_backends.passes.samples import session, unfolded
from inference_backends.quiet import quiet
from inference_backends.traffic import chain_operations, time_in_turns, triad, watch

PRESETS = {
    "smoke": {"images": (1, 16, 64), "rounds": 5},
    "default": {},
    "full": {"images": (1, 4, 16, 64, 256, 1024, 2048), "rounds": 25},
}
CLAIMS = [
    Claim("difference.chain", "<=", 1e-5),
    Claim("difference.conv_chain", "<=", 1e-5),
    Claim("traffic_miscounted", "<=", 0.01),
    Claim("traffic_ratio", ">=", 2.3),
    Claim("ratio.chain", "<=", 0.667, presets=("full",)),
    Claim("bandwidth_share.fused", ">=", 0.5, presets=("full",)),
]
#: Channels, height and width of an image: the first stage of ResNet-20.
SHAPE = (16, 32, 32)


class Chain(nn.Module):
    """Conv (or none) → batch norm → ReLU → add of the input."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        channels = SHAPE[0]
        self.conv = (
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
            if kernel
            else nn.Identity()
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) → the same shape."""
        return torch.relu(self.norm(self.conv(x))) + x


def main(
    run: Run,
    *,
    images: Annotated[tuple[int, ...], "sizes of the tensors, in images of 64 KiB"] = (
        1, 4, 16, 64, 256, 1024,
    ),
    rounds: Annotated[int, Ge(3), "how often each is timed"] = 15,
) -> None:  # fmt: skip
    """Time both chains over the sizes, and count their bytes."""
    factors = [
        torch.from_numpy(part.reshape(1, -1, 1, 1).astype(np.float32))
        for part in (run.rng.uniform(0.5, 1.5, SHAPE[0]), run.rng.normal(size=SHAPE[0]))
    ]
    module = Chain(3).eval()
    module.norm.load_state_dict(
        {"running_mean": 0.1 * factors[1].flatten(), "running_var": factors[0].flatten()}, False
    )
    loop = torch.compile(one_loop, dynamic=True)
    compiled = torch.compile(module, dynamic=True)
    plain = unfolded(module, np.zeros((2, *SHAPE), np.float32))
    sessions = {
        "ONNX Runtime, off": session(plain),
        "passes, off": session(optimize(plain)[0]),
        "ONNX Runtime, all": session(plain, "all"),
    }
    rows: list[dict[str, Any]] = []
    worst = {"chain": 0.0, "conv_chain": 0.0}
    with torch.no_grad(), thread_limit(1):
        for count in run.progress(images, label="sizes"):
            x = torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(run.seed))
            chain = chain_calls(x, factors, loop)
            with quiet():
                conv = conv_calls(x, module, compiled, sessions)
                for name, calls in (("chain", chain), ("conv_chain", conv)):
                    worst[name] = max(worst[name], difference(calls))
            copy, moved = triad(x.numel())
            times = time_in_turns({**chain, **conv, "triad": copy}, rounds)
            rows.append({"images": count, "bytes": x.nbytes, "triad_bytes": moved, **times})
        count_bytes(run, x, chain["operators"], module)
        for name, value in worst.items():
            run.metric(f"difference.{name}", value)
        run.compare(
            "chain", chain["one loop"], chain["operators"], library="torch (op by op)", threads=1
        )
        for name in ("torch.compile", "ONNX Runtime, all", "passes, off"):
            off, library = "ONNX Runtime, off", "onnxruntime (off)"
            if name == "torch.compile":
                off, library = "eager", "torch (eager)"
            short = {"torch.compile": "compile", "passes, off": "passes"}.get(name, "runtime")
            run.compare(f"conv.{short}", conv[name], conv[off], library=library, threads=1)
    tell(run, rows)
    draw(run, rows)


def one_loop(x: Tensor, z: Tensor, scale: Tensor, shift: Tensor, out: Tensor) -> Tensor:
    """The chain in place of `out`; the compiler makes one loop of it."""
    return out.copy_(torch.relu(x * scale + shift) + z)


def chain_calls(
    x: Tensor, factors: list[Tensor], loop: Callable[..., Tensor]
) -> dict[str, Callable[[], Any]]:
    """Batch norm → ReLU → add into buffers that exist already, so that no memory is asked for."""
    scale, shift = factors
    z = x.flip(0).contiguous()
    first, second, third, out = (torch.empty_like(x) for _ in range(4))

    def operators() -> Tensor:
        torch.addcmul(shift, x, scale, out=first)
        torch.clamp_min(first, 0.0, out=second)
        return torch.add(second, z, out=third)

    return {"operators": operators, "one loop": partial(loop, x, z, scale, shift, out)}


def conv_calls(
    x: Tensor, module: nn.Module, compiled: Callable[..., Tensor], sessions: dict[str, Any]
) -> dict[str, Callable[[], Any]]:
    """The chain with a convolution, by PyTorch and by ONNX Runtime."""
    feeds = {"images": x.numpy()}
    calls: dict[str, Callable[[], Any]] = {
        "eager": partial(module, x),
        "torch.compile": partial(compiled, x),
    }
    return calls | {name: partial(one.run, None, feeds) for name, one in sessions.items()}


def difference(calls: dict[str, Callable[[], Any]]) -> float:
    """Largest difference of any call's values from the first one's, relative to the largest."""
    found = []
    for call in calls.values():
        value = call()
        found.append(np.array(value[0] if isinstance(value, list) else value))
    return max(float(np.abs(f - found[0]).max() / np.abs(found[0]).max()) for f in found)


def count_bytes(run: Run, x: Tensor, chain: Callable[[], Any], module: nn.Module) -> None:
    """The bytes by the shapes against those of the operators that PyTorch runs."""
    rows, errors = [], []
    for name, kernel, call in (("chain", 0, chain), ("conv chain", 3, partial(module, x))):
        alone, together = chain_operations(tuple(x.shape), kernel)
        with watch() as seen:
            call()
        counted, watched = (sum(op.bytes for op in ops) for ops in (alone, seen))
        errors.append(abs(watched / counted - 1))
        for way, operations in (("alone", alone), ("fused", together)):
            megabytes = sum(op.bytes for op in operations) / 1e6
            names = " → ".join(op.name for op in operations)
            rows.append({"chain": name, "way": way, "loops": names, "MB": megabytes})
        if not kernel:
            fused = sum(op.bytes for op in together)
            run.metric("traffic_ratio", counted / fused)
    run.table("traffic", rows, caption="What the largest tensors' chains move")
    run.metric("traffic_miscounted", max(errors))


def tell(run: Run, rows: list[dict[str, Any]]) -> None:
    """Bandwidths and speed-ups at the largest size."""
    last = rows[-1]
    alone, together = (
        sum(op.bytes for op in ops) for ops in chain_operations((last["images"], *SHAPE))
    )
    top = last["triad_bytes"] / last["triad"]
    run.metric("bandwidth.triad", top / 1e9, "GB/s")
    run.metric("bandwidth_share.operators", alone / last["operators"] / top)
    run.metric("bandwidth_share.fused", together / last["one loop"] / top)
    run.metric("speedup.chain", last["operators"] / last["one loop"])
    table = [{k: 1e3 * v if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    run.table("times", table, caption="Milliseconds a call")


def draw(run: Run, rows: list[dict[str, Any]]) -> None:
    """Time against size; bandwidth against size; the convolution's chain."""
    figure, axes = plots.figure(1, 3, width=12.0, height=3.6)
    sizes = [row["bytes"] / 2**20 for row in rows]
    counts = [chain_operations((row["images"], *SHAPE)) for row in rows]
    moved = {
        "operators": [sum(op.bytes for op in alone) for alone, _ in counts],
        "one loop": [sum(op.bytes for op in together) for _, together in counts],
        "triad": [row["triad_bytes"] for row in rows],
    }
    top = moved["triad"][-1] / rows[-1]["triad"]
    for number, name in enumerate(("operators", "one loop")):
        colour, times = plots.PALETTE[number], [1e3 * row[name] for row in rows]
        axes[0].loglog(sizes, times, "o-", markersize=4, color=colour, label=name)
        limit = [1e3 * b / top for b in moved[name]]
        axes[0].loglog(sizes, limit, ":", color=colour, label=f"{name}, bytes / bandwidth")
    for number, (name, count) in enumerate(moved.items()):
        speeds = [b / row[name] / 1e9 for b, row in zip(count, rows, strict=True)]
        colour = plots.PALETTE[number if name != "triad" else 7]
        axes[1].semilogx(sizes, speeds, "o-", markersize=4, color=colour, label=name)
    for name in ("torch.compile", "ONNX Runtime, off", "passes, off", "ONNX Runtime, all"):
        ratios = [row["eager"] / row[name] for row in rows]
        axes[2].semilogx(sizes, ratios, "o-", markersize=4, label=name)
    axes[2].axhline(1.0, color=plots.PALETTE[7], linestyle=":")
    axes[0].set(title="Batch norm, ReLU, add", ylabel="ms")
    axes[1].set(title="Bytes moved", ylabel="GB/s", ylim=(0, None))
    axes[2].set(title="Convolution before them", ylabel="times as fast as eager", ylim=(0, None))
    axes[2].set_ylim(0, 1.35 * axes[2].get_ylim()[1])
    for ax in axes:
        ax.set_xlabel("tensor (MiB)")
        ax.legend(fontsize=8, ncols=2 if ax is axes[2] else 1)
    run.figure(
        "fusion",
        figure,
        "Time of the elementwise chain against the tensor's size, and what its bytes would take; "
        "the bandwidth reached; the chain with a 3×3 convolution, against PyTorch's eager mode.",
    )
