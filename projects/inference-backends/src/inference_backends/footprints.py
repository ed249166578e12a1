"""What a session costs in memory and in time to compile, seen in a fresh process."""

import gc
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cloudpickle
import torch
from torch import nn

from inference_backends.backends import Batch, Precision, make_backend


@dataclass(frozen=True)
class Footprint:
    """What a session costs a process that has nothing but PyTorch and the module in it.

    Parameters
    ----------
    compile_s : seconds from the module to the session, the runtime's own import counted in.
    peak_bytes : growth of the resident memory at its highest, compiling counted in.
    held_bytes : growth once the session has run the batch.
    """

    compile_s: float
    peak_bytes: int
    held_bytes: int


def footprint(
    backend: str,
    model: nn.Module,
    example: Batch,
    precision: Precision,
    threads: int,
    batch: int = 64,
    timeout_s: float = 600.0,
) -> Footprint:
    """Compile in a fresh Python process, and see its time and memory there.

    Nothing that another runtime has loaded or cached counts in: the kernels that PyTorch's
    compiler keeps on disk are put into an empty folder. Raises RuntimeError with the last line of
    what the process said if it fails, or after `timeout_s` seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder) / "task"
        task.write_bytes(
            cloudpickle.dumps((backend, model, example, precision, threads, batch), protocol=5)
        )
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(Path(folder) / "kernels")}
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__, str(task)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{backend} {precision}: not done in {timeout_s:g} s") from None
        answer = task.with_suffix(".json")
        if done.returncode or not answer.is_file():
            said = done.stderr.strip().splitlines()
            last = said[-1] if said else f"exit status {done.returncode}"
            raise RuntimeError(f"{backend} {precision} in a process of its own: {last}")
        return Footprint(**json.loads(answer.read_text()))


def _measure_here(task: Path) -> None:
    """The fresh process: reads its task, writes the answer beside it."""
    backend, model, example, precision, threads, batch = cloudpickle.loads(task.read_bytes())
    torch.set_num_threads(threads)
    with torch.no_grad():
        model(torch.from_numpy(example[:1]))
    gc.collect()
    before, _ = resident()
    session = make_backend(backend).compile(model, example, precision, threads)
    session.prepare(batch)
    gc.collect()
    after, peak = resident()
    answer = Footprint(session.info().compile_s, max(0, peak - before), max(0, after - before))
    task.with_suffix(".json").write_text(json.dumps(asdict(answer)))


def resident() -> tuple[int, int]:
    """Resident bytes of the process: now, and at their highest."""
    import psutil

    now = psutil.Process().memory_info().rss
    status = Path("/proc/self/status")
    if status.exists():  # the other way counts what the parent held before exec
        words = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return now, 1024 * int(words.split()[1])
    if sys.platform == "win32":
        return now, psutil.Process().memory_info().peak_wset
    import resource

    return now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    _measure_here(Path(sys.argv[1]))
