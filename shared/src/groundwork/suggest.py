"""The nearest right names for a wrong one."""

import difflib
from collections.abc import Iterable


def nearest(wrong: str, right: Iterable[str], *, most: int = 3) -> str:
    """Return up to `most` of the names in `right` that look like `wrong`, as "a, b or c".

    Falls back to the first names in alphabetical order when none is similar.
    """
    names = sorted(set(right))
    close = difflib.get_close_matches(wrong, names, n=most, cutoff=0.5)
    if not close:
        close = [name for name in names if wrong and wrong in name][:most] or names[:most]
    if len(close) < 2:
        return "".join(close) or "nothing"
    return f"{', '.join(close[:-1])} or {close[-1]}"


def unknown(what: str, wrong: str, right: Iterable[str], *, most: int = 3) -> str:
    """Return the line "there is no <what> <wrong>; near it: …"."""
    names = list(right)
    if not names:
        return f"there is no {what} “{wrong}”, and no {what} at all here"
    return f"there is no {what} “{wrong}”; the nearest: {nearest(wrong, names, most=most)}"
