"""Export a trained network by both of PyTorch's exporters, and check what the files hold.

PyTorch has an older exporter, which traces the module once and writes down what ran, and a newer
one (`dynamo=True`), which captures it with symbolic sizes and refuses what it cannot capture.
The first panel shows the operators that each writes for the same network: with nothing folded, the
older one leaves batch norms and constants in. The second shows how far the logits are from
PyTorch's, for batches of sizes that the export never saw.

What goes wrong is measured too. A Python `if` on values is traced by the older exporter into the
branch that the example took, without a word; the newer one refuses it by name, and takes it as
`torch.cond`. An operator that ONNX lacks is refused by its name. An operator of one's own is
written as the body of an onnxscript function. The file may keep its weights beside itself, and be
rewritten in another version of the operators and back.

ONNX, Open neural network exchange: the specification of the format and of its version converter;
PyTorch's documentation of `torch.onnx`.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import torch
from annotated_types import Ge
from onnx import version_converter
from torch import Tensor, nn

from groundwork import Claim, Run, plots
from inference_backends.backends.base import UnsupportedError
from inference_backends.custom_operator import SquashLayer, export_with_squash
from inference_backends.exporting import to_onnx
from inference_backends.passes import operators
from inference_backends.passes.samples import run as run_onnx
from inference_backends.passes.samples import session, torchscript
from quantized_cnn.images import DataName, load_images
from quantized_cnn.pretrained import pretrained

PRESETS = {
    "smoke": {"epochs": 4},
    "default": {},
    "full": {"data": "cifar10_subset", "epochs": 20, "bf16": True},
}
CLAIMS = [
    Claim("difference.dynamo", "<=", 1e-4),
    Claim("difference.torchscript", "<=", 1e-4),
    Claim("difference.unfolded", "<=", 1e-4),
    Claim("valid_graphs", ">=", 3),
    Claim("dynamic_batches", ">=", 3),
    Claim("batch_norms.dynamo", "<=", 0),
    Claim("top1_agreement", ">=", 100.0),
    Claim("difference.opset_round_trip", "<=", 1e-5),
    Claim("difference.external_data", "<=", 0.0),
    Claim("difference.cond", "<=", 1e-5),
    Claim("difference.custom_operator", "<=", 1e-5),
    Claim("refusals_that_name_it", ">=", 2),
]
#: None of them is the size that the export is traced with.
BATCHES = (1, 3, 64)
#: Versions of the operators that the newer exporter's model is rewritten in.
OPSETS = (18, 19, 21, 22)


class Branch(nn.Module):
    """An `if` on values, in Python."""

    def forward(self, x: Tensor) -> Tensor:
        """Doubles what sums to more than zero, and takes one from what does not."""
        return x * 2 if x.sum() > 0 else x - 1


class Cond(nn.Module):
    """The same `if`, as an operator."""

    def forward(self, x: Tensor) -> Tensor:
        """See `Branch`."""
        result: Tensor = torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y - 1, (x,))
        return result


class Eigenvalues(nn.Module):
    """What ONNX has no operator for."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, k, k) → the real parts of the eigenvalues, (n, channels, k)."""
        return torch.linalg.eigvals(x).real


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    bf16: Annotated[bool, "it was trained with convolutions in bfloat16"] = False,
) -> None:
    """Export, and check: graphs, values, versions, files, and what cannot be exported."""
    images = load_images(run, data)
    model = pretrained(run, "resnet", images, epochs=epochs, seed=run.seed, bf16=bf16)
    x = images.x_test.numpy()
    exports = {
        "dynamo": to_onnx(model, x),
        "torchscript": torchscript(model, x, folded=True),
        "unfolded": torchscript(model, x, folded=False),
    }
    describe(run, exports)
    differences = compare_values(run, exports, model, x)
    check_versions(run, exports["dynamo"], x)
    check_files(run, exports["dynamo"], x)
    check_control_flow(run, x[:4])
    check_custom_operator(run, x[:8])
    draw(run, exports, differences)


def relative(found: Any, wanted: Any) -> float:
    """Largest difference, relative to the largest number wanted."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def describe(run: Run, exports: dict[str, onnx.ModelProto]) -> None:
    """What is in each file, and whether ONNX's checker accepts it with all shapes inferred."""
    rows, valid, dynamic = [], 0, 0
    for name, model in exports.items():
        onnx.checker.check_model(model, full_check=True)
        valid += 1
        first = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
        dynamic += bool(first)
        counts = operators(model)
        rows.append(
            {
                "exporter": name,
                "nodes": sum(counts.values()),
                "batch norms": counts["BatchNormalization"],
                "initializers": len(model.graph.initializer),
                "opset": model.opset_import[0].version,
                "batch": first,
                "metadata": sum(len(node.metadata_props) for node in model.graph.node),
                "KB": model.ByteSize() / 1000,
            }
        )
        run.metric(f"nodes.{name}", sum(counts.values()))
        run.metric(f"batch_norms.{name}", counts["BatchNormalization"])
        run.metric(f"size.{name}", model.ByteSize() / 1000, "KB")
    run.table("graphs", rows, caption="What each exporter writes for the same network")
    run.metric("valid_graphs", valid)
    run.metric("dynamic_batches", dynamic)


def compare_values(
    run: Run, exports: dict[str, onnx.ModelProto], model: nn.Module, x: Any
) -> dict[str, list[float]]:
    """Logits against PyTorch's for each size of a batch, and the classes of all test images."""
    with torch.no_grad():
        wanted = model(torch.from_numpy(x)).numpy()
    found, agreement = {}, []
    for name, exported in exports.items():
        call = partial(session(exported).run, None)
        found[name] = [relative(call({"images": x[:n]})[0], wanted[:n]) for n in BATCHES]
        logits = np.concatenate([call({"images": part})[0] for part in np.array_split(x, 20)])
        agreement.append(100.0 * float(np.mean(logits.argmax(1) == wanted.argmax(1))))
        run.metric(f"difference.{name}", max(found[name]))
    run.metric("top1_agreement", min(agreement), "%")
    return found


def check_versions(run: Run, model: onnx.ModelProto, x: Any) -> None:
    """Into other versions of the operators, and back."""
    own = model.opset_import[0].version
    wanted = run_onnx(model, {"images": x[:3]})[0]
    worst = 0.0
    for version in OPSETS:
        there = version_converter.convert_version(model, version)
        back = version_converter.convert_version(there, own)
        for converted in (there, back):
            onnx.checker.check_model(converted, full_check=True)
            worst = max(worst, relative(run_onnx(converted, {"images": x[:3]})[0], wanted))
    run.metric("difference.opset_round_trip", worst)


def check_files(run: Run, model: onnx.ModelProto, x: Any) -> None:
    """Weights in a file of their own: what is left in the model's, and whether it runs."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        # Small constants, such as axes, stay: shapes are inferred from them.
        onnx.save_model(
            copy, path, save_as_external_data=True, location="weights.bin", size_threshold=128
        )
        onnx.checker.check_model(str(path))
        run.metric("size.graph_alone", path.stat().st_size / 1000, "KB")
        run.metric("size.weights", (Path(folder) / "weights.bin").stat().st_size / 1000, "KB")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        reloaded = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        found = reloaded.run(None, {"images": x[:3]})[0]
    run.metric("difference.external_data", relative(found, run_onnx(model, {"images": x[:3]})[0]))


def check_control_flow(run: Run, x: Any) -> None:
    """An `if` by both exporters, and what cannot be exported at all."""
    positive, negative = np.abs(x) + 1, -np.abs(x) - 1
    traced = torchscript(Branch(), positive, folded=True)
    with torch.no_grad():
        wanted = {
            id(part): Branch()(torch.from_numpy(part)).numpy() for part in (positive, negative)
        }
    silent = relative(run_onnx(traced, {"images": negative})[0], wanted[id(negative)])
    run.metric("difference.traced_branch", silent)
    cond = to_onnx(Cond(), x)
    run.metric(
        "difference.cond",
        max(
            relative(run_onnx(cond, {"images": part})[0], wanted[id(part)])
            for part in (positive, negative)
        ),
    )
    told = []
    for module, name in ((nn.Sequential(Branch()), "Branch"), (Eigenvalues(), "linalg_eig")):
        try:
            to_onnx(module, x)
        except UnsupportedError as error:
            told.append({"module": type(module).__name__, "named": name in str(error),
                         "error": str(error)})  # fmt: skip
    run.table("refusals", told, caption="What is refused, and how it is told")
    run.metric("refusals_that_name_it", sum(bool(row["named"]) for row in told))


def check_custom_operator(run: Run, x: Any) -> None:
    """A network with an operator of its own."""
    channels = x.shape[1]
    torch.manual_seed(run.seed)
    model = nn.Sequential(nn.Conv2d(channels, 4, 3), SquashLayer(4), nn.Conv2d(4, 2, 3)).eval()
    exported = export_with_squash(model, x)
    onnx.checker.check_model(exported, full_check=True)
    with torch.no_grad():
        wanted = model(torch.from_numpy(x)).numpy()
    found = run_onnx(exported, {"images": x})[0]
    run.metric("difference.custom_operator", relative(found, wanted))


def draw(
    run: Run, exports: dict[str, onnx.ModelProto], differences: dict[str, list[float]]
) -> None:
    """Operators by exporter, and differences by batch size."""
    figure, (left, right) = plots.figure(1, 2, width=10.0, height=3.6)
    counts = {name: operators(model) for name, model in exports.items()}
    kinds = sorted({k for c in counts.values() for k in c}, key=lambda k: -counts["unfolded"][k])
    width = 0.26
    for number, (name, count) in enumerate(counts.items()):
        places = np.arange(len(kinds)) + (number - 1) * width
        left.bar(places, [count[kind] for kind in kinds], width, label=name)
        points = np.arange(len(BATCHES)) + (number - 1) * width
        right.bar(points, [max(d, 1e-9) for d in differences[name]], width, label=name)
    left.set_xticks(range(len(kinds)), kinds, rotation=35, ha="right")
    left.set(title="What the same network becomes", ylabel="nodes")
    right.set_yscale("log")
    right.axhline(1e-4, color=plots.PALETTE[3], linestyle=":", label="bound")
    right.set_xticks(range(len(BATCHES)), [str(size) for size in BATCHES])
    right.set(title="Against PyTorch", xlabel="images in the batch", ylabel="relative difference")
    right.set_ylim(1e-9, 1e-2)
    for ax in (left, right):
        ax.grid(axis="x", visible=False)
    left.legend()
    right.legend(ncols=2, fontsize=8)
    run.figure(
        "export",
        figure,
        "Nodes by operator as each exporter writes the network; the largest difference of a logit "
        "from PyTorch's for three sizes of a batch.",
    )
