"""Compile the kernels for aarch64: four ways to write or to compile the same two functions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from inference_backends.arm.tools import Tools, run

SOURCES = Path(__file__).with_name("sources")
Kernel = Literal["dot", "depthwise"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)


@dataclass(frozen=True)
class Build:
    """A way to have the kernels.

    source : the file; options : the compiler's; dotprod : whether it needs the extension;
    words : what it is.
    """

    name: str
    source: str
    options: tuple[str, ...]
    dotprod: bool
    words: str


_BASE, _DOTPROD = "generic", "generic+dotprod"
BUILDS: dict[str, Build] = {
    entry.name: entry
    for entry in (
        Build("plain", "plain.c", ("-fno-vectorize", "-fno-slp-vectorize"), False, "C, no vectors"),
        Build("vectorized", "plain.c", (), False, "C, the compiler's vectors"),
        Build("neon", "neon.c", (), False, "NEON, widening"),
        Build("dotprod", "dotprod.c", (), True, "dot-product extension"),
    )
}


def build_flags(entry: Build) -> list[str]:
    """What the compiler is told beside the sources."""
    core = _DOTPROD if entry.dotprod else _BASE
    return ["-O3", "-g0", f"-mcpu={core}", *entry.options]


def build(tools: Tools, entry: Build, folder: Path) -> Path:
    """A static program for Linux on aarch64, without a C library; see `sources/bare.c`.

    Raises RuntimeError with the compiler's word where it fails.
    """
    target = folder / f"kernels-{entry.name}"
    run(
        [
            *tools.compiler, "cc", "-target", "aarch64-linux-none", "-nostdlib", "-static",
            "-ffreestanding", "-fno-sanitize=undefined", "-fno-stack-protector",
            "-Wl,--entry=start", "-Wall", "-Werror", *build_flags(entry),
            "-o", str(target), str(SOURCES / "bare.c"), str(SOURCES / entry.source),
        ]
    )  # fmt: skip
    return target
