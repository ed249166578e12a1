"""ONNX Runtime's settings as one value, and where a session's time goes by operator."""

import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from inference_backends.backends.base import Batch, Precision, SessionInfo
from inference_backends.backends.onnx_runtime import OnnxRuntimeSession, open_session

if TYPE_CHECKING:
    import onnxruntime

Level = Literal["off", "basic", "extended", "all"]
#: Our names of the levels of graph optimization → the runtime's.
LEVELS: dict[Level, str] = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


@dataclass(frozen=True)
class Setting:
    """What a session is opened with.

    Parameters
    ----------
    level : of graph optimization. *basic* folds constants and drops what does nothing; *extended*
        fuses operators; *all* also lays the channels in blocks of a vector's length.
    threads : within an operator.
    spinning : whether idle threads wait in a loop for the next work, rather than sleep.
    arena : whether memory is kept between calls and planned ahead.
    """

    level: Level = "all"
    threads: int = 1
    spinning: bool = True
    arena: bool = True

    def apply(self, options: "onnxruntime.SessionOptions") -> None:
        """Set the runtime's options."""
        import onnxruntime

        levels: Any = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = getattr(levels, LEVELS[self.level])
        options.enable_cpu_mem_arena = self.arena
        options.enable_mem_pattern = self.arena
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(self.spinning)))


def make_session(
    content: bytes, shape: tuple[int, ...], setting: Setting, precision: Precision = "fp32"
) -> OnnxRuntimeSession:
    """A session for an ONNX model that takes images of this shape.

    Raises ValueError for a level that there is not, or threads below 1.
    """
    if setting.level not in LEVELS:
        raise ValueError(f"level {setting.level!r}; {', '.join(LEVELS)} are taken")
    if setting.threads < 1:
        raise ValueError(f"threads = {setting.threads}; 1 or more is taken")
    import onnxruntime

    session = open_session(content, setting.threads, setting.apply)
    info = SessionInfo(
        "onnxruntime",
        onnxruntime.__version__,
        precision,
        precision,
        setting.threads,
        len(content),
        0.0,
    )
    return OnnxRuntimeSession(session, shape, info)


def operator_times(
    content: bytes, setting: Setting, batch: Batch, calls: int = 10
) -> dict[str, float]:
    """Milliseconds of a call by kind of operator, the largest first, from the runtime's profile.

    The graph is what the optimization made of it: a fused operator has a name of its own. The first
    two calls, in which memory is planned, are left out.
    """
    if calls < 1:
        raise ValueError(f"calls = {calls}; 1 or more is taken")
    with tempfile.TemporaryDirectory() as folder:

        def change(options: "onnxruntime.SessionOptions") -> None:
            setting.apply(options)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")

        session = open_session(content, setting.threads, change)
        name = session.get_inputs()[0].name
        for _ in range(calls + 2):
            session.run(None, {name: batch})
        events = json.loads(Path(session.end_profiling()).read_text())
    seen: defaultdict[str, list[float]] = defaultdict(list)
    kinds: dict[str, str] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            seen[event["name"]].append(event["dur"] / 1000)
            kinds[event["name"]] = event["args"]["op_name"]
    total: defaultdict[str, float] = defaultdict(float)
    for node, spent in seen.items():
        total[kinds[node]] += float(np.median(spent[-calls:]))
    return dict(sorted(total.items(), key=lambda item: -item[1]))
