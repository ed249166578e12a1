"""Write a network as TensorRT takes it, prove that it may, and on a GPU build and time its engines.

TensorRT compiles a network for one GPU, choosing each kernel by timing it there. Since version 11
it chooses no precision: the model says every type, and integers are symmetric, with pairs of
QuantizeLinear and DequantizeLinear where they begin and end. That model can be made and judged
without a GPU. Here it is calibrated, read through for all that TensorRT would refuse, and run by
ONNX Runtime. A ReLU's output leaves half of the symmetric integers unused; what that costs stands
beside the asymmetric network that is made for CPUs, which rounds more tensors. That one is read
through too: each of its unsigned integers must be found.

In the figure, look left at how far the logits move in half precision, in symmetric and in
asymmetric integers; right, at how many of the 255 integers each activation uses.

Without a GPU the table `engines` says what was not measured, and why. With one, the preset `gpu`
builds the engines and times them against PyTorch on the same GPU.

NVIDIA, TensorRT 11: Working with quantized types, 2026; Hao Wu and others, Integer quantization for
deep learning inference: principles and empirical evaluation, 2020.
"""

import copy
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from torch import nn

from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from inference_backends.backends.base import Batch
from inference_backends.backends.onnx_runtime import open_session
from inference_backends.backends.tensor_rt import TensorRt, TensorRtSession, typed_model
from inference_backends.benchmarking import logit_error
from inference_backends.explicit_quantization import activation_ranges, quantized_layers, violations
from inference_backends.exporting import to_onnx
from inference_backends.quiet import quiet
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.onnx_graph import quantize_by_runtime
from quantized_cnn.pretrained import pretrained

PRESETS = {
    "smoke": {"epochs": 4, "seeds": 1},
    "default": {},
    "full": {"data": "cifar10_subset", "epochs": 20, "bf16": True, "calibration": 500},
    "gpu": {
        "data": "cifar10_subset",
        "epochs": 20,
        "bf16": True,
        "calibration": 500,
        "gpu": True,
    },
}
CLAIMS = [
    Claim("violations", "<=", 0.0),
    Claim("layers_not_in_integers", "<=", 0.0),
    Claim("faults_missed", "<=", 0.0),
    Claim("error.fp16", "<=", 0.01),
    Claim("lost.int8", "<=", 0.5),
    Claim("gpu.lost.int8", "<=", 0.5, presets=("gpu",)),
    Claim("gpu.disagreeing", "<=", 0.0, presets=("gpu",)),
    Claim("ratio.int8_batch_64", "<=", 1.0, presets=("gpu",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    bf16: Annotated[bool, "train with convolutions in bfloat16"] = False,
    seeds: Annotated[int, Ge(1), "networks"] = 3,
    calibration: Annotated[int, Ge(10), "images to find the ranges with"] = 300,
    gpu: Annotated[bool, "build engines on a GPU and time them"] = False,
) -> None:
    """Make the models for each network, judge them, and build engines where there is a GPU."""
    backend = TensorRt()
    reason = backend.absent()
    if gpu and reason:
        raise UsageError(f"the preset gpu needs TensorRT and a GPU: {reason}; take another preset")
    images = load_images(run, data)
    example = images.x_train[:calibration].numpy()
    found: list[dict[str, Any]] = []
    for seed in run.progress(run.seeds(seeds), label="networks"):
        model = pretrained(run, "resnet", images, epochs=epochs, seed=seed, bf16=bf16)
        found.append(judge(model, images, example))
    tell(run, found)
    run.table(
        "engines",
        [
            {"precision": name, "engine": "not built" if not gpu else "built", "why": reason or ""}
            for name in backend.precisions
        ],
        caption="What was measured on a GPU; without one no engine, latency or throughput is known",
    )
    if gpu:
        measure_engines(run, model, images, example)
    draw(run, found)


def judge(model: nn.Module, images: Images, example: Batch) -> dict[str, Any]:
    """A network's models: what TensorRT would refuse, their logits, the integers in use."""
    plain = to_onnx(model, example)
    integer = typed_model(model, example, "int8")
    with quiet():
        asymmetric = quantize_by_runtime(plain, torch.from_numpy(example))
    x, y = images.x_test.numpy(), images.y_test.numpy()
    logits = {
        name: answers(made, x)
        for name, made in (
            ("fp32", plain),
            ("fp16", typed_model(model, example, "fp16")),
            ("int8", integer),
            ("int8, asymmetric", asymmetric),
        )
    }
    unsigned = sum("integers of uint8" in line for line in violations(asymmetric))
    whole, layers = quantized_layers(integer)
    return {
        "logits": logits,
        "points": {k: 100.0 * float((v.argmax(1) == y).mean()) for k, v in logits.items()},
        "violations": violations(plain) + violations(integer),
        "outside": layers - whole,
        "missed": unsigned_pairs(asymmetric) - unsigned,
        "used": integers_used(plain, integer, example),
    }


def unsigned_pairs(model: Any) -> int:
    """How many operations read or write unsigned integers, counted from the constants."""
    unsigned = {t.name for t in model.graph.initializer if t.data_type == 2}  # TensorProto.UINT8
    return sum(
        len(node.input) > 2 and node.input[2] in unsigned
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    )


def answers(model: Any, x: Batch) -> Batch:
    """The logits by ONNX Runtime, on one thread."""
    session = open_session(model.SerializeToString(), 1)
    name = session.get_inputs()[0].name
    starts = range(0, len(x), 200)
    return np.concatenate([session.run(None, {name: x[k : k + 200]})[0] for k in starts])


def integers_used(plain: Any, integer: Any, example: Batch) -> dict[str, int]:
    """Of each quantized activation's 255 integers, how many lie within what the images reach."""
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(plain)
    scales = activation_ranges(integer)
    inner = {name for node in plain.graph.node for name in node.output}
    outputs = {value.name for value in made.graph.output}
    for name in scales:
        if name in inner and name not in outputs:
            made.graph.output.append(onnx.ValueInfoProto(name=name))
    session = open_session(made.SerializeToString(), 1)
    given = session.get_inputs()[0].name
    names = [value.name for value in session.get_outputs()]
    values = dict(zip(names, session.run(None, {given: example[:100]}), strict=True))
    values[given] = example[:100]
    return {
        name: int(np.ptp(np.clip(np.rint(values[name] / scale), -128, 127))) + 1
        for name, scale in scales.items()
        if name in values
    }


def tell(run: Run, found: list[dict[str, Any]]) -> None:
    """The metrics, one number a network."""
    run.metric("accuracy", [item["points"]["fp32"] for item in found], "points")
    for name in ("fp16", "int8", "int8, asymmetric"):
        metric = name.replace(", ", "-")
        whole = [item["logits"]["fp32"] for item in found]
        moved = [logit_error(i["logits"][name], w) for i, w in zip(found, whole, strict=True)]
        lost = [item["points"]["fp32"] - item["points"][name] for item in found]
        run.metric(f"error.{metric}", moved)
        run.metric(f"lost.{metric}", lost, "points")
    run.metric("violations", sum(len(item["violations"]) for item in found))
    run.metric("layers_not_in_integers", sum(item["outside"] for item in found))
    run.metric("faults_missed", sum(item["missed"] for item in found))
    run.metric("integers_used", [float(np.mean(list(i["used"].values()))) for i in found])


def measure_engines(run: Run, model: nn.Module, images: Images, example: Batch) -> None:
    """Engines against PyTorch, eager and compiled, with the images on the GPU already."""
    backend = TensorRt()
    x, y = images.x_test.numpy(), images.y_test.numpy()
    whole = copy.deepcopy(model).cuda().to(memory_format=torch.channels_last)
    with torch.no_grad():
        wanted = np.concatenate(
            [whole(part.cuda()).cpu().numpy() for part in images.x_test.split(200)]
        )
    compiled = torch.compile(whole, mode="max-autotune", dynamic=False)
    rows, disagreeing = [], 0
    for precision in backend.precisions:
        session = backend.compile(model, example, precision)
        assert isinstance(session, TensorRtSession)
        logits = session.run(x)
        lost = 100.0 * float((wanted.argmax(1) == y).mean() - (logits.argmax(1) == y).mean())
        run.metric(f"gpu.lost.{precision}", lost, "points")
        error = logit_error(logits, wanted)
        disagreeing += error > backend.tolerance[precision]
        for size in (1, 8, 64, 128):
            given = images.x_test[:size].cuda().to(memory_format=torch.channels_last)

            def engine(session: TensorRtSession = session, size: int = size) -> None:
                session.enqueue(size)
                session.synchronize()

            def library(given: torch.Tensor = given) -> None:
                with torch.no_grad():
                    compiled(given)
                torch.cuda.synchronize()

            def plain(given: torch.Tensor = given) -> None:
                with torch.no_grad():
                    whole(given)
                torch.cuda.synchronize()

            library()
            name = f"{precision}_batch_{size}"
            pair = run.compare(name, engine, library, library="torch compiled")
            eager = run.compare(f"{name}_eager", engine, plain, library="torch")
            rows.append(
                {
                    "precision": session.info().precision,
                    "batch": size,
                    "engine (µs)": 1e6 * pair.ours_s,
                    "compiled (µs)": 1e6 * pair.reference_s,
                    "eager (µs)": 1e6 * eager.reference_s,
                    "images/s": size / pair.ours_s,
                    "logit error": error,
                    "built in (s)": session.info().compile_s,
                }
            )
    run.metric("gpu.disagreeing", disagreeing)
    run.table("gpu", rows, caption="Engines and PyTorch on one GPU, images on it already")


def draw(run: Run, found: list[dict[str, Any]]) -> None:
    """How far the logits move; how many integers are in use."""
    figure, axes = plots.figure(1, 2, width=10.5, height=3.4)
    whole = np.concatenate([item["logits"]["fp32"] for item in found])
    largest = np.abs(whole).max()
    for k, name in enumerate(("fp16", "int8, asymmetric", "int8")):
        logits = np.concatenate([item["logits"][name] for item in found])
        moved = np.sort(np.abs(logits - whole).max(1) / largest)
        share = 100 * np.arange(1, len(moved) + 1) / len(moved)
        label = "int8, symmetric" if name == "int8" else name
        color = plots.PALETTE[(7, 1, 0)[k]]
        axes[0].semilogx(np.maximum(moved, 1e-6), share, color=color, label=label)
    axes[0].set(title="How far the logits move", xlabel="largest difference, relative")
    axes[0].set(ylabel="images below (%)")
    axes[0].set(xlim=(5e-5, 3.0))
    axes[0].legend(loc="lower right")
    used = found[0]["used"]
    axes[1].bar(range(len(used)), list(used.values()), color=plots.PALETTE[0])
    axes[1].axhline(255, color=plots.PALETTE[7], linestyle=":", label="all there are")
    axes[1].axhline(128, color=plots.PALETTE[3], linestyle="--", label="without the sign")
    axes[1].set(title="Integers in use", xlabel="activation, from the image on", ylabel="integers")
    axes[1].set(ylim=(0, 330))
    axes[1].legend(loc="upper right", ncols=2)
    run.figure(
        "models",
        figure,
        "The share of test images whose logits move less than so far, by precision; how many "
        "of the symmetric integers each activation uses.",
    )
