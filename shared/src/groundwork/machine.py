"""What a number was measured on: the machine, the versions, the commit."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from groundwork.measure import available_cores


def describe_machine() -> dict[str, Any]:
    """The `machine` entry of `run.json`."""
    torch = sys.modules.get("torch")
    return {
        "cpu": _cpu(),
        "cores": available_cores(),
        "memory_gb": _memory_gb(),
        "gpu": torch.cuda.get_device_name(0) if torch and torch.cuda.is_available() else None,
        "os": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "threads": torch.get_num_threads() if torch else available_cores(),
    }


def imported_versions() -> dict[str, str]:
    """The version of every distribution of which a module has been imported, by name."""
    tops = {name.partition(".")[0] for name in sys.modules}
    owners = metadata.packages_distributions()
    names = {owner for top in tops for owner in owners.get(top, ())}
    return {name: metadata.version(name) for name in sorted(names, key=str.lower)}


def commit(root: Path) -> tuple[str | None, bool]:
    """The checkout's commit and whether the work tree differs from it; (None, False) without git.

    Results and pages that are written from runs do not count: a record's own files are no change
    to what was measured.
    """
    written = [":!results", ":!projects/*/results", ":!casestudies/*/results",
               ":!capstones/*/results", ":!*.md"]  # fmt: skip
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head.strip(), bool(_git(root, "status", "--porcelain", "--", ".", *written).strip())
    except (OSError, subprocess.CalledProcessError):
        return None, False


def peak_memory_mb() -> float:
    """The largest resident size of this process, or of an ended child, in MB (10^6 bytes)."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return max(
        resource.getrusage(who).ru_maxrss * unit / 1e6
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *words], check=True, capture_output=True, text=True
    ).stdout


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    if sys.platform == "darwin":
        words = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(words, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None
