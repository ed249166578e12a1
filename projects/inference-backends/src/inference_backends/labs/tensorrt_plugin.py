"""Give TensorRT an operator of our own: a residual block's end in integers, in one pass.

Where a residual block's branches meet, two int8 tensors are dequantized, added, clipped at zero
and quantized again. As five operations this moves 35 bytes an element; fused it moves 3. The
kernel is CUDA C++; what a thread does stands in a header that a C compiler takes too. So it is
compiled here for a Hopper GPU by NVRTC, without a GPU, and for the CPU, where all 65,536 pairs of
int8 values and awkward lengths must give NumPy's answer in each bit (this side is a check: it does
the GPU's steps one by one and is not meant to be quick). The compiled text must hold
what the design promises: 128-bit loads and stores, no conversions between integers and floats (they
run at a fraction of an adder's rate), nothing spilled. On a GPU the preset `gpu` launches it, puts
it into a TensorRT engine by the plugin interface, and measures both.

In the figure, look left at what the compiled text is made of: picking bytes, adding, multiplying,
and three memory accesses for sixteen elements; right, at the bytes that move.

NVIDIA, Writing custom operators with TensorRT Python plugins, 2025; Henry Warren, Hacker's delight,
2012 (integers in a float's low bits).
"""

from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge

from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from inference_backends.backends.tensor_rt import TensorRt
from inference_backends.tensorrt_plugin import (
    BYTES_FUSED,
    BYTES_SEPARATE,
    CudaCode,
    compile_for_cpu,
    compile_for_gpu,
    factors,
    instruction_counts,
    join,
    join_as_onnx,
    kernel_facts,
)

PRESETS = {
    "smoke": {"scales": 20},
    "default": {},
    "full": {"scales": 1000, "lengths": 400},
    "gpu": {"gpu": True},
}
CLAIMS = [
    Claim("mismatches", "<=", 0.0),
    Claim("steps_from_onnx", "<=", 1.0),
    Claim("kernel.loads_128", ">=", 2.0),
    Claim("kernel.stores_128", ">=", 1.0),
    Claim("kernel.conversions", "<=", 0.0),
    Claim("kernel.spilled", "<=", 0.0),
    Claim("kernel.local", "<=", 0.0),
    Claim("gpu.mismatches", "<=", 0.0, presets=("gpu",)),
    Claim("gpu.plugin_mismatches", "<=", 0.0, presets=("gpu",)),
    Claim("gpu.share_of_bandwidth", ">=", 0.5, presets=("gpu",)),
]
#: Bytes a second of an H200's memory, by NVIDIA's data sheet.
H200_BYTES = 4.8e12


def main(
    run: Run,
    *,
    architecture: Annotated[str, "the GPU that the kernel is compiled for"] = "sm_90",
    scales: Annotated[int, Ge(1), "triples of scales, each on all pairs of int8"] = 200,
    lengths: Annotated[int, Ge(1), "random lengths beside the awkward ones"] = 100,
    gpu: Annotated[bool, "launch it on a GPU, and as a plugin in TensorRT"] = False,
) -> None:
    """Check the kernel on the CPU, compile it for the GPU, read what came out."""
    reason = TensorRt().absent() if gpu else None
    if reason:
        raise UsageError(f"the preset gpu needs TensorRT and a GPU: {reason}; take another preset")
    try:
        code = compile_for_gpu(architecture)
    except ValueError as error:
        raise UsageError(f"architecture {architecture!r}: {str(error).splitlines()[0]}") from error
    for name, count in kernel_facts(code).items():
        run.metric(f"kernel.{name}", count)
    run.artifact("junction.ptx").write_text(code.ptx)
    run.artifact("junction.cubin").write_bytes(code.cubin)
    kernel = compile_for_cpu()
    check_all_pairs(run, kernel, scales)
    check_lengths(run, kernel, lengths)
    bandwidth = measure_on_gpu(run) if gpu else None
    run.metric("bytes_share", BYTES_FUSED / BYTES_SEPARATE)
    run.table("gpu", list(gpu_rows(bandwidth)), caption="What was measured on a GPU, and what not")
    draw(run, code)


def check_all_pairs(run: Run, kernel: Any, scales: int) -> None:
    """Every pair of int8 values, for scales over five orders of magnitude."""
    values = np.arange(-128, 128, dtype=np.int8)
    a, b = (np.ascontiguousarray(grid.ravel()) for grid in np.meshgrid(values, values))
    wrong, most = 0, 0
    shares: list[float] = []
    for _ in run.progress(range(scales), label="scales"):
        sa, sb, sy = (float(s) for s in np.exp(run.rng.uniform(-8, 3, 3)))
        ka, kb = factors(sa, sb, sy)
        ours = kernel(a, b, ka, kb)
        wrong += int((ours != join(a, b, ka, kb)).sum())
        steps = np.abs(ours.astype(int) - join_as_onnx(a, b, sa, sb, sy))
        most = max(most, int(steps.max()))
        shares.append(float((steps > 0).mean()))
    run.metric("mismatches_in_pairs", wrong)
    run.metric("steps_from_onnx", most)
    run.metric("share_other_than_onnx", float(np.mean(shares)))


def check_lengths(run: Run, kernel: Any, lengths: int) -> None:
    """Lengths around those of a load, a thread and a block; arrays that begin anywhere."""
    ka, kb = factors(0.02, 0.013, 0.017)
    around = [k + d for k in (0, 16, 4096, 8192) for d in (-17, -16, -1, 0, 1, 15, 16, 17)]
    drawn = [int(n) for n in run.rng.integers(1, 20_000, lengths)]
    wrong = 0
    for length in [n for n in around if n > 0] + drawn:
        for begin in (0, 1, 15):
            a, b = run.rng.integers(-128, 128, (2, length + begin)).astype(np.int8)[:, begin:]
            wrong += int((kernel(a, b, ka, kb) != join(a, b, ka, kb)).sum())
    pairs = run.metrics["mismatches_in_pairs"]["value"]
    run.metric("mismatches", wrong + pairs)


def measure_on_gpu(run: Run) -> float:
    """The kernel by itself and as a plugin; gives bytes a second."""
    from inference_backends.tensorrt_plugin import network

    count, scales = 1 << 28, (0.02, 0.013, 0.017)
    ka, kb = factors(*scales)
    launch = network.load(compile_for_gpu(network.architecture()))
    draw_on = torch.Generator("cuda").manual_seed(run.seed)
    a, b = (
        torch.randint(-128, 128, (count,), generator=draw_on, device="cuda", dtype=torch.int8)
        for _ in range(2)
    )
    y = torch.empty_like(a)
    launch(a, b, y, ka, kb)
    head = slice(0, 1 << 22)
    wanted = join(a[head].cpu().numpy(), b[head].cpu().numpy(), ka, kb)
    run.metric("gpu.mismatches", int((y[head].cpu().numpy() != wanted).sum()))
    seconds = event_seconds(lambda: launch(a, b, y, ka, kb))
    run.metric("gpu.share_of_bandwidth", BYTES_FUSED * count / seconds / H200_BYTES)
    shape = (64, 64, 64, 64)
    small = {"a": a[: 1 << 24].view(shape), "b": b[: 1 << 24].view(shape), "y": y[: 1 << 24]}
    calls = {
        own: network.engine_call(network.junction_plan(shape, scales, own), small)
        for own in (True, False)
    }
    small["y"].zero_()
    calls[True]()
    torch.cuda.synchronize()
    run.metric("gpu.plugin_mismatches", int((small["y"][head].cpu().numpy() != wanted).sum()))

    def timed(call: Any) -> Any:
        def whole() -> None:
            call()
            torch.cuda.synchronize()

        return whole

    run.compare("plugin", timed(calls[True]), timed(calls[False]), library="tensorrt own layers")
    return BYTES_FUSED * count / seconds


def event_seconds(call: Any, calls: int = 50) -> float:
    """Seconds of a call by the GPU's clock: the least of so many."""
    call()
    found = []
    for _ in range(calls):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / 1e3)
    return min(found)


def gpu_rows(bandwidth: float | None) -> list[dict[str, Any]]:
    """What the GPU could do at most, and what it did."""
    count = 64 * 16 * 32 * 32
    return [
        {
            "what": f"least time of 64 maps of 16×32×32 ({name}) at 4.8 TB/s (µs)",
            "value": 1e6 * per * count / H200_BYTES,
            "measured": False,
        }
        for name, per in (("fused, 3 B", BYTES_FUSED), ("apart, 35 B", BYTES_SEPARATE))
    ] + [
        {
            "what": "bytes a second reached (TB/s)",
            "value": None if bandwidth is None else bandwidth / 1e12,
            "measured": bandwidth is not None,
        }
    ]


def draw(run: Run, code: CudaCode) -> None:
    """What the kernel is made of; the bytes that move."""
    figure, axes = plots.figure(1, 2, width=10.0, height=3.1)
    counts = instruction_counts(code)
    axes[0].barh(list(counts), list(counts.values()), color=plots.PALETTE[0], height=0.6)
    axes[0].bar_label(axes[0].containers[0], padding=3, fontsize=8.5)
    axes[0].set(title="The kernel's instructions", xlabel="in its PTX")
    axes[0].set(xlim=(0, 1.12 * max(counts.values())))
    axes[0].invert_yaxis()
    passes = {"real a": 5, "real b": 5, "add": 12, "ReLU": 8, "int8": 5}
    left = 0
    for k, (name, size) in enumerate(passes.items()):
        axes[1].barh("five passes", size, left=left, color=plots.PALETTE[(0, 6, 1, 4, 3)[k]])
        axes[1].annotate(
            name.replace(" ", "\n"), (left + size / 2, 0), color="white", ha="center", va="center",
            fontsize=8,
        )  # fmt: skip
        left += size
    axes[1].barh("one pass", BYTES_FUSED, color=plots.PALETTE[2])
    axes[1].set(title="Bytes an element", xlabel="bytes")
    for one in axes:
        one.grid(axis="y", visible=False)
    run.figure(
        "junction",
        figure,
        f"Instructions of the kernel for {code.architecture}, of which a thread does sixteen "
        "elements; bytes that move for an element, in one pass and in five.",
    )
