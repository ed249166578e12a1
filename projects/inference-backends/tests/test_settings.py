"""What the labs on runtimes' settings and on mixed precision are made of."""

import numpy as np
import pytest
import torch

from inference_backends.backends.open_vino import compile_graph, read_graph
from inference_backends.exporting import to_onnx
from inference_backends.mixed import (
    keep_high,
    logit_error,
    narrowed_layers,
    run_mixed,
    sensitivities,
)
from inference_backends.openvino_serving import (
    answer_all,
    compile_with_cache,
    from_cache,
    stream_compile,
)
from inference_backends.ort_settings import Setting, make_session, operator_times
from quantized_cnn.graph import fold_norms, trace


@pytest.fixture(scope="module")
def exported(network, images):
    return to_onnx(network, images)


@pytest.fixture(scope="module")
def openvino_graph(network, images):
    return read_graph(network, images)


@pytest.fixture(scope="module")
def graph(network):
    return fold_norms(trace(network))


def test_an_exported_model_folds_batch_norms_and_takes_any_number_of_images(exported):
    assert not any(node.op_type == "BatchNormalization" for node in exported.graph.node)
    assert [value.name for value in (*exported.graph.input, *exported.graph.output)] == [
        "images",
        "logits",
    ]
    assert exported.graph.input[0].type.tensor_type.shape.dim[0].dim_param


@pytest.mark.parametrize(
    "setting",
    [Setting("off"), Setting("basic"), Setting("extended"), Setting(arena=False),
     Setting(threads=2, spinning=False)],
)  # fmt: skip
def test_every_setting_of_onnx_runtime_gives_the_same_answers(exported, network, images, setting):
    session = make_session(exported.SerializeToString(), (1, 8, 8), setting)
    expected = network(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(session.run(images), expected, rtol=0, atol=1e-4)
    assert session.info().threads == setting.threads


def test_a_profile_names_the_operators_that_optimization_left(exported, images):
    content = exported.SerializeToString()
    plain = operator_times(content, Setting("off"), images, calls=3)
    fused = operator_times(content, Setting("all"), images, calls=3)
    assert "Relu" in plain
    assert "Relu" not in fused
    assert all(spent >= 0 for spent in plain.values())
    assert list(plain.values()) == sorted(plain.values(), reverse=True)


def test_wrong_settings_are_refused(exported, images):
    content = exported.SerializeToString()
    with pytest.raises(ValueError, match="level 'most'; off, basic"):
        make_session(content, (1, 8, 8), Setting("most"))
    with pytest.raises(ValueError, match="threads = 0"):
        make_session(content, (1, 8, 8), Setting(threads=0))
    with pytest.raises(ValueError, match="calls = 0"):
        operator_times(content, Setting(), images, calls=0)


@pytest.mark.parametrize("hint", ["LATENCY", "THROUGHPUT"])
def test_queued_requests_are_answered_in_order(openvino_graph, images, hint):
    batches = [images[k : k + 3].copy() for k in range(30)]
    logits, taken, whole = answer_all(stream_compile(openvino_graph, "fp32", 2, hint), batches)
    alone = compile_graph(openvino_graph, "fp32", 1)
    expected = np.concatenate([alone([batch])[0] for batch in batches])
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    assert len(taken) == 30
    assert 0 < max(taken) <= whole


def test_a_queue_without_requests_and_an_unknown_hint_are_refused(openvino_graph):
    with pytest.raises(ValueError, match="no batch"):
        answer_all(compile_graph(openvino_graph, "fp32", 1), [])
    with pytest.raises(ValueError, match="hint 'SPEED'"):
        stream_compile(openvino_graph, "fp32", 1, "SPEED")


def test_the_second_model_comes_from_the_cache_and_answers_alike(openvino_graph, images, tmp_path):
    first, _ = compile_with_cache(openvino_graph, "fp32", 1, tmp_path)
    second, _ = compile_with_cache(openvino_graph, "fp32", 1, tmp_path)
    assert not from_cache(first)
    assert from_cache(second)
    np.testing.assert_array_equal(first([images])[0], second([images])[0])


def test_a_mixed_network_without_narrow_layers_is_the_network(graph, network, images):
    x = torch.from_numpy(images)
    found = run_mixed(graph, x, {})
    torch.testing.assert_close(found, network(x).detach(), rtol=0, atol=1e-4)


def test_fewer_bits_are_a_larger_error(graph, images):
    x = torch.from_numpy(images)
    exact = run_mixed(graph, x, {})
    error = {
        kind: logit_error(run_mixed(graph, x, narrowed_layers(graph, kind, x)), exact)
        for kind in ("fp16", "bf16", "int8", "int4")
    }
    assert 0 < error["fp16"] < error["bf16"] < error["int4"] < 1
    assert error["int8"] < error["int4"] / 4


def test_a_layers_sensitivity_is_the_error_that_it_brings_alone(graph, images):
    x = torch.from_numpy(images)
    layers = narrowed_layers(graph, "int8", x)
    found = sensitivities(graph, layers, x)
    assert list(found) == [node.name for node in graph.layers()]
    # By hand: this layer's operands rounded, its products exact.
    name = "linear"
    before = graph[name].inputs[0]
    seen = {}
    graph.run(x, lambda node, value: seen.update({node.name: value}) or None)
    rounded = layers[name].source(seen[before]).double()
    logits = rounded @ layers[name].weight.double().T + graph.biases[name].double()
    by_hand = logit_error(logits, seen[graph.nodes[-1].name].double())
    assert found[name] == pytest.approx(by_hand, rel=1e-3)


def test_layers_that_are_kept_high_are_not_narrow(graph, images):
    layers = narrowed_layers(graph, "bf16", torch.from_numpy(images))
    assert set(keep_high(layers, ["conv"])) == set(layers) - {"conv"}
    with pytest.raises(ValueError, match="tail: no such layer; there are conv"):
        keep_high(layers, ["tail"])
    with pytest.raises(ValueError, match="kind 'int7'"):
        narrowed_layers(graph, "int7", torch.from_numpy(images))
