"""ONNX's own test models, through the passes.

The package `onnx` carries the backend test: models with inputs and the outputs that a runtime must
give for them. A model that went through the passes must still give them.
"""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from inference_backends.passes.manager import FUSING, optimize
from inference_backends.passes.rewriting import Array, Pass
from inference_backends.passes.samples import run
from inference_backends.quiet import quiet

#: What the passes look for: a test model with none of these operators would test nothing.
SUBJECTS = frozenset(
    {"Identity", "Dropout", "Constant", "ConstantOfShape", "Shape", "Conv", "BatchNormalization",
     "Transpose", "Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Add", "Sub",
     "Mul", "Div"}
)  # fmt: skip
#: The kinds of models in ONNX's backend test that are looked at.
KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted", "light")


@dataclass(frozen=True)
class Case:
    """A model with inputs and the outputs that it must give, within `rtol` and `atol`."""

    name: str
    model: onnx.ModelProto
    feeds: dict[str, Any]
    expected: list[Any]
    rtol: float
    atol: float


def backend_cases(
    kinds: Sequence[str] = KINDS,
    operators: Sequence[str] | None = None,
    networks: Sequence[str] | None = None,
) -> Iterator[Case]:
    """The models of ONNX's backend test that the package carries and that the passes concern.

    kinds : of `KINDS`: `node` (one operator, or the few that it stands for), `simple`,
        `pytorch-operator`, `pytorch-converted` and `light` (whole networks, from AlexNet to
        DenseNet, with made-up weights). Only first data sets, and only those of numeric tensors.
    operators : names of ONNX's modules of `node` cases; None: all, which takes some seconds.
    networks : names of `light` models, such as `squeezenet`; None: all, some of them large.

    Raises ValueError for another kind.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"there are no {kind!r} models; {', '.join(KINDS)} are")
        if kind == "light":
            cases = _light(networks)
        else:
            cases = _node(operators) if kind == "node" else _stored(kind)
        for case in cases:
            used = {node.op_type for node in case.model.graph.node}
            arrays = [*case.feeds.values(), *case.expected]
            if used & SUBJECTS and all(isinstance(array, np.ndarray) for array in arrays):
                yield case


def frozen(case: Case, keep: int = 1) -> Case:
    """The same case with all inputs but the first `keep` as constants, so that there is more to do.

    With `keep` 0 the whole model is constant.
    """
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    names = [value.name for value in model.graph.input][keep:]
    fixed = {name: array for name, array in case.feeds.items() if name in names}
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in fixed.items()
    )
    rest = [value for value in model.graph.input if value.name not in fixed]
    del model.graph.input[:]
    model.graph.input.extend(rest)
    model.ir_version = max(model.ir_version, 4)
    feeds = {name: array for name, array in case.feeds.items() if name not in fixed}
    return Case(f"{case.name}, {keep} inputs", model, feeds, case.expected, case.rtol, case.atol)


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    refused : the runtime does not run it, or not to what is expected, before any pass.
    rewritten : the passes changed something.
    error : why it failed after them; None where it gave what is expected.
    """

    name: str
    refused: bool = False
    rewritten: bool = False
    error: str | None = None


def try_case(case: Case, passes: Sequence[Pass] = FUSING) -> Outcome:
    """Run a case through the passes, and then by ONNX Runtime with its optimization off."""
    try:
        before = run(case.model, case.feeds)
        onnx.checker.check_model(case.model, full_check=True)
    except Exception:  # an operator or a type that the runtime has not, whatever it raises
        return Outcome(case.name, refused=True)
    if _difference(before, case):
        return Outcome(case.name, refused=True)
    try:
        model, steps = optimize(case.model, passes)
        error = _difference(run(model, case.feeds), case)
    except Exception as caught:  # any error is a failure of the passes
        return Outcome(case.name, rewritten=True, error=f"{type(caught).__name__}: {caught}")
    return Outcome(case.name, rewritten=bool(steps), error=error)


def _difference(outputs: list[Array], case: Case) -> str | None:
    """How outputs differ from what is expected beyond the tolerance; None where they do not."""
    for found, wanted in zip(outputs, case.expected, strict=True):
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            return f"{found.dtype} {found.shape}, expected {wanted.dtype} {wanted.shape}"
        if found.dtype.kind in "fc":
            if not np.allclose(found, wanted, case.rtol, case.atol, equal_nan=True):
                return f"differs by up to {np.abs(found - wanted).max()}"
        elif not np.array_equal(found, wanted):
            return "differs"
    return None


def _node(operators: Sequence[str] | None) -> Iterator[Case]:
    from onnx.backend.test.case import node
    from onnx.backend.test.loader import load_model_tests

    # A module of cases registers them, with what they must give, when it is imported.
    with np.errstate(all="ignore"), quiet():
        if operators is None:
            found = load_model_tests(kind="node")
        else:
            for name in operators:
                importlib.import_module(f"{node.__name__}.{name}")
            found = list(node._NodeTestCases)
    for test in found:
        if test.model is None or not test.data_sets:
            continue
        inputs, outputs = test.data_sets[0]
        names = [value.name for value in test.model.graph.input]
        feeds = dict(zip(names, inputs, strict=False))
        yield Case(test.name, test.model, feeds, list(outputs), test.rtol, test.atol)


def _stored(kind: str) -> Iterator[Case]:
    from onnx.backend.test.loader import load_model_tests

    for test in sorted(load_model_tests(kind=kind), key=lambda test: str(test.name)):
        folder = Path(str(test.model_dir))
        model = onnx.load(folder / "model.onnx")
        data = folder / "test_data_set_0"
        try:
            inputs, outputs = (
                [_tensor(p) for p in _numbered(data, w)] for w in ("input", "output")
            )
        except (ValueError, TypeError, RuntimeError):  # a sequence or an optional, not a tensor
            continue
        names = [value.name for value in model.graph.input]
        feeds = dict(zip(names, inputs, strict=False))
        yield Case(test.name, model, feeds, outputs, test.rtol, test.atol)


def _light(networks: Sequence[str] | None) -> Iterator[Case]:
    import onnx.backend.test

    folder = Path(str(onnx.backend.test.__file__)).parent / "data" / "light"
    for path in sorted(folder.glob("*.onnx")):
        if networks is not None and path.stem.removeprefix("light_") not in networks:
            continue
        model = onnx.load(path)
        constants = {tensor.name for tensor in model.graph.initializer}
        feeds = {}
        for value in model.graph.input:
            if value.name not in constants:
                shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
                count = int(np.prod(shape))
                feeds[value.name] = (np.arange(count).reshape(shape) / count).astype(np.float32)
        expected = _tensor(path.with_name(f"{path.stem}_output_0.pb"))
        yield Case(path.stem, model, feeds, [expected], 1e-3, 1e-7)


def _numbered(folder: Path, what: str) -> list[Path]:
    return sorted(folder.glob(f"{what}_*.pb"), key=lambda p: int(p.stem.rsplit("_", 1)[1]))


def _tensor(path: Path) -> Array:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)
