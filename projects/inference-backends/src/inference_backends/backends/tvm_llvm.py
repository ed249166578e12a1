"""TVM with LLVM on the CPU: machine code made for one network and one number of images.

Batch norms are folded and the channels put last; then each loop nest is compiled by the best
schedule that a tuning log has for it (`inference_backends.tvm_tuning` makes one), or as it stands
where the log has none, which is tens of times slower. Code is made for every number of images that
comes, on its first batch, and kept.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from groundwork.data import fetch
from inference_backends.backends.base import Backend, Batch, Precision, Session, SessionInfo

if TYPE_CHECKING:
    from inference_backends.tvm_compiling import Network


class Tvm(Backend):
    """Apache TVM's LLVM code generator.

    Parameters
    ----------
    database : a folder with the tuning log of MetaSchedule (`database_workload.json` and
        `database_tuning_record.json`); None: the one in the user's cache that was tuned for this
        CPU, this many threads and this version of TVM, where there is one.
    """

    name = "tvm"
    precisions = ("fp32",)

    def __init__(self, database: Path | None = None) -> None:
        self.database = database

    def absent(self) -> str | None:
        """TVM and the library that it calls its own code by."""
        for module, library in (("tvm", "apache-tvm"), ("tvm_ffi", "apache-tvm-ffi")):
            if importlib.util.find_spec(module) is None:
                return f"{library} is not installed"
        return None

    def _compile(
        self,
        model: nn.Module,
        example: Batch,
        precision: Precision,
        threads: int,
        elapsed: Callable[[], float],
    ) -> Session:
        import tvm

        from inference_backends import tvm_compiling

        if self.database is not None and not tvm_compiling.is_log(self.database):
            raise ValueError(
                f"{self.database} is no tuning log; a folder with "
                f"{' and '.join(tvm_compiling.LOG_FILES)} is taken"
            )
        network = tvm_compiling.Network(
            tvm_compiling.import_network(model, example),
            tvm_compiling.cpu_target(threads),
            self.database or default_database(threads),
        )
        info = SessionInfo(
            self.name,
            tvm.__version__,
            precision,
            "fp32",
            threads,
            tvm_compiling.library_bytes(network.executable(len(example))),
            elapsed(),
        )
        return TvmSession(network, example.shape[1:], info)


class TvmSession(Session):
    """A network's code, called with as many images as come."""

    def __init__(self, network: "Network", shape: tuple[int, ...], info: SessionInfo) -> None:
        super().__init__(shape, info)
        self._network = network
        self._calls: dict[int, Callable[[Batch], Batch]] = {}

    def _run(self, batch: Batch) -> Batch:
        call = self._calls.get(len(batch))
        if call is None:
            from inference_backends.tvm_compiling import caller

            call = caller(self._network.executable(len(batch)), self._info.threads)
            self._calls[len(batch)] = call
        return call(batch)


def default_database(threads: int) -> Path:
    """The folder in the user's cache for the log of this machine's CPU and so many threads."""
    from inference_backends import tvm_compiling

    return fetch.cache() / "tvm" / tvm_compiling.target_key(tvm_compiling.cpu_target(threads))
