"""The Planetoid citation graphs: from pickles of Python 2 to one graph with its split."""

import io
import pickle
from typing import Any

from groundwork.data.registry import Bunch, DataError


class _OldModules(pickle.Unpickler):
    """Reads pickles of Python 2: only NumPy arrays, SciPy matrices and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        moved = {
            "scipy.sparse.csr": "scipy.sparse",
            "numpy.core.multiarray": "numpy._core.multiarray",
        }
        allowed = {
            ("scipy.sparse.csr", "csr_matrix"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("collections", "defaultdict"),
            ("__builtin__", "list"),
        }
        if (module, name) not in allowed:
            raise DataError(f"a pickle that asks for {module}.{name} is not read")
        return super().find_class(moved.get(module, module), name)


def decode_pickle(content: bytes) -> Any:
    """A part of the Planetoid graphs."""
    return _OldModules(io.BytesIO(content), encoding="latin1").load()


def planetoid(parts: Bunch) -> Bunch:
    """The graph of Yang, Cohen and Salakhutdinov (2016) with their split, n nodes.

    x : SciPy CSR float32 (n, features), word indicators; a row of zeros for a node without any.
    y : int64 (n,), the class; -1 for a node without a label.
    edges : int64 (2, m), each edge in both directions, sorted, without loops and duplicates.
    train, validation, test : int64 node numbers; validation is the 500 nodes after train.
    """
    import numpy as np
    from scipy import sparse

    n = len(parts.graph)
    known = parts.allx.shape[0]
    rows = np.concatenate([np.arange(known), parts.test_index])
    # Row i of the two stacked matrices is node rows[i]; a node that is in neither stays empty.
    stacked = sparse.vstack([parts.allx, parts.tx]).tocoo()
    x = sparse.csr_matrix(
        (stacked.data, (rows[stacked.row], stacked.col)), shape=(n, stacked.shape[1])
    )
    one_hot = np.zeros((n, parts.ally.shape[1]))
    one_hot[rows] = np.vstack([parts.ally, parts.ty])
    y = np.where(one_hot.any(axis=1), one_hot.argmax(axis=1), -1)
    pairs = {(a, b) for a, near in parts.graph.items() for b in near if a != b}
    pairs |= {(b, a) for a, b in pairs}
    train = len(parts.y)
    return Bunch(
        x=x.astype(np.float32),
        y=y.astype(np.int64),
        edges=np.array(sorted(pairs), dtype=np.int64).T,
        train=np.arange(train),
        validation=np.arange(train, train + 500),
        test=np.sort(parts.test_index),
    )


#: By the name that the registry gives as `loader`.
LOADERS = {"planetoid": planetoid}
