"""Shrink an exported network's graph by passes that can be read, and keep its outputs.

An exporter writes down what the module says: constants as nodes, batch norms beside convolutions,
sums and activations as passes over memory of their own. Each pass here is one rule on the graph;
they run in turn until none finds anything. The first panel shows the operators that are left after
each pass, beside what ONNX Runtime's and onnxscript's own optimizers leave of the same model; the
second the time of one image with the runtime's optimization off, so that all that is gained is the
passes' work. The dotted line is the runtime with all of its own, which also chooses blocked layouts
for its convolutions: that is more than rules on a graph can do.

After every step the model passes ONNX's checker and gives the same logits. The models of ONNX's own
backend test that hold the operators concerned go through all passes too, as they are and with their
inputs made constant, and must still give the outputs that are stored with them. One more model has
its network written with channels last, transposes around each convolution: none must be left.

Tianqi Chen and others, TVM: an automated end-to-end optimizing compiler for deep learning, 2018,
section 3 (the passes); ONNX, backend test suite.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import onnx
from annotated_types import Ge

from groundwork import Claim, Run, plots
from inference_backends.passes import FUSING, PORTABLE, Step, operators, optimize
from inference_backends.passes.backend_tests import backend_cases, frozen, try_case
from inference_backends.passes.samples import channels_last, session, unfolded
from inference_backends.quiet import quiet
from inference_backends.traffic import time_in_turns
from quantized_cnn.images import DataName, load_images
from quantized_cnn.pretrained import pretrained

#: ONNX's modules of `node` models for the quick presets.
SOME = (
    "add", "batch_normalization", "clip", "conv", "dropout", "identity", "if_", "leakyrelu", "mul",
    "relu", "shape", "transpose",
)  # fmt: skip

PRESETS = {
    "smoke": {"epochs": 4},
    "default": {},
    "full": {"data": "cifar10_subset", "epochs": 20, "bf16": True, "models": "all"},
}
CLAIMS = [
    Claim("difference", "<=", 1e-5),
    Claim("difference.channels_last", "<=", 1e-5),
    Claim("backend_models_failing", "<=", 0),
    Claim("backend_models", ">=", 80),
    Claim("backend_models", ">=", 600, presets=("full",)),
    Claim("nodes_over_runtime_extended", "<=", 0),
    Claim("nodes_portable_over_onnxscript", "<=", 0),
    Claim("transposes_left", "<=", 0),
    Claim("ratio.off@1", "<=", 1.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    bf16: Annotated[bool, "it was trained with convolutions in bfloat16"] = False,
    models: Annotated[Literal["some", "all"], "ONNX's test models"] = "some",
) -> None:
    """Optimize a trained network, ONNX's test models, and a model with channels last."""
    images = load_images(run, data)
    model = pretrained(run, "resnet", images, epochs=epochs, seed=run.seed, bf16=bf16)
    batch = images.x_test[:64].numpy()
    plain = unfolded(model, batch)
    stages: list[tuple[str, onnx.ModelProto]] = [("exported", plain)]

    def see(step: Step, after: onnx.ModelProto) -> None:
        stages.append((step.name, after))

    ours, steps = optimize(plain, FUSING, see=see)
    rows = [
        {
            "round": step.round,
            "pass": step.name,
            "rewrites": step.rewrites,
            "ms": 1e3 * step.seconds,
        }
        for step in steps
    ]
    run.table("steps", rows, caption="What each pass did, in order, and the time it took")
    run.metric("difference", max(differences([model for _, model in stages], batch)))
    peers = peers_of(plain)
    count_nodes(run, plain, ours, peers)
    check_layout(run, plain, batch)
    check_backend_models(run, models)
    times = time_stages([model for _, model in stages], batch[:1])
    time_sessions(run, plain, ours, batch)
    draw(run, stages, peers, times, time_stages([plain], batch[:1], "all")[0])


def differences(models: list[onnx.ModelProto], batch: Any) -> list[float]:
    """Largest difference of a logit from the first model's, relative to its largest logit."""
    outputs = [session(model).run(None, {"images": batch})[0] for model in models]
    scale = float(np.abs(outputs[0]).max())
    return [float(np.abs(output - outputs[0]).max()) / scale for output in outputs]


def peers_of(model: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    """What the libraries' optimizers leave of a model."""
    import onnxscript.optimizer

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for level in ("basic", "extended"):
            path = Path(folder) / f"{level}.onnx"
            session(model, level, path)
            found[f"ORT {level}"] = onnx.load(path)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with quiet():
        found["onnxscript"] = onnxscript.optimizer.optimize(copy)
    return found


def count_nodes(
    run: Run, plain: onnx.ModelProto, ours: onnx.ModelProto, peers: dict[str, onnx.ModelProto]
) -> None:
    """How many nodes are left, ours and theirs."""
    portable, _ = optimize(plain, PORTABLE)
    counts = {
        name: len(model.graph.node)
        for name, model in {"exported": plain, "ours": ours, "portable": portable, **peers}.items()
    }
    for name, count in counts.items():
        run.metric(f"nodes.{name.replace(' ', '_')}", count)
    run.metric("nodes_over_runtime_extended", counts["ours"] - counts["ORT extended"])
    run.metric("nodes_portable_over_onnxscript", counts["portable"] - counts["onnxscript"])


def check_layout(run: Run, plain: onnx.ModelProto, batch: Any) -> None:
    """The same network with channels last: its transposes must all go."""
    model = channels_last(plain)
    after, _ = optimize(model)
    run.metric("transposes_before", operators(model)["Transpose"])
    run.metric("transposes_left", operators(after)["Transpose"])
    run.metric("difference.channels_last", max(differences([plain, model, after], batch)))
    run.compare(
        "channels_last",
        partial(session(after).run, None, {"images": batch}),
        partial(session(model).run, None, {"images": batch}),
        library="onnxruntime (off, with the transposes)",
        threads=1,
    )


def check_backend_models(run: Run, models: str) -> None:
    """ONNX's own models, as they are and with inputs made constant."""
    everything = models == "all"
    cases = (
        backend_cases() if everything else backend_cases(("node", "light"), SOME, ("squeezenet",))
    )
    outcomes = []
    for case in run.progress(cases, label="ONNX's test models"):
        outcomes.append(try_case(case))
        if not case.name.startswith("light") and len(case.feeds) > 1:
            outcomes.append(try_case(frozen(case, 1)))
        if not case.name.startswith("light"):
            outcomes.append(try_case(frozen(case, 0)))
    run.metric("backend_models", sum(not o.refused for o in outcomes))
    run.metric("backend_models_rewritten", sum(o.rewritten for o in outcomes))
    run.metric("backend_models_refused_by_runtime", sum(o.refused for o in outcomes))
    failing = [o for o in outcomes if o.error]
    run.metric("backend_models_failing", len(failing))
    for outcome in failing:
        run.log(f"{outcome.name}: {outcome.error}")


def time_stages(models: list[onnx.ModelProto], batch: Any, level: str = "off") -> list[float]:
    """Median seconds of a call, the models in turns."""
    calls = {
        str(number): partial(session(model, level).run, None, {"images": batch})
        for number, model in enumerate(models)
    }
    return list(time_in_turns(calls, rounds=30).values())


def time_sessions(run: Run, plain: onnx.ModelProto, ours: onnx.ModelProto, batch: Any) -> None:
    """Our passes and no optimization by the runtime, against none at all and against all of it."""
    for level in ("off", "all"):
        for size in (1, 64):
            inputs = {"images": batch[:size]}
            run.compare(
                f"{level}@{size}",
                partial(session(ours).run, None, inputs),
                partial(session(plain, level).run, None, inputs),
                library=f"onnxruntime ({level})",
                pairs=15,
                threads=1,
            )


def draw(
    run: Run,
    stages: list[tuple[str, onnx.ModelProto]],
    peers: dict[str, onnx.ModelProto],
    times: list[float],
    whole: float,
) -> None:
    """Operators after each pass, and beside them the libraries'; the time after each pass."""
    figure, (left, right) = plots.figure(
        1, 2, width=11.0, height=3.9, gridspec_kw={"width_ratios": (1.5, 1)}
    )
    bars = [*((name, operators(m)) for name, m in stages), ("", {})]
    bars += [(name, operators(m)) for name, m in peers.items()]
    kinds = list(dict.fromkeys(kind for _, counts in bars for kind in counts))
    common = sorted(kinds, key=lambda k: -max(c.get(k, 0) for _, c in bars))[:6]
    bottom = np.zeros(len(bars))
    for number, kind in enumerate([*common, "others"]):
        members = set(kinds) - set(common) if kind == "others" else {kind}
        heights = np.array([sum(c.get(k, 0) for k in members) for _, c in bars])
        colour = plots.PALETTE[number if kind != "others" else 7]
        left.bar(range(len(bars)), heights, bottom=bottom, label=kind, color=colour)
        bottom += heights
    for place, top in enumerate(bottom):
        if top:
            left.annotate(f"{top:.0f}", (place, top), ha="center", va="bottom", fontsize=8)
    left.set_xticks(range(len(bars)), [name for name, _ in bars], rotation=35, ha="right")
    left.set(title="Nodes after each pass, and by the libraries", ylabel="nodes")
    left.grid(axis="x", visible=False)
    left.set_ylim(0, 1.12 * bottom.max())
    left.legend(fontsize=8, loc="upper right", ncols=2)
    names = [name for name, _ in stages]
    right.plot(
        range(len(names)), [1e3 * t for t in times], "o-", markersize=4, label="ours, then off"
    )
    right.axhline(
        1e3 * whole, color=plots.PALETTE[7], linestyle=":", label="the runtime's own, all"
    )
    right.set_xticks(range(len(names)), names, rotation=35, ha="right")
    right.set(title="One image, one thread", ylabel="ms", ylim=(0, None))
    right.legend()
    run.figure(
        "passes",
        figure,
        "Nodes by operator after each pass, and as the libraries' optimizers leave the same model; "
        "the time of one image after each pass with the runtime's optimization off.",
    )
