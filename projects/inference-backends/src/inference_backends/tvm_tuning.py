"""MetaSchedule's search for good loops, the log that it leaves, and a device across the network.

MetaSchedule draws schedules for a loop nest (tiles, vectors, threads, unrolling), measures them on
the machine, and learns to guess which of the next ones are worth a measurement. Every measurement
goes into the log at once: a folder of two JSON files, from which a network is compiled later with
no further measurement, and from which an interrupted search goes on.

Junru Shao and others, *Tensor program optimization with probabilistic programs*, 2022; Tianqi Chen
and others, *Learning to optimize tensor programs*, 2018.
"""

import contextlib
import json
import math
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundwork import files
from inference_backends.backends.base import Batch
from inference_backends.quiet import quiet
from inference_backends.tvm_compiling import LOG_FILES, Threads, is_log, read_log

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tvm
    from tvm import relax, rpc
    from tvm.ir.utils import derived_object
    from tvm.rpc.server import Server
    from tvm.rpc.tracker import Tracker
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.analysis import estimate_tir_flops
    from tvm.s_tir.meta_schedule.builder import local_builder
    from tvm.s_tir.meta_schedule.runner import local_runner
    from tvm.support.popen_pool import MapResult, PopenPoolExecutor, StatusKind

#: A measurement that failed is written into the log with more seconds than this.
_FAILED = 1e9
#: Candidates that are compiled together and then measured, before the next ones are drawn: at
#: least, and at most.
_ROUND = (8, 16)
#: Which tasks of a log were searched to the end, and for how many trials.
_FINISHED = "finished.json"


# Tasks and their log


@dataclass(frozen=True)
class Task:
    """A loop nest to search a schedule for.

    Parameters
    ----------
    name : the operations fused in it; label : kernel, channels and pixels of a convolution.
    calls : how often the network has it.
    flop : floating-point operations of one call.
    nest : the nest as TVM's module; key : under which the log has it.
    """

    name: str
    label: str
    calls: int
    flop: float
    nest: Any
    key: str


def find_tasks(nests: Any, target: Any, share: float = 0.01) -> list[Task]:
    """The distinct nests of a network (from `tvm_compiling.fuse_layers`), most work first.

    Those with less than this share of the work are left as they are.
    """
    found = []
    for task in ms.relax_integration.extract_tasks(nests, target):
        nest = task.dispatched[0]
        flop = float(estimate_tir_flops(nest))
        key = str(ms.database.Workload(nest).as_json()[0])
        name = str(task.task_name)
        found.append(Task(name, _label(nest, name), int(task.weight), flop, nest, key))
    whole = sum(task.calls * task.flop for task in found)
    kept = [task for task in found if task.calls * task.flop >= share * whole]
    return sorted(kept, key=lambda task: -task.calls * task.flop)


def trials_of(log: Path, task: Task) -> list[float]:
    """Seconds of every schedule that was measured, in order; infinite for one that failed."""
    if not is_log(log):
        return []
    loops, measured = ((log / name).read_text().splitlines() for name in LOG_FILES)
    numbers = {k for k, line in enumerate(loops) if str(json.loads(line)[0]) == task.key}
    seconds = []
    for line in measured:
        number, record = json.loads(line)
        if number in numbers:
            mean = float(np.mean(record[1])) if record[1] else math.inf
            seconds.append(mean if mean < _FAILED else math.inf)
    return seconds


def tune(
    tasks: Sequence[Task],
    target: Any,
    log: Path,
    trials: int,
    *,
    seed: int,
    workers: "Workers",
    population: int = 128,
    progress: Callable[[Sequence[Task]], Iterable[Task]] = iter,
) -> int:
    """Search schedules for the tasks one after the other; returns how many were measured now.

    Parameters
    ----------
    log : the folder of the log; what it has counts, so that a finished task costs nothing and an
        interrupted one gets the trials that are left.
    trials : schedules to measure for each task; fewer where a nest has no more.
    seed : of the draws; the measured times, and so the course of the search, differ all the same.
    workers : processes that compile and measure.
    population : schedules that one generation of the search holds.
    progress : wraps the tasks, to show how far it is.

    Raises ValueError for trials below 1.
    """
    if trials < 1:
        raise ValueError(f"trials = {trials}; 1 or more is taken")
    log.mkdir(parents=True, exist_ok=True)
    model = ms.CostModel.create("xgb", num_tuning_cores=workers.processes)
    once = min(max(trials // 4, _ROUND[0]), _ROUND[1])  # so that the search learns some times
    count = 0
    for number, task in enumerate(progress(tasks)):
        before = len(trials_of(log, task))
        left = trials - before
        if left <= 0 or _finished(log).get(task.key, 0) >= trials:
            continue
        with _no_intrinsics():
            context = ms.TuneContext(
                mod=task.nest,
                target=target,
                space_generator=ms.space_generator.PostOrderApply(
                    sch_rules="llvm", postprocs="llvm", mutator_probs="llvm"
                ),
                search_strategy=ms.search_strategy.EvolutionarySearch(
                    population_size=population, init_min_unmeasured=once, genetic_num_iters=3
                ),
                task_name=task.name,
                rand_state=1 + 1_000_003 * seed + 1009 * number + before,
                num_threads=workers.processes,
            )
        database = ms.database.JSONDatabase(*(str(log / name) for name in LOG_FILES))
        with quiet():
            ms.tune.tune_tasks(
                tasks=[context],
                task_weights=[1.0],
                work_dir=str(log),
                max_trials_global=left,
                num_trials_per_iter=min(left, once),
                builder=workers.builder,
                runner=workers.runner,
                database=database,
                cost_model=model,
                task_scheduler="round-robin",
            )
        count += len(trials_of(log, task)) - before
        files.write_json(log / _FINISHED, _finished(log) | {task.key: trials})
    return count


def publish(log: Path, tasks: Sequence[Task], target: Any, place: Path) -> int:
    """Add the best schedule of each task to another log where it has none as good.

    Returns how many were added.
    """
    place.mkdir(parents=True, exist_ok=True)
    source, kept = read_log(log), ms.database.JSONDatabase(*(str(place / n) for n in LOG_FILES))
    count = 0
    for task in tasks:
        record = source.query_tuning_record(task.nest, target, task.name)
        if record is None or min(trials_of(place, task), default=math.inf) <= _seconds(record):
            continue
        workload = kept.commit_workload(task.nest)
        kept.commit_tuning_record(
            ms.database.TuningRecord(
                record.trace, workload, record.run_secs, record.target, record.args_info
            )
        )
        count += 1
    return count


@contextlib.contextmanager
def _no_intrinsics() -> Iterator[None]:
    """Leave out TVM's tensor intrinsics, of which a search in float32 uses none.

    They are parsed for all devices when the first search begins, which takes most of a minute.
    """
    name = "tvm.s_tir.tensor_intrin"
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = types.ModuleType(name)
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]


def _label(nest: Any, name: str) -> str:
    """The kernel, the channels and the output's pixels of a convolution, channels last."""
    told = ms.arg_info.ArgInfo.from_prim_func(nest["main"])
    shapes = [[int(n) for n in info.shape] for info in told]
    if "conv2d" not in name or len(shapes) < 3 or len(shapes[1]) != 4:
        return name
    weight, outputs = shapes[1], shapes[-1]
    kernel, channels, pixels = weight[:2], weight[2:], outputs[1:3]
    residual = " + input" if shapes.count(outputs) > 1 and len(shapes) > 4 else ""
    return f"{kernel[0]}×{kernel[1]}, {channels[0]}→{channels[1]}, {pixels[0]}²{residual}"


def _finished(log: Path) -> dict[str, int]:
    path = log / _FINISHED
    return json.loads(path.read_text()) if path.is_file() else {}


def _seconds(record: Any) -> float:
    return float(np.mean([float(s) for s in record.run_secs]))


# The processes that compile and measure


class Workers:
    """Processes that compile candidates side by side and measure them one at a time.

    MetaSchedule's own builder starts new processes for every round, each of which loads TVM first;
    these stay, and are replaced after some hundred candidates. They end with the context.

    Parameters
    ----------
    threads : that a candidate is measured on; processes : that compile.
    timeout_s : seconds that compiling or measuring one candidate may take.
    """

    def __init__(self, threads: int, processes: int = 2, timeout_s: float = 120.0) -> None:
        self.threads, self.processes = threads, processes
        self._pool = PopenPoolExecutor(
            max_workers=processes, timeout=timeout_s, maximum_process_uses=256
        )
        for _ in range(processes):  # so that they load TVM while the caller does something else
            self._pool.submit(_load)
        self.builder = _Builder(self._pool)
        self.runner = _Runner(self._pool, threads)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


@derived_object
class _Builder(ms.builder.PyBuilder):
    def __init__(self, pool: PopenPoolExecutor) -> None:
        super().__init__()
        self.pool = pool

    def build(self, build_inputs: list[Any]) -> list[Any]:
        work = [(given.mod, given.target) for given in build_inputs]
        results = self.pool.map_with_error_catching(_compile, work)
        return [
            ms.builder.BuilderResult(result.value, None)
            if result.status == StatusKind.COMPLETE
            else ms.builder.BuilderResult(None, _why(result))
            for result in results
        ]


@derived_object
class _Runner(ms.runner.PyRunner):
    def __init__(self, pool: PopenPoolExecutor, threads: int) -> None:
        super().__init__()
        self.pool = pool
        self.threads = threads

    def run(self, runner_inputs: list[Any]) -> list[Any]:
        futures = []
        for given in runner_inputs:
            told = tuple(info.as_json() for info in given.args_info)
            work = [(str(given.artifact_path), told, self.threads)]
            (result,) = self.pool.map_with_error_catching(_measure, work)
            done = result.status == StatusKind.COMPLETE
            futures.append(
                local_runner.LocalRunnerFuture(
                    result.value if done else None, None if done else _why(result)
                )
            )
        return futures


def _why(result: MapResult) -> str:
    return "timeout" if result.status == StatusKind.TIMEOUT else str(result.value)


def _load() -> None:
    """What a process does first: importing this module."""


def _compile(work: tuple[Any, Any]) -> str:
    module, target = work
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return local_builder.default_export(tvm.tirx.build(module, target=target))


def _measure(work: tuple[str, Any, int]) -> list[float]:
    path, told, threads = work
    device = tvm.runtime.device("cpu", 0)
    module = tvm.runtime.load_module(path)
    config = ms.runner.EvaluatorConfig(number=3, repeat=1, min_repeat_ms=20)
    arguments = local_runner.default_alloc_argument(device, told, 1)
    costs: list[float] = Threads(threads)(
        local_runner.default_run_evaluator, module, device, config, arguments
    )
    return [float(seconds) for seconds in costs]


# A device across the network


@dataclass(frozen=True)
class Remote:
    """What a device answered: logits, and the median seconds of a call, measured on the device."""

    logits: Batch
    seconds: float


@contextlib.contextmanager
def device(threads: int) -> Iterator[Callable[[Any, Batch, Path], Remote]]:
    """A tracker and a server of TVM's RPC on 127.0.0.1, as a network of edge devices has them.

    Yields a function of (executable, batch, path for the file) that exports the network, uploads
    it, and runs and times it there. Both processes end with the context.

    The protocol runs whatever it is sent: keep it in a network that you trust.
    """

    def set_threads() -> None:  # in the server, before TVM makes its pool there
        import os

        os.environ.update(TVM_NUM_THREADS=str(threads), TVM_BIND_THREADS="0")

    tracker = Tracker("127.0.0.1", port=9190, port_end=9990, silent=True)
    try:
        address = ("127.0.0.1", tracker.port)
        server = Server(
            "127.0.0.1",
            9090,
            9990,
            tracker_addr=address,
            key="groundwork",
            silent=True,
            server_init_callback=set_threads,
        )
        try:
            yield partial(_run_there, address)
        finally:
            server.terminate()
    finally:
        tracker.terminate()


def _run_there(address: tuple[str, int], executable: Any, batch: Batch, path: Path) -> Remote:
    session = rpc.connect_tracker(*address).request("groundwork", session_timeout=120)
    executable.export_library(str(path))
    session.upload(bytearray(path.read_bytes()), path.name)
    place = session.cpu(0)
    machine = relax.VirtualMachine(session.load_module(path.name), place)
    machine.set_input("main", tvm.runtime.tensor(batch, place))
    machine.invoke_stateful("main")
    logits = machine.get_outputs("main").numpy()
    timer = machine.time_evaluator("invoke_stateful", place, number=10, repeat=5)
    return Remote(logits, float(timer("main").median))
