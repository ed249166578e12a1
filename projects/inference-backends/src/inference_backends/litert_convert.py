# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["ai-edge-quantizer>=0.10", "litert-torch>=0.10", "torch<2.15"]
# ///
"""Convert a network for LiteRT; runs in an environment of its own, started by `litert.py`.

The converter wants an older PyTorch than the rest of the package, so the two cannot share an
environment. uv makes this one from the lock beside this file; what passes between the two is files.

    uv run --script litert_convert.py convert NETWORK.pt2 FLOAT.tflite
    uv run --script litert_convert.py quantize FLOAT.tflite SCHEME OUT.tflite [IMAGES.npy]

`convert` takes an exported program; `quantize` a converted network and for `int8` the images
(n, ...) that the ranges of the activations are found on. A network that cannot be converted ends
with status 3 and the reason as the last line on standard error.
"""

import sys
from pathlib import Path
from typing import Any

#: Scheme → how the quantizer's library calls the weights' and activations' forms.
SCHEMES = ("fp16-weights", "int8-weights", "int8")


def convert(program: Path, target: Path) -> None:
    """Write a PyTorch program as a flatbuffer of float32 operators."""
    import litert_torch
    import torch

    exported = torch.export.load(program)
    (images,), _ = exported.example_inputs
    litert_torch.convert(exported.module(), (images[:1],)).export(str(target))
    target.write_bytes(tidy(target.read_bytes()))


def quantize(source: Path, scheme: str, target: Path, images: Path | None) -> None:
    """Write a float32 flatbuffer with smaller weights, and for `int8` integer activations."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    if scheme == "fp16-weights":
        weights = {"num_bits": 16, "dtype": "FLOAT"}
        steps = [_rule("*", "float_casting", weights, "FLOAT", dequantize=True)]
    elif scheme == "int8-weights":
        steps = recipe.dynamic_wi8_afp32()
    elif scheme == "int8":
        steps = recipe.static_wi8_ai8()
        # The caller hands over float32: the network itself turns it into integers and back.
        steps += [_rule(operation, "no_quantize") for operation in ("INPUT", "OUTPUT")]
    else:
        raise ValueError(f"scheme {scheme!r}; {', '.join(SCHEMES)} are taken")
    worker = quantizer.Quantizer(str(source), steps)
    seen = None
    if worker.need_calibration:
        if images is None:
            raise ValueError(f"{scheme} needs images to find the ranges on")
        (signature, ends), *_ = Interpreter(str(source)).get_signature_list().items()
        batch = np.load(images)
        samples = [{ends["inputs"][0]: batch[k : k + 1]} for k in range(len(batch))]
        # By default each image moves the ranges by a tenth, so that the early ones are forgotten.
        watcher = calibrator.Calibrator(str(source), num_threads=1, qsv_update_func=min_max_update)
        rules = recipe_manager.RecipeManager()
        rules.load_quantization_recipe(steps)
        watcher.calibrate({signature: samples}, rules)
        seen = watcher.get_model_qsvs()
    worker.quantize(seen).export_model(str(target), overwrite=True)


def tidy(content: bytes) -> bytes:
    """The same network with short names, for any number of images.

    The converter names a tensor after the modules it came through, some hundred letters each: all
    but the ends get a number. A reshape is to a fixed number of images, the example's one: it is to
    as many as come instead.
    """
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    for graph in model.subgraphs:
        ends = {*graph.inputs, *graph.outputs}
        for number, tensor in enumerate(graph.tensors):
            if number not in ends:
                tensor.name = str(number)
        for step in graph.operators:
            kind = model.operatorCodes[step.opcodeIndex].builtinCode
            if kind != schema.BuiltinOperator.RESHAPE or len(step.inputs) < 2:
                continue
            buffer = model.buffers[graph.tensors[step.inputs[1]].buffer]
            if buffer.data is None or graph.tensors[step.inputs[0]].shape[0] != 1:
                continue
            shape = np.frombuffer(bytes(bytearray(buffer.data)), np.int32).copy()
            if shape[0] == 1 and -1 not in shape:
                shape[0] = -1
                buffer.data = np.frombuffer(shape.tobytes(), np.uint8)
                if step.builtinOptions is not None:
                    step.builtinOptions.newShape = shape
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _rule(
    operation: str,
    algorithm: str,
    weights: dict[str, Any] | None = None,
    compute: str = "INTEGER",
    dequantize: bool = False,
) -> dict[str, Any]:
    """A rule of a quantizer's recipe, for operators of this kind."""
    options: dict[str, Any] = {}
    if weights:
        options = {
            "weight_tensor_config": weights,
            "compute_precision": compute,
            "explicit_dequantize": dequantize,
        }
    return {
        "regex": ".*",
        "operation": operation,
        "algorithm_key": algorithm,
        "op_config": options,
    }


def main(words: list[str]) -> int:
    """Do what the command line asks for; returns the exit status."""
    try:
        if words[:1] == ["convert"] and len(words) == 3:
            convert(Path(words[1]), Path(words[2]))
        elif words[:1] == ["quantize"] and len(words) in (4, 5):
            images = Path(words[4]) if len(words) == 5 else None
            quantize(Path(words[1]), words[2], Path(words[3]), images)
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        print(f"{type(error).__name__}: {lines[0] if lines else ''}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
