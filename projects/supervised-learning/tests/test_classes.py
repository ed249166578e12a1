import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from supervised_learning.classes import encode


@given(
    arrays(np.int64, st.integers(1, 50), elements=st.integers(-5, 5))
    | arrays(np.int64, st.integers(1, 50), elements=st.integers(-(2**62), 2**62))
    | arrays(np.uint8, st.integers(1, 50))
    | arrays(np.bool_, st.integers(1, 50))
    | arrays(np.float64, st.integers(1, 50), elements=st.floats(-2, 2))
)
def test_classes_and_places_are_those_of_unique(y):
    classes, place = encode(y)
    expected = np.unique(y, return_inverse=True)
    assert classes.dtype == y.dtype
    assert np.array_equal(classes, expected[0])
    assert np.array_equal(place, expected[1])


@pytest.mark.parametrize("y", [np.array(["b", "a", "b"]), np.array(["b", "a"], dtype=object)])
def test_words_are_classes_too(y):
    classes, place = encode(y)
    assert classes.tolist() == ["a", "b"]
    assert np.array_equal(classes[place], y)


def test_the_places_are_no_view_of_the_target():
    y = np.array([0, 1, 1])
    encode(y)[1][:] = 7
    assert y.tolist() == [0, 1, 1]
