"""Where a model errs: parts of the table whose loss is larger than elsewhere.

A slice is a level of a category or a fifth of a number's rows. Its mean loss on held-out rows is
told with how far it lies from that of all other rows, in standard errors: small slices differ by
chance.
"""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabular_labs.schema import Schema


def worst_slices(
    X: pd.DataFrame,
    losses: NDArray[np.float64],
    schema: Schema,
    *,
    share: float = 0.02,
    most: int = 8,
) -> list[dict[str, Any]]:
    """The slices of at least this share of the rows whose mean loss is highest for their size.

    losses : of each row (n,), held out. Gives rows of a table.
    """
    found: list[dict[str, Any]] = []
    for name in schema.names:
        for label, rows in _slices(X[name], name in schema.numbers):
            if not share * len(X) <= rows.sum() < len(X):
                continue
            inside, outside = losses[rows], losses[~rows]
            error = np.sqrt(inside.var(ddof=1) / len(inside) + outside.var(ddof=1) / len(outside))
            apart = (inside.mean() - outside.mean()) / max(error, 1e-12)
            found.append(
                {
                    "slice": f"{name} = {label}",
                    "rows": int(rows.sum()),
                    "loss": float(inside.mean()),
                    "elsewhere": float(outside.mean()),
                    "standard errors": float(apart),
                }
            )
    return sorted(found, key=lambda row: -row["standard errors"])[:most]


def _slices(values: pd.Series, is_number: bool) -> list[tuple[str, NDArray[np.bool_]]]:
    found = []
    gaps = values.isna().to_numpy()
    if gaps.any():
        found.append(("missing", gaps))
    if not is_number or values.nunique() <= 5:
        return found + [
            (f"{level:g}" if is_number else str(level), (values == level).to_numpy())
            for level in sorted(values.dropna().unique())
        ]
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, 6)))
    for low, high in itertools.pairwise(edges):
        last = high == edges[-1]
        inside = (values >= low) & ((values <= high) if last else (values < high))
        found.append((f"{low:g} to {high:g}", inside.to_numpy()))
    return found
