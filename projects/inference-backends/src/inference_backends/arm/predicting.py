"""Predict the cycles of an inner loop on a real core, from the core's scheduling model.

LLVM keeps, for each core, what unit an instruction occupies, for how long, and after how many
cycles its result is there. `llvm-mca` plays a loop through such a model: every load hits the
first-level cache, every branch is foretold.

Andrea Di Biagio and Matt Davis, *llvm-mca: a static performance analysis tool*, 2018.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from inference_backends.arm.emulating import Trace, symbol
from inference_backends.arm.tools import Tools, run

_ITERATIONS = 400
#: Bytes of a register by its first letter.
_BYTES = {"q": 16, "d": 8, "s": 4, "h": 2, "b": 1, "x": 8, "w": 4}


@dataclass(frozen=True)
class Core:
    """A core.

    name : as LLVM calls it; dotprod : whether it has the extension; found_in : where.
    """

    name: str
    dotprod: bool
    found_in: str


CORES: dict[str, Core] = {
    core.name: core
    for core in (
        Core("cortex-a53", False, "Raspberry Pi 3"),
        Core("cortex-a55", True, "phones' small cores"),
        Core("cortex-a72", False, "Raspberry Pi 4"),
        Core("neoverse-n1", True, "servers; the Raspberry Pi 5's Cortex-A76 is its twin"),
    )
}


@dataclass(frozen=True)
class Loop:
    """An inner loop as it was executed.

    lines : its instructions, in assembly; macs, loaded : multiplications of the problem, and
    bytes loaded, in one pass; share : of all instructions executed in the function.
    """

    lines: tuple[str, ...]
    macs: float
    loaded: int
    share: float


@dataclass(frozen=True)
class Prediction:
    """What a model says of a loop.

    cycles : of one pass; macs_per_cycle, bytes_per_cycle : multiplications, and bytes loaded;
    pressure : unit → the share of the cycles in which it is occupied.
    """

    cycles: float
    macs_per_cycle: float
    bytes_per_cycle: float
    pressure: dict[str, float]


def hot_loop(tools: Tools, program: Path, kernel: str, counted: Trace, macs: int) -> Loop:
    """The innermost loop that most instructions are executed in.

    `macs` are the multiplications of the problem that was traced; a pass's part of them follows
    from how often the loop went round. Raises RuntimeError where there is no loop.
    """
    start, size = symbol(tools, program, kernel)
    text = run(
        [
            *tools.disassembler, "-d", "--no-show-raw-insn",
            "--mattr=+dotprod",  # else LLVM 14 reads an extension's instruction as unknown
            f"--start-address={start:#x}", f"--stop-address={start + size:#x}", str(program),
        ]
    )  # fmt: skip
    found = re.findall(r"^\s*([0-9a-f]+):\s+(.+?)\s*$", text, re.MULTILINE)
    lines = {int(address, 16): line.split("//")[0].strip() for address, line in found}
    loops = [
        (target, address)
        for address, line in lines.items()
        if (target := _target(line)) is not None and start <= target <= address
    ]

    def passes(loop: tuple[int, int]) -> int:
        return counted.counts.get(loop[1], 0)

    def weight(loop: tuple[int, int]) -> int:
        return passes(loop) * (loop[1] - loop[0] + 4)

    inner = [a for a in loops if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    if not inner or not max(map(weight, inner)):
        raise RuntimeError(f"{program.name}: {kernel} has no loop that was executed")
    first, last = best = max(inner, key=weight)
    body = [lines[address] for address in range(first, last + 4, 4)]
    inside = sum(n for address, n in counted.counts.items() if first <= address <= last)
    return Loop(
        tuple(_local(line) for line in body),
        macs / passes(best),
        sum(map(loaded_bytes, body)),
        inside / counted.instructions,
    )


def predict(tools: Tools, loop: Loop, core: Core) -> Prediction:
    """Play the loop through the core's model."""
    found = _analyse(tools, loop.lines, core.name)
    cycles = found["SummaryView"]["TotalCycles"] / found["SummaryView"]["Iterations"]
    pressure: dict[str, float] = {}
    total = len(loop.lines)
    for entry in found["ResourcePressureView"]["ResourcePressureInfo"]:
        if entry["InstructionIndex"] == total:  # the sums over all instructions
            unit = found["Resources"][entry["ResourceIndex"]]
            pressure[unit] = entry["ResourceUsage"] / cycles
    return Prediction(cycles, loop.macs / cycles, loop.loaded / cycles, pressure)


@cache
def peak(tools: Tools, core: Core) -> float:
    """8-bit multiplications a cycle that the core's model allows, with nothing else to do."""
    if core.dotprod:
        line, macs = "sdot v{0}.4s, v30.16b, v31.16b", 16
    else:
        line, macs = "smlal v{0}.8h, v30.8b, v31.8b", 8
    body = tuple(line.format(k) for k in range(24))
    summary = _analyse(tools, body, core.name)["SummaryView"]
    return macs * len(body) * summary["Iterations"] / summary["TotalCycles"]


def scheduling_model(tools: Tools, core: Core) -> str:
    """Whose model LLVM uses for the core, by its units' names: some have none of their own."""
    units = _analyse(tools, ("nop",), core.name)["Resources"]
    return str(units[0]).split("Unit")[0]


def loaded_bytes(line: str) -> int:
    """How many bytes an instruction loads: `ldp q0, q1, [x2]` → 32."""
    name, _, operands = line.partition("\t") if "\t" in line else line.partition(" ")
    if not name.startswith("ld"):
        return 0
    if name.endswith(("sb", "rb")):
        return 1
    if name.endswith(("sh", "rh")):
        return 2
    if name.endswith("sw"):
        return 4
    registers = re.findall(r"\b([qdshbxwv])\d+(?:\.(\d+)([bhsd]))?", operands.partition("[")[0])
    sizes = [
        int(count) * _BYTES[lane] if count else _BYTES.get(kind, 16)
        for kind, count, lane in registers
    ]
    return sum(sizes)


def _analyse(tools: Tools, lines: tuple[str, ...], core: str) -> dict[str, Any]:
    text = "loop:\n" + "\n".join(lines) + "\n"
    words = ["-mtriple=aarch64", f"-mcpu={core}", f"-iterations={_ITERATIONS}", "--json"]
    told = json.loads(run([*tools.predictor, *words], text.encode()))
    region: dict[str, Any] = told["CodeRegions"][0]
    # The second unit of a kind comes as the kind, a dot and the byte 1.
    names = [
        re.sub(r"\.([\x00-\x1f])", lambda found: f".{ord(found[1])}", name)
        for name in told["TargetInfo"]["Resources"]
    ]
    return region | {"Resources": names}


def _target(line: str) -> int | None:
    """Where a branch goes."""
    found = re.match(r"(?:b|b\.\w+|cbn?z|tbn?z)\s.*?0x([0-9a-f]+)\s+<", line)
    return int(found[1], 16) if found else None


def _local(line: str) -> str:
    """A line of the disassembly as the assembler reads it."""
    return re.sub(r"0x[0-9a-f]+\s+<.*>", "loop", line)
