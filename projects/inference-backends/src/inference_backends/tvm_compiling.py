"""A PyTorch module as machine code by TVM and LLVM, with or without schedules from a tuning log.

TVM writes each layer as a loop nest. Compiled as they stand, the loops of a convolution run one
number at a time on one thread, tens of times slower than a library's. A *schedule* says how a nest
is cut into tiles, vectors and threads; `inference_backends.tvm_tuning` searches for good ones.

Tianqi Chen and others, *TVM: an automated end-to-end optimizing compiler for deep learning*, 2018.
"""

import hashlib
import json
import os
import tempfile
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import nn

from inference_backends.backends.base import Batch, UnsupportedError
from inference_backends.exporting import export_program
from inference_backends.quiet import quiet

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tvm
    from tvm import relax
    from tvm.relax.backend.cpu_generic import pipeline as cpu
    from tvm.relax.expr_functor import PyExprMutator, mutator
    from tvm.s_tir import dlight
    from tvm.s_tir import meta_schedule as ms

#: How a network is compiled: as `tvm.compile` does by default, with layers fused, and with the
#: schedules that TVM has for CPUs without a search.
Pipeline = Literal["default", "fused", "rules"]
#: The two files of MetaSchedule's log: loop nests, and schedules measured for them.
LOG_FILES = ("database_workload.json", "database_tuning_record.json")


# A network in TVM


def cpu_target(threads: int) -> Any:
    """The CPU of this machine, as a target of code for so many threads."""
    name = tvm.get_global_func("tvm.codegen.llvm.GetHostCPUName")()
    return tvm.target.Target({"kind": "llvm", "mcpu": str(name), "num-cores": threads})


def target_key(target: Any) -> str:
    """A short name of a target and of TVM's version, for a folder of the logs that fit them."""
    told = json.dumps([tvm.__version__, str(target)])
    return f"{target.attrs['mcpu']}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def import_network(model: nn.Module, example: Batch) -> Any:
    """The module as TVM's graph, batch norms folded, with a symbolic number of images.

    Parameters
    ----------
    model : in evaluation mode, takes (n, channels, height, width); not changed.
    example : images of the shape that it takes.

    Raises ValueError and UnsupportedError as `exporting.export_program`, and UnsupportedError
    where TVM has no form of an operation.
    """
    from tvm.relax.frontend.torch import from_exported_program

    program = export_program(_fold(model), example)
    try:
        with quiet():
            return from_exported_program(program, unwrap_unit_return_tuple=True)
    except Exception as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise UnsupportedError(
            f"TVM has no form of an operation of the network ({line}); eager, compile and "
            "aot-inductor take it"
        ) from error


def bind_batch(network: Any, size: int) -> Any:
    """The graph for exactly `size` images at a time, constants computed."""
    images = network["main"].params[0].ty
    symbol = str(images.shape[0])
    bound = relax.transform.BindSymbolicVars({symbol: size}, "main")(network)
    return _fold_constants(bound)


def last_channels(network: Any) -> Any:
    """The graph with the channels last, so that a vector holds output channels."""
    wanted = {"relax.nn.conv2d": ["NHWC", "HWIO"]}
    return _fold_constants(relax.transform.ConvertLayout(wanted)(network))


def fuse_layers(network: Any, target: Any) -> Any:
    """Each operation as a loop nest, with those fused that follow a convolution one by one.

    The names of the nests tell what was fused.
    """
    with target, quiet():
        return tvm.transform.Sequential(
            [
                *cpu.library_dispatch_passes(target),
                relax.transform.LegalizeOps(),
                relax.transform.AnnotateTIROpPattern(),
                relax.transform.FuseOps(),
                relax.transform.FuseTIR(),
            ]
        )(network)


def build(network: Any, target: Any, pipeline: Pipeline = "default") -> Any:
    """Compile as TVM does without a search; `network` is from `bind_batch`."""
    if pipeline == "default":
        with quiet():
            return tvm.compile(network, target)
    fused = fuse_layers(network, target)
    if pipeline == "rules":
        with target:
            fused = dlight.ApplyDefaultSchedule(dlight.cpu.GEMV(), dlight.cpu.Reduction())(fused)
    return _lower(fused, target)


def build_tuned(fused: Any, target: Any, log: Path) -> Any:
    """Compile what `fuse_layers` gave, each nest by the best schedule of the log.

    A nest that the log does not know is compiled as it stands.
    """
    with target, read_log(log), quiet():
        scheduled = relax.transform.MetaScheduleApplyDatabase()(fused)
    return _lower(scheduled, target)


def library_bytes(executable: Any) -> int:
    """The size of the file to deploy: machine code for one number of images, and the weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tar"
        executable.export_library(str(path))
        return path.stat().st_size


class Network:
    """A network and its machine code by the number of images.

    Parameters
    ----------
    graph : from `import_network`; target : from `cpu_target`; log : the folder of a tuning log.
    """

    def __init__(self, graph: Any, target: Any, log: Path) -> None:
        self.graph, self.target, self.log = graph, target, log
        self._executables: dict[int, Any] = {}
        self._compiling = threading.Lock()

    def nests(self, size: int) -> Any:
        """The loop nests for so many images at a time."""
        return fuse_layers(last_channels(bind_batch(self.graph, size)), self.target)

    def executable(self, size: int) -> Any:
        """The code for so many images at a time, compiled where it is not there yet."""
        with self._compiling:
            if size not in self._executables:
                built = build_tuned(self.nests(size), self.target, self.log)
                self._executables[size] = built
            return self._executables[size]


def _lower(module: Any, target: Any) -> Any:
    steps = [*cpu.dataflow_lower_passes(target), *cpu.finalize_passes(target)]
    with quiet():
        return tvm.compile(module, target, relax_pipeline=tvm.transform.Sequential(steps))


def _fold(model: nn.Module) -> nn.Module:
    """A copy with batch norms in the convolutions before them; as it is where none can be found."""
    from torch.fx.experimental.optimization import fuse

    try:
        with quiet():
            return fuse(model)
    except Exception:
        return model


@mutator
class _Folder(PyExprMutator):
    """Computes a constant's new shape or order in NumPy: TVM's own pass compiles code for each."""

    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        name = getattr(call.op, "name", "")
        if name not in ("relax.reshape", "relax.permute_dims"):
            return call
        value = call.args[0]
        if isinstance(value, relax.Var):
            value = self.lookup_binding(value)
        if not isinstance(value, tvm.ir.GenericConst):
            return call
        array = value.value.numpy()
        if name == "relax.reshape":
            array = array.reshape([int(n) for n in call.ty.shape])
        else:
            array = array.transpose(None if call.attrs.axes is None else list(call.attrs.axes))
        return relax.const(np.ascontiguousarray(array))


def _fold_constants(module: Any) -> Any:
    folder = _Folder(module)
    for name, function in module.functions_items():
        if isinstance(function, relax.Function):
            folder.builder_.update_func(
                name, relax.analysis.remove_all_unused(folder.visit_expr(function))
            )
    return folder.builder_.get()


def caller(executable: Any, threads: int) -> Callable[[Batch], Batch]:
    """A function of as many images as the code was made for, that gives the logits."""
    function = relax.VirtualMachine(executable, tvm.cpu())["main"]
    on_threads = Threads(threads)

    def call(batch: Batch) -> Batch:
        logits: Batch = on_threads(function, tvm.runtime.tensor(batch)).numpy()
        return logits

    return call


# The log


def is_log(folder: Path) -> bool:
    """Whether the folder holds a tuning log."""
    return all((folder / name).is_file() for name in LOG_FILES)


def read_log(log: Path) -> Any:
    """MetaSchedule's database of a log; an empty one in memory where there is none."""
    if not is_log(log):
        return ms.Database.create("memory")
    return ms.database.JSONDatabase(*(str(log / name) for name in LOG_FILES), allow_missing=False)


# Threads


_POOLS = threading.local()


class Threads:
    """Calls TVM's code on so many threads, whatever thread the caller is.

    TVM keeps a pool of workers for each calling thread, whose size is fixed when it is first used;
    how many of them work is set for each call that wants another number. A caller whose pool is too
    small gets the call made in a thread of its own.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._own: ThreadPoolExecutor | None = None

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's answer."""
        if getattr(_POOLS, "count", 0) == self.count or self._set():
            return function(*arguments)
        if self._own is None:
            self._own = ThreadPoolExecutor(1, initializer=self._set)
        return self._own.submit(function, *arguments).result()

    def _set(self) -> bool:
        """Set this thread's pool to the count; False where it is too small."""
        configure = tvm.get_global_func("runtime.config_threadpool")
        count_workers = tvm.get_global_func("runtime.NumThreads")
        ours = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
        cores = [str(core) for core in sorted(ours)] * -(-self.count // len(ours))
        share_all_cores = -3  # of TVM's modes the one that ties no worker to a core
        configure(share_all_cores, self.count, cores)  # the first time this makes the pool
        _POOLS.count = int(count_workers())
        return _POOLS.count == self.count
