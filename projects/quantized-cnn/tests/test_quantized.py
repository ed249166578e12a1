import copy

import numpy as np
import pytest
import torch
from torch import nn

from quantized_cnn import integer
from quantized_cnn.affine import Quantizer, Scheme
from quantized_cnn.calibration import calibrate, post_training
from quantized_cnn.equalization import correct_biases, equalize, linearize
from quantized_cnn.graph import fold_norms, trace
from quantized_cnn.onnx_graph import RuntimeSession, to_onnx
from quantized_cnn.qat import FakeQuantizer, QuantizationAware
from quantized_cnn.quantized import quantize
from quantized_cnn.rounding import adaround

PER_TENSOR = Scheme(signed=True, symmetric=True, narrow=True)


def per_channel(bits):
    return Scheme(bits, signed=True, symmetric=True, axis=0, narrow=True)


def error(a, b):
    return float(((a - b).square().mean() / b.square().mean()).sqrt().detach())


def test_a_graph_says_what_the_module_says_also_folded_and_in_onnx(model, images):
    expected = model(images).detach()
    graph = trace(model)
    torch.testing.assert_close(graph(images), expected, rtol=0, atol=0)
    fold_norms(graph)
    torch.testing.assert_close(graph(images).detach(), expected, rtol=1e-4, atol=1e-5)
    runtime = RuntimeSession(to_onnx(graph, (1, 8, 8)))
    torch.testing.assert_close(runtime(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_numpy_on_integers_agrees_in_each_bit(model, images, bits):
    graph = fold_norms(trace(model))
    quantized = post_training(graph, images, "mean-square", per_channel(bits), Scheme(bits))
    expected = quantized(images).numpy()
    np.testing.assert_array_equal(integer.run(quantized, images.numpy()), expected)


def test_eight_bits_change_little_and_fewer_bits_more(model, images):
    graph = fold_norms(trace(model))
    expected = graph(images)
    errors = [
        error(post_training(graph, images, weights=per_channel(bits))(images), expected)
        for bits in (8, 6, 4)
    ]
    assert errors[0] < 0.05
    assert errors[0] < errors[1] < errors[2]


def test_the_stored_network_is_about_a_quarter(model, images):
    graph = fold_norms(trace(model))
    floats = 4 * sum(p.numel() for p in graph.parameters())
    assert post_training(graph, images).bytes < 0.5 * floats


def test_equalization_changes_no_output_and_evens_the_channels(model, images):
    graph = linearize(fold_norms(trace(model)))
    expected = graph(images).detach()
    before = {n.name: graph.weights[n.name].detach().clone() for n in graph.layers()}
    equalize(graph)
    torch.testing.assert_close(graph(images).detach(), expected, rtol=1e-3, atol=1e-4)

    def spread(weight):
        ranges = weight.abs().amax((1, 2, 3))
        return float(ranges.max() / ranges.min())

    name = "stages_0_conv1" if "stages_0_conv1" in before else "stages_0_depthwise"
    assert spread(graph.weights[name].detach()) < spread(before[name])


def test_bias_correction_takes_off_the_shift_of_the_means(model, images):
    graph = fold_norms(trace(model))
    scheme = Scheme(3, signed=True, symmetric=True, narrow=True)
    corrected = correct_biases(copy.deepcopy(graph), images, scheme)
    # The weights are the true ones still; only the biases moved.
    for node in graph.layers():
        torch.testing.assert_close(corrected.weights[node.name], graph.weights[node.name])
    target = graph(images).detach().mean(0)

    def shift(owner):
        return float((post_training(owner, images, weights=scheme)(images).mean(0) - target).norm())

    assert shift(corrected) < shift(graph)


def test_learnt_rounding_goes_up_or_down_and_beats_the_nearest(model, images):
    graph = fold_norms(trace(model))
    ranges = calibrate(graph, [images])
    learnt = adaround(graph, images, ranges, per_channel(3), steps=200)
    for node in graph.layers():
        integers, made = learnt[node.name]
        steps = graph.weights[node.name].detach() / made.scale.view(
            (-1,) + (1,) * (integers.ndim - 1)
        )
        assert ((integers == steps.floor()) | (integers == steps.floor() + 1)).all()
    expected = graph(images)
    nearest = quantize(graph, ranges, per_channel(3))(images)
    assert error(quantize(graph, ranges, per_channel(3), learnt)(images), expected) < 0.9 * error(
        nearest, expected
    )


@pytest.mark.parametrize("bits", [8, 3])
def test_what_training_saw_is_what_the_integers_say(model, images, bits):
    with torch.no_grad():  # a batch norm may turn a channel around
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight[::3] *= -1
    aware = QuantizationAware(trace(model), images, per_channel(bits), Scheme(bits))
    aware.train()
    optimizer = torch.optim.SGD(aware.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        aware(images).square().mean().backward()
        optimizer.step()
    aware.eval()
    converted = aware.convert()
    got, expected = converted(images), aware(images).detach()
    # A value on the edge between two integers may go either way: a few images may differ.
    close = (got - expected).abs().amax(1) < 1e-3 * expected.abs().max()
    assert close.float().mean() > 0.9
    np.testing.assert_array_equal(integer.run(converted, images.numpy()), got.numpy())


def test_scales_learn_only_where_they_are_told_to(model, images):
    for learn in (True, False):
        aware = QuantizationAware(
            trace(model), images, per_channel(4), Scheme(4), learn=learn
        ).train()
        aware(images).square().mean().backward()
        grads = [fake.scale.grad for fake in [*aware.weights.values(), *aware.values.values()]]
        assert all((g is not None and bool((g != 0).any())) == learn for g in grads)


@pytest.mark.parametrize(
    "scheme, scale, zero",
    [
        (Scheme(4), [0.3], [5]),
        (Scheme(4, signed=True, symmetric=True, narrow=True), [0.3], [0]),
        (per_channel(3), [0.2, 0.5], [0, 0]),
        (Scheme(3, axis=0), [0.2, 0.5], [1, 6]),
    ],
)
def test_the_gradients_are_the_straight_through_rules(scheme, scale, zero):
    x = torch.linspace(-3, 3, 100).repeat(2, 1).requires_grad_()
    quantizer = Quantizer(scheme, torch.tensor(scale), torch.tensor(zero, dtype=torch.int32))
    fake = FakeQuantizer(quantizer, learn=True)
    weight = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    (fake(x) * weight).sum().backward()
    s, z = torch.tensor(scale).view(-1, 1), torch.tensor(zero).view(-1, 1)
    t = x.detach() / s
    low, high = scheme.low - z, scheme.high - z
    inside = (torch.round(t) >= low) & (torch.round(t) <= high)
    by_scale = torch.where(inside, torch.round(t) - t, torch.where(t < 0, low, high))
    summed = (by_scale * weight).sum(1) if len(scale) > 1 else (by_scale * weight).sum().view(1)
    share = (x.numel() / len(scale) * scheme.high) ** -0.5
    torch.testing.assert_close(x.grad, weight * inside)
    torch.testing.assert_close(fake.scale.grad, summed * share)


def test_images_that_say_nothing_are_refused(model, images):
    graph = fold_norms(trace(model))
    with pytest.raises(ValueError, match="no images"):
        calibrate(graph, [])
    with pytest.raises(ValueError, match=r"constant 0\.5"):
        calibrate(graph, [torch.full((4, 1, 8, 8), 0.5)])


def test_what_is_not_ready_is_refused(model, images):
    graph = trace(model)
    with pytest.raises(ValueError, match="batch norm; fold it first"):
        quantize(graph, calibrate(graph, [images]))
    with pytest.raises(ValueError, match="no quantizer"):
        quantize(fold_norms(graph), {})


@pytest.mark.parametrize(
    "layer",
    [nn.MaxPool2d(2), nn.Conv2d(1, 1, 3, dilation=2), nn.GELU(), nn.ConvTranspose2d(1, 1, 2)],
)
def test_an_operation_without_a_node_names_itself(layer):
    with pytest.raises(ValueError, match=r"MaxPool2d|dilated|GELU|ConvTranspose2d"):
        trace(nn.Sequential(layer).eval())
