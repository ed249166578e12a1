"""`python -m groundwork.data [NAMES]`: load each data set that is at hand and say what is in it.

The status is 1 when one that is at hand cannot be loaded. One that is not is named as such.
"""

import sys
from typing import Any

from groundwork import data
from groundwork.data.fetch import cache, folders


def shape_of(value: Any) -> str:
    """The shape of an array or frame, or the length of anything else."""
    if hasattr(value, "shape"):
        return "×".join(map(str, value.shape))
    if isinstance(value, data.Bunch):
        return "(" + ", ".join(f"{name} {shape_of(part)}" for name, part in value.items()) + ")"
    return f"{len(value)} {type(value).__name__}"


def main(names: list[str]) -> int:
    """Check the data sets; returns the exit status."""
    failed = 0
    for name in names or data.names():
        entry = data.info(name)
        for file in entry.files:
            places = [folder / file.local for folder in folders()]
            if not any(place.is_file() for place in [*places, cache() / name / file.name]):
                print(f"{name}: not at hand ({file.name})")
                break
        else:
            try:
                loaded = data.load(name)
            except Exception as error:
                failed += 1
                print(f"{name}: FAILED: {type(error).__name__}: {error}")
                continue
            parts = ", ".join(f"{part} {shape_of(value)}" for part, value in loaded.items())
            print(f"{name}: {parts}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
