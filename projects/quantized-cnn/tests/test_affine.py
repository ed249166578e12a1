import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantized_cnn.affine import ACTIVATIONS, WEIGHTS, Quantizer, Scheme
from quantized_cnn.fixed_point import fixed_point, rescale
from quantized_cnn.observers import make_observer, quantizer

NAMES = ("min-max", "moving-average", "percentile", "mean-square", "entropy")


@given(
    low=st.floats(-100, 100),
    width=st.floats(0, 1000),
    bits=st.integers(2, 8),
    signed=st.booleans(),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_within_the_range_the_error_is_half_a_step_and_zero_is_exact(low, width, bits, signed):
    made = Quantizer.of_range(Scheme(bits, signed), torch.tensor(low), torch.tensor(low + width))
    x = torch.linspace(min(low, 0), max(low + width, 0), 101)
    # The zero point is rounded too, so that an end may lie half a step outside.
    assert (made(x) - x).abs().max() <= made.scale * 1.001 + 1e-6
    assert made(torch.zeros(1)) == 0
    q = made.quantize(x)
    assert q.min() >= made.scheme.low
    assert q.max() <= made.scheme.high


def test_a_symmetric_scheme_has_integers_of_both_signs_alike():
    x = torch.tensor([-2.0, 1.0, 0.5])
    made = Quantizer.of_values(Scheme(signed=True, symmetric=True, narrow=True), x)
    torch.testing.assert_close(made.scale, torch.tensor(2.0 / 127))
    torch.testing.assert_close(made.quantize(-x), -made.quantize(x))


def test_each_channel_has_its_own_scale():
    weight = torch.randn(4, 3, 3, 3) * torch.tensor([1e-3, 1.0, 10.0, 0.0]).view(-1, 1, 1, 1)
    made = Quantizer.of_values(WEIGHTS, weight)
    for c in range(3):
        assert made.quantize(weight)[c].abs().max() == 127
    assert (made.quantize(weight)[3] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_observers_agree_where_nothing_is_rare(name):
    watcher = make_observer(name)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        watcher.observe(torch.rand(1000, generator=generator) * 3 - 1)
    low, high = watcher.range(ACTIVATIONS)
    assert float(low) == pytest.approx(-1, abs=0.1)
    assert float(high) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", ["percentile", "mean-square"])
def test_one_outlier_does_not_decide_a_clipped_range(name):
    watcher = make_observer(name)
    watcher.observe(torch.randn(100_000, generator=torch.Generator().manual_seed(0)))
    watcher.observe(torch.tensor([300.0]))
    assert float(watcher.range(Scheme(4))[1]) < 100


def test_the_least_squares_range_has_less_error_than_the_whole_one():
    x = torch.distributions.Laplace(0.0, 1.0).sample((100_000,))
    errors = {}
    for name in ("min-max", "mean-square"):
        watcher = make_observer(name)
        watcher.observe(x)
        errors[name] = float((quantizer(watcher, Scheme(4))(x) - x).square().mean())
    assert errors["mean-square"] < 0.5 * errors["min-max"]


@pytest.mark.parametrize("name", NAMES)
def test_a_growing_range_loses_no_count(name):
    whole, parts = make_observer(name), make_observer(name)
    x = torch.randn(4096, generator=torch.Generator().manual_seed(1))
    x[-1] = 9.0
    whole.observe(x)
    for part in x.split(64):
        parts.observe(part)
    if hasattr(whole, "counts"):
        assert parts.counts.sum() == whole.counts.sum() == 4096


@pytest.mark.parametrize("name", NAMES)
def test_nothing_seen_and_values_that_are_not_finite_are_refused(name):
    watcher = make_observer(name)
    with pytest.raises(ValueError, match="nothing was observed"):
        watcher.range(ACTIVATIONS)
    with pytest.raises(ValueError, match="NaN or infinity"):
        watcher.observe(torch.tensor([1.0, torch.nan]))


def test_unknown_names_and_odd_schemes_are_refused():
    with pytest.raises(ValueError, match="one of min-max"):
        make_observer("median")
    with pytest.raises(ValueError, match="from 2 to 8"):
        Scheme(bits=9)
    with pytest.raises(ValueError, match="signed=True"):
        Scheme(symmetric=True)
    with pytest.raises(ValueError, match="low end above"):
        Quantizer.of_range(ACTIVATIONS, torch.tensor(1.0), torch.tensor(-1.0))


@given(
    factor=st.floats(1e-12, 1e6),
    sums=st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=20),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_fixed_point_product_is_the_real_one_rounded(factor, sums):
    sums = np.array(sums)
    got = rescale(sums, fixed_point(np.array(factor)))
    exact = sums * factor
    assert (np.abs(got - exact) <= 0.5 + np.abs(exact) * 2.0**-29 + 1e-6).all()


def test_factors_that_are_no_factors_are_refused():
    for factor in (-1.0, np.nan, 2.0**31):
        with pytest.raises(ValueError, match="factor"):
            fixed_point(np.array(factor))
