"""The classes of a target, and each row's place among them."""

import numpy as np
from numpy.typing import NDArray

_SPREAD = 1000  # whole numbers that lie no farther apart than this are looked up in a table


def encode(y: NDArray) -> tuple[NDArray, NDArray[np.intp]]:
    """The sorted classes (k,) of y (n,), and the place of each row's class among them (n,).

    `np.unique` sorts all rows for that. Classes are mostly small whole numbers, for which a table
    of those that occur does it in two passes.
    """
    if y.dtype.kind not in "biu" or len(y) == 0:
        return np.unique(y, return_inverse=True)
    lowest, highest = int(y.min()), int(y.max())
    if highest - lowest > _SPREAD:
        return np.unique(y, return_inverse=True)
    place = y.astype(np.intp) - lowest
    occurs = np.bincount(place) > 0
    classes = np.flatnonzero(occurs)
    if len(classes) < len(occurs):
        place = (np.cumsum(occurs) - 1)[place]
    return (classes + lowest).astype(y.dtype), place
