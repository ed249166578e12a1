"""How many threads a booster uses."""

from collections.abc import Iterator
from contextlib import contextmanager

import numba

#: Numbers of a table for which starting a thread pays.
_WORK = 25_000


@contextmanager
def use_threads(n_jobs: int | None, work: int) -> Iterator[int]:
    """Give Numba's loops their threads; yields how many.

    Parameters
    ----------
    n_jobs : None for as many as Numba has at present, -1 for all cores, -2 for all but one, ….
    work : the size of the table; a small one gets fewer.

    Raises ValueError for n_jobs=0.
    """
    if n_jobs == 0:
        raise ValueError("n_jobs=0: give a number of threads, -1 for all cores, or None")
    before, most = numba.get_num_threads(), numba.config.NUMBA_NUM_THREADS
    wanted = before if n_jobs is None else n_jobs if n_jobs > 0 else most + 1 + n_jobs
    threads = max(1, min(wanted, most, work // _WORK))
    numba.set_num_threads(threads)
    try:
        yield threads
    finally:
        numba.set_num_threads(before)
