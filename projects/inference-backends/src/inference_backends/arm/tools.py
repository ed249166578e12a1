"""The programs that the study needs, and which Debian package brings each."""

import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from groundwork.errors import UsageError


@dataclass(frozen=True)
class Tools:
    """Command lines of the compiler, the emulator, the predictor and the disassembler.

    versions : of each, as it tells it itself.
    """

    compiler: tuple[str, ...]
    emulator: tuple[str, ...]
    predictor: tuple[str, ...]
    disassembler: tuple[str, ...]

    def versions(self) -> dict[str, str]:
        """Name → version."""
        return {
            "zig": run([*self.compiler[:3], "version"]).strip(),
            "qemu": _number(run([*self.emulator, "--version"])),
            "llvm-mca": _number(run([*self.predictor, "--version"])),
        }


def find_tools() -> Tools:
    """The newest of each that is on the path.

    Raises UsageError that names what is missing and the Debian packages that have it.
    """
    wanted = {
        "ziglang": _ziglang(),
        "qemu-aarch64": _newest("qemu-aarch64") or _newest("qemu-aarch64-static"),
        "llvm-mca": _newest("llvm-mca"),
        "llvm-objdump": _newest("llvm-objdump"),
    }
    packages = {
        "ziglang": "ziglang (from PyPI)",
        "qemu-aarch64": "qemu-user",
        "llvm-mca": "llvm",
        "llvm-objdump": "llvm",
    }
    missing = [name for name, found in wanted.items() if not found]
    if missing:
        needed = ", ".join(dict.fromkeys(packages[name] for name in missing))
        raise UsageError(
            f"not on this machine: {', '.join(missing)}; the Debian packages that bring them: "
            f"{needed}"
        )
    return Tools(*(tuple(found) for found in wanted.values() if found))


def run(words: list[str], given: bytes = b"") -> str:
    """What a program writes; raises RuntimeError with its last line where it fails."""
    done = subprocess.run(words, input=given, capture_output=True)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        told = [line for line in lines if "error" in line] or lines[-1:] or ["no word"]
        raise RuntimeError(f"{Path(words[0]).name} ended with {done.returncode}: {told[0]}")
    return done.stdout.decode()


def _ziglang() -> list[str]:
    found = importlib.util.find_spec("ziglang")
    return [sys.executable, "-m", "ziglang"] if found else []


def _newest(name: str) -> list[str]:
    """`name`, or `name-19` and the like, whichever has the largest number."""
    numbered = [(k, shutil.which(f"{name}-{k}")) for k in range(40, 10, -1)]
    found = next((path for _, path in numbered if path), None) or shutil.which(name)
    return [found] if found else []


def _number(text: str) -> str:
    """The first version number in a text."""
    found = re.search(r"\d+\.\d+(\.\d+)?", text)
    return found.group() if found else "unknown"
