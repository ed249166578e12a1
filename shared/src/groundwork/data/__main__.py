"""`python -m groundwork.data --check [NAMES]`: load each data set that is at hand.

It says what is in each; one that is not at hand is named as such and nothing is downloaded for it.
The status is 1 when one that is at hand cannot be loaded, and 2 for a name that is not known.
"""

import sys
from typing import Any

from groundwork import data
from groundwork.data.fetch import at_hand
from groundwork.data.registry import DataError, DataSet


def shape_of(value: Any) -> str:
    """The shape of an array or frame, or the length of anything else."""
    if hasattr(value, "shape"):
        return "×".join(map(str, value.shape))
    if isinstance(value, data.Bunch):
        return "(" + ", ".join(f"{name} {shape_of(part)}" for name, part in value.items()) + ")"
    return f"{len(value)} {type(value).__name__}"


def main(arguments: list[str]) -> int:
    """Check the named data sets, or all; returns the exit status."""
    names = [argument for argument in arguments if argument != "--check"] or data.names()
    try:
        entries = [data.info(name) for name in names]
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    counts = {"ok": 0, "not at hand": 0, "FAILED": 0}
    for entry in entries:
        verdict, text = _check(entry)
        counts[verdict] += 1
        print(f"{entry.name}: {verdict}: {text}")
    print(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
    return 1 if counts["FAILED"] else 0


def _check(entry: DataSet) -> tuple[str, str]:
    lacking = [file.name for file in entry.files if not at_hand(entry, file)]
    if lacking:
        return "not at hand", ", ".join(lacking)
    try:
        loaded = data.load(entry.name)
    except Exception as error:  # whatever is wrong with one, the others are checked
        return "FAILED", f"{type(error).__name__}: {error}"
    return "ok", ", ".join(f"{part} {shape_of(value)}" for part, value in loaded.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
