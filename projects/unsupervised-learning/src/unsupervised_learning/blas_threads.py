"""One thread for BLAS while a kernel multiplies small blocks.

A kernel that takes a block of rows at a time, so that it stays in the cache, calls BLAS once for
each. Threads of BLAS would meet at the end of every such product, which costs more than they save,
and many times more where other processes hold the cores.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; looking for them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


def one_blas_thread() -> AbstractContextManager[Any]:
    """A context in which BLAS uses one thread; about 10 µs."""
    limit: AbstractContextManager[Any] = _blas().limit(limits=1)
    return limit
