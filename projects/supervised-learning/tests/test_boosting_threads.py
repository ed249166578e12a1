import numba
import pytest

from supervised_learning.boosting_threads import use_threads

LARGE = 10**9


def test_as_many_threads_as_wanted_and_no_more_than_there_are() -> None:
    most = numba.config.NUMBA_NUM_THREADS
    for n_jobs, expected in ((1, 1), (most, most), (most + 5, most), (-1, most), (-most - 3, 1)):
        with use_threads(n_jobs, LARGE) as threads:
            assert threads == numba.get_num_threads() == expected


def test_none_keeps_the_number_in_force() -> None:
    before = numba.get_num_threads()
    with use_threads(1, LARGE), use_threads(None, LARGE) as threads:
        assert threads == 1
    assert numba.get_num_threads() == before


def test_a_small_table_gets_one_thread() -> None:
    with use_threads(-1, 1000) as threads:
        assert threads == 1


def test_the_number_is_given_back_after_an_error() -> None:
    before = numba.get_num_threads()
    with pytest.raises(RuntimeError, match="broken"), use_threads(1, LARGE):
        raise RuntimeError("broken")
    assert numba.get_num_threads() == before


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="n_jobs=0"), use_threads(0, LARGE):
        pass
