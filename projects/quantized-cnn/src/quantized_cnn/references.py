"""The libraries' own quantizers at their normal settings, called as ours are: images → logits."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from quantized_cnn.graph import Graph
from quantized_cnn.onnx_graph import RuntimeSession, quantize_by_runtime, to_onnx

Network = Callable[[Tensor], Tensor]


def onnxruntime_static(graph: Graph, images: Tensor) -> Network:
    """ONNX Runtime: least and greatest values, weights per channel; runs on its int8 kernels."""
    return RuntimeSession(quantize_by_runtime(to_onnx(graph, _shape(images)), images))


def nncf_static(graph: Graph, images: Tensor) -> Network:
    """NNCF on the ONNX model, with its bias correction; runs on ONNX Runtime."""
    with _silence():
        import nncf

        nncf.set_log_level(logging.ERROR)
        model = to_onnx(graph, _shape(images))
        name = model.graph.input[0].name
        data = nncf.Dataset(list(images.split(1)), lambda batch: {name: batch.numpy()})
        quantized = nncf.quantize(model, data, subset_size=len(images))
    return RuntimeSession(quantized)


def pt2e_static(model: nn.Module, images: Tensor) -> Network:
    """PyTorch's PT2E (torchao) for x86: histograms for activations, weights per channel.

    What is returned computes with quantized and brought-back numbers, as before compilation.
    """
    with _silence():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        batch = torch.export.Dim("n", min=2)
        exported = torch.export.export(model, (images[:4],), dynamic_shapes=({0: batch},))
        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
        prepared = prepare_pt2e(exported.module(), quantizer)
        with torch.no_grad():
            for part in images.split(100):
                prepared(part)
        converted = convert_pt2e(prepared)
    return lambda x: converted(x).detach()


def _shape(images: Tensor) -> tuple[int, int, int]:
    channels, height, width = images.shape[1:]
    return channels, height, width


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The libraries print bars and warn of their own next versions: not to our readers."""
    former = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(former)


def pt2e_aware(model: nn.Module, images: Tensor, train: Callable[[nn.Module], object]) -> Network:
    """PyTorch's quantization-aware training (torchao) for x86; `train` fits the prepared module."""
    with _silence():
        from torchao.quantization.pt2e import (
            allow_exported_model_train_eval,
            move_exported_model_to_eval,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        batch = torch.export.Dim("n", min=2)
        model = model.train()
        exported = torch.export.export(model, (images[:4],), dynamic_shapes=({0: batch},))
        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config(is_qat=True))
        prepared = prepare_qat_pt2e(exported.module(), quantizer)
        allow_exported_model_train_eval(prepared)
    train(prepared)
    with _silence():
        move_exported_model_to_eval(prepared)
        converted = convert_pt2e(prepared)
        move_exported_model_to_eval(converted)
    return lambda x: converted(x).detach()


def torch_dynamic(model: nn.Module) -> Network:
    """PyTorch's dynamic quantization of linear maps, on the engine that it has here."""
    with _silence():
        from torch.ao.quantization import quantize_dynamic

        return quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
