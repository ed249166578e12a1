"""The stages of the pipeline: train, distil, prune channels, quantise, export.

Every stage is a result in `stages.Stages`, under a key of what decides it, and each network is one
form of the next: the original, the student that learns from it, the student with fewer channels,
and that one with its weights on a grid of few bits.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from cnn_inference_pipeline import dataset as dataset_module
from cnn_inference_pipeline import deployment as deployment_module
from cnn_inference_pipeline import lessons as lessons_module
from cnn_inference_pipeline import narrowing as narrowing_module
from cnn_inference_pipeline import student as student_module
from cnn_inference_pipeline.dataset import Dataset
from cnn_inference_pipeline.deployment import RUNTIMES, deployable, pack
from cnn_inference_pipeline.lessons import Lessons, ask, learn, make_views
from cnn_inference_pipeline.model_source import Source, check_model
from cnn_inference_pipeline.narrowing import graph_of, graph_state, narrow
from cnn_inference_pipeline.stages import Progress, Result, Stages
from cnn_inference_pipeline.student import Student, stem_stride
from groundwork.errors import UsageError
from inference_backends.backends import Precision
from quantized_cnn import channels as channels_module
from quantized_cnn import distillation as distillation_module
from quantized_cnn import graph as graph_module
from quantized_cnn import images as images_module
from quantized_cnn import networks as networks_module
from quantized_cnn import onnx_graph as onnx_graph_module
from quantized_cnn import qat as qat_module
from quantized_cnn import training as training_module
from quantized_cnn.affine import Quantizer, Scheme
from quantized_cnn.graph import Graph, trace
from quantized_cnn.images import Images
from quantized_cnn.qat import QuantizationAware
from quantized_cnn.training import fit

#: Bits of the weights that are tried, the most first, until the file is small enough.
BITS = (8, 7, 6, 5, 4)
_TRAINING: tuple[ModuleType, ...] = (images_module, training_module, dataset_module)
_LESSONS = (*_TRAINING, lessons_module, distillation_module)
_GRAPHS = (graph_module, narrowing_module)


@dataclass(frozen=True)
class Recipe:
    """How long and how hard each stage works.

    Parameters
    ----------
    epochs : of the original's training, at most; 0 takes it as the factory gives it.
    student : whether a student takes the network's place; otherwise its own channels are pruned.
    stem, widths, blocks : of the student; see `student.Student`.
    views : of each image, that the teachers answer.
    passes, prune_passes, aware_passes : over the images, of the student's training, after pruning,
        and with weights of few bits.
    prune : the share of the multiplications that pruning takes.
    block : channels that are pruned together.
    bf16 : convolutions in bfloat16 in training.
    """

    epochs: int = 15
    student: bool = True
    stem: int = 16
    widths: tuple[int, ...] = (32, 64)
    blocks: tuple[int, ...] = (1, 1)
    views: int = 8
    passes: int = 60
    prune: float = 0.25
    prune_passes: int = 20
    aware_passes: int = 20
    block: int = 16
    bf16: bool = False


@dataclass
class Pipeline:
    """The stages for one data set and one network; each is done when it is first asked for.

    bars : wraps an iterable with a label, to show how far a training is.
    """

    data: Dataset
    source: Source
    recipe: Recipe
    stages: Stages
    bars: Callable[[Iterable[int], str], Iterable[int]] = lambda items, label: items

    # Train

    def original(self, seed: int) -> tuple[nn.Module, str]:
        """The network as it comes, trained on the labels; and its key."""
        torch.manual_seed(seed)
        model = self.source.make(len(self.data.labels), self.data.shape[0])
        check_model(self.source.name, model, self.data.shape, len(self.data.labels))
        recipe = self.recipe

        def make(progress: Progress) -> dict[str, Any]:
            if recipe.epochs:
                self._fit(model, recipe.epochs, seed, progress, f"train, seed {seed}")
            return {"state": dict(model.state_dict())}

        result = self.stages.run(
            "train",
            make,
            parameters={"epochs": recipe.epochs, "seed": seed, "bf16": recipe.bf16},
            inputs=(self.data.digest, self.source.digest),
            modules=(*_TRAINING, networks_module),
        )
        model.load_state_dict(result.value["state"])
        return model.eval(), result.key

    def _fit(
        self, model: nn.Module, epochs: int, seed: int, progress: Progress, label: str
    ) -> None:
        images = self.data.images
        fit(
            model.to(memory_format=torch.channels_last),
            images.x_train,
            images.y_train,
            epochs=epochs,
            learning_rate=0.1 if images.small else 0.2,
            batch_size=batch_size(images, len(images.x_train)),
            seed=seed,
            augment=images.augment,
            bf16=self.recipe.bf16,
            checkpoint=progress,
            progress=lambda items: self.bars(items, label),
        )
        model.to(memory_format=torch.contiguous_format)

    # Distil

    def lessons(self, teachers: Sequence[tuple[nn.Module, str]]) -> tuple[Lessons, str]:
        """Views of the images with the teachers' answers; and their key."""
        keys = tuple(key for _, key in teachers)
        views = make_views(self.data.images, self.recipe.views, seed=0)
        result = self.stages.run(
            "ask",
            lambda progress: {
                "logits": ask(
                    [model for model, _ in teachers],
                    views,
                    self.recipe.bf16,
                    lambda items: self.bars(items, "ask the teachers"),
                    progress,
                )
            },
            parameters={"views": self.recipe.views, "bf16": self.recipe.bf16},
            inputs=(self.data.digest, *keys),
            modules=_LESSONS,
        )
        return Lessons(views.x, result.value["logits"], views.low, views.step), result.key

    def student(self, seed: int, lessons: tuple[Lessons, str]) -> tuple[Graph, str]:
        """The small network, distilled; and its key."""
        recipe, shape = self.recipe, self.data.shape
        torch.manual_seed(1000 + seed)
        model = Student(
            len(self.data.labels),
            shape[0],
            recipe.stem,
            recipe.widths,
            recipe.blocks,
            stem_stride(min(shape[1:])),
        )

        def make(progress: Progress) -> dict[str, Any]:
            self._learn(model, lessons[0], recipe.passes, 0.3, seed, progress, "distil")
            return {"state": dict(model.state_dict())}

        told = {"seed": seed, "passes": recipe.passes, "bf16": recipe.bf16, "stem": recipe.stem}
        result = self.stages.run(
            "distil",
            make,
            parameters=told | {"widths": list(recipe.widths), "blocks": list(recipe.blocks)},
            inputs=(lessons[1],),
            modules=(*_LESSONS, student_module, networks_module),
        )
        model.load_state_dict(result.value["state"])
        return trace(model.eval()), result.key

    def _learn(
        self,
        model: nn.Module,
        lessons: Lessons,
        passes: int,
        rate: float,
        seed: int,
        progress: Progress,
        label: str,
    ) -> None:
        images = self.data.images
        learn(
            model.to(memory_format=torch.channels_last),
            lessons,
            passes=passes,
            views=len(lessons.x) // len(images.x_train),
            learning_rate=rate / 2 if images.small else rate,
            batch_size=batch_size(images, len(images.x_train)),
            weight_decay=1e-4,
            seed=seed,
            bf16=self.recipe.bf16,
            checkpoint=progress,
            progress=lambda items: self.bars(items, f"{label}, seed {seed}"),
        )
        model.to(memory_format=torch.contiguous_format)

    # Prune

    def traced(self, model: nn.Module) -> Graph:
        """The original's own graph; raises UsageError for a layer that cannot be pruned."""
        try:
            return trace(model)
        except ValueError as error:
            raise UsageError(
                f"{error}; eager, compile and aot-inductor take it, and --student true puts a "
                "network of known layers in its place"
            ) from error
        except Exception as error:  # torch.fx names what it cannot follow
            raise UsageError(
                f"the network cannot be written as a graph ({str(error).splitlines()[0]}); eager "
                "takes it, and --student true puts a network of known layers in its place"
            ) from error

    def pruned(
        self, seed: int, before: tuple[Graph, str], lessons: tuple[Lessons, str]
    ) -> tuple[Graph, str]:
        """The network with fewer channels, trained on; and its key."""
        recipe, images = self.recipe, self.data.images

        def make(progress: Progress) -> dict[str, Any]:
            graph = copy.deepcopy(before[0])
            batches = [
                (images.x_train[k : k + 128], images.y_train[k : k + 128])
                for k in range(0, min(1024, len(images.x_train)), 128)
            ]
            torch.manual_seed(seed)
            narrow(graph, recipe.prune, self.data.shape, batches, recipe.block)
            self._learn(graph, lessons[0], recipe.prune_passes, 0.1, seed, progress, "prune")
            return {"graph": graph_state(graph.eval())}

        result = self.stages.run(
            "prune",
            make,
            parameters={
                "seed": seed, "prune": recipe.prune, "passes": recipe.prune_passes,
                "block": recipe.block, "bf16": recipe.bf16,
            },
            inputs=(before[1], lessons[1]),
            modules=(*_LESSONS, *_GRAPHS, channels_module),
        )  # fmt: skip
        return graph_of(result.value["graph"]), result.key

    # Quantise

    def bits_that_fit(self, graph: Graph, max_bytes: float) -> int:
        """The most bits of the weights whose packed file is small enough; 4 where none is."""
        for bits in BITS:
            rough = on_grid(deployable(graph), bits)
            content = RUNTIMES["onnxruntime"].build(rough, self.data.calibration[:8], "int8")
            if 1.05 * len(pack(content)) <= max_bytes:
                return bits
        return BITS[-1]

    def aware(
        self, seed: int, before: tuple[Graph, str], lessons: tuple[Lessons, str], bits: int
    ) -> tuple[Graph, str]:
        """The network trained with its weights on a grid; what it gives has them there."""
        recipe = self.recipe

        def make(progress: Progress) -> dict[str, Any]:
            torch.manual_seed(seed)
            weights = Scheme(bits, signed=True, symmetric=True, axis=0, narrow=True)
            seen = torch.from_numpy(self.data.calibration)
            module = QuantizationAware(before[0], seen, weights, Scheme(8))
            rate = 0.03 if bits < 8 else 0.005
            self._learn(module, lessons[0], recipe.aware_passes, rate, seed, progress, "quantise")
            return {"graph": graph_state(rounded(module))}

        result = self.stages.run(
            "quantise",
            make,
            parameters={
                "seed": seed, "bits": bits, "passes": recipe.aware_passes, "bf16": recipe.bf16,
            },
            inputs=(before[1], lessons[1]),
            modules=(*_LESSONS, *_GRAPHS, qat_module),
        )  # fmt: skip
        return graph_of(result.value["graph"]), result.key

    # Export

    def export(self, network: tuple[Graph, str], runtime: str, precision: Precision) -> bytes:
        """The file that is shipped, not packed yet.

        Raises what the runtime's converter raises; nothing is kept then.
        """

        def make(progress: Progress) -> dict[str, Any]:
            content = RUNTIMES[runtime].build(
                deployable(network[0]), self.data.calibration, precision
            )
            return {"content": torch.frombuffer(bytearray(content), dtype=torch.uint8)}

        result: Result = self.stages.run(
            "export",
            make,
            parameters={"runtime": runtime, "precision": precision},
            inputs=(network[1], self.data.digest),
            modules=(deployment_module, onnx_graph_module),
        )
        content: bytes = result.value["content"].numpy().astype(np.uint8).tobytes()
        return content


def batch_size(images: Images, count: int) -> int:
    """How many images a step takes; fewer where there are few, so that an epoch has ten steps."""
    return max(2, min(images.batch_size, count // 10))


@torch.no_grad()
def on_grid(graph: Graph, bits: int) -> Graph:
    """A folded graph with its weights rounded to so many bits; the first and last keep eight."""
    layers = [node.name for node in graph.layers()]
    for name in layers[1:-1]:
        scheme = Scheme(bits, signed=True, symmetric=True, axis=0, narrow=True)
        graph.weights[name].copy_(
            Quantizer.of_values(scheme, graph.weights[name])(graph.weights[name])
        )
    return graph


@torch.no_grad()
def rounded(module: QuantizationAware) -> Graph:
    """The trained graph, each weight at the value that training rounded it to.

    A runtime's own int8 quantizer, with a scale for each output channel, finds these few values
    again: weights of $b$ bits stand in int8 tensors as $2^b - 1$ different numbers.
    """
    graph = copy.deepcopy(module.graph).eval()
    for node in graph.layers():
        graph.weights[node.name].copy_(module.weights[node.name](graph.weights[node.name]))
    return graph
