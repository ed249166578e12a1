import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from inference_backends.backends import AbsentError, UnsupportedError, make_backend
from inference_backends.backends.onnx_runtime import open_session
from inference_backends.backends.tensor_rt import (
    absent_reason,
    parts,
    precision_of,
    profile_shapes,
    typed_model,
)
from inference_backends.benchmarking import logit_error
from inference_backends.explicit_quantization import (
    activation_ranges,
    halved,
    quantized_layers,
    symmetric_qdq,
    violations,
)
from inference_backends.exporting import to_onnx


@pytest.fixture(scope="module")
def models(network, images):
    """The network as it is, and as TensorRT gets it in integers."""
    plain = to_onnx(network, images)
    return plain, symmetric_qdq(plain, images)


def run(model, images):
    session = open_session(model.SerializeToString(), 1)
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def change(model, name, values):
    """A copy whose constant of this name has other values."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    (tensor,) = [t for t in made.graph.initializer if t.name == name]
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return made


def test_all_layers_of_the_integer_network_read_symmetric_integers(models):
    plain, integer = models
    assert violations(integer) == []
    assert quantized_layers(integer) == (7, 7)
    assert quantized_layers(plain) == (0, 7)
    tensors = {t.name: numpy_helper.to_array(t) for t in integer.graph.initializer}
    zeros = [value for name, value in tensors.items() if name.endswith("zero_point")]
    assert zeros
    assert not any(value.any() for value in zeros)
    assert all(value.dtype == np.int8 for value in zeros)


def test_weights_are_integers_of_a_scale_for_each_output_channel(models, network):
    plain, integer = models
    tensors = {t.name: numpy_helper.to_array(t) for t in integer.graph.initializer}
    whole = {t.name: numpy_helper.to_array(t) for t in plain.graph.initializer}
    for name, values in tensors.items():
        if name.endswith("_quantized"):
            base = name.removesuffix("_quantized")
            scale = tensors[f"{base}_scale"]
            assert scale.shape == (len(values),)
            found = values * scale.reshape(-1, *[1] * (values.ndim - 1))
            step = scale.reshape(-1, *[1] * (values.ndim - 1))
            assert (np.abs(found - whole[base]) <= 0.5001 * step).all()


def test_activation_scales_reach_the_largest_magnitude_seen(models, images):
    _, integer = models
    scale = activation_ranges(integer)["images"]
    assert scale == pytest.approx(np.abs(images).max() / 127, rel=0.01)


def test_the_integer_network_answers_as_the_whole_one(models, network, images):
    plain, integer = models
    assert logit_error(run(integer, images), run(plain, images)) < 0.15


def test_the_halved_network_keeps_its_ends_in_float32_and_its_answers(models, images):
    plain, _ = models
    half = halved(plain)
    assert violations(half) == []
    kinds = {t.data_type for t in half.graph.initializer if "weight" in t.name}
    assert kinds == {TensorProto.FLOAT16}
    for value in (*half.graph.input, *half.graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT
    assert logit_error(run(half, images), run(plain, images)) < 1e-2


@pytest.mark.parametrize(
    "suffix, values, fault",
    [
        ("images_zero_point", np.int8(3), "a zero point of 3; 0 is taken"),
        ("images_zero_point", np.uint8(0), "integers of uint8; int8 is taken"),
        ("images_scale", np.float32(0), "a scale is not positive and finite"),
        ("images_scale", np.full(1, np.nan, np.float32), "a scale is not positive and finite"),
        ("images_scale", np.ones(2, np.float32), "a scale for each channel of an activation"),
    ],
)
def test_what_is_not_symmetric_is_told_by_name(models, suffix, values, fault):
    found = violations(change(models[1], suffix, np.asarray(values)))
    assert any(line.startswith(f"images_QuantizeLinear: {fault}") for line in found)


def test_an_asymmetric_network_is_refused_whole(network, images):
    import torch

    from quantized_cnn.onnx_graph import quantize_by_runtime

    model = quantize_by_runtime(to_onnx(network, images), torch.from_numpy(images))
    found = violations(model)
    assert any("integers of uint8" in line for line in found)
    assert any("its bias is an integer" in line for line in found)


def node_model(nodes, constants=()):
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(constants).items()]
    return helper.make_model(helper.make_graph(nodes, "g", [given], [made], tensors))


def test_operators_that_the_parser_lacks_are_told_by_name():
    assert violations(node_model([helper.make_node("Det", ["x"], ["y"], name="d")])) == [
        "d: TensorRT's parser has no Det"
    ]
    own = helper.make_node("Relu", ["x"], ["y"], name="r", domain="com.mine")
    assert violations(node_model([own])) == ["r: TensorRT's parser has no Relu"]


def test_scales_on_the_wrong_axis_and_half_quantized_layers_are_told():
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["v"], name="dq", axis=1),
        helper.make_node("Gemm", ["x", "v"], ["y"], name="gemm"),
    ]
    constants = {"w": np.ones((4, 4), np.int8), "s": np.ones(4, np.float32)}
    found = violations(node_model(nodes, constants | {"z": np.zeros(4, np.int8)}))
    assert "dq: scales along axis 1; those of a weight's axis 0 are taken" in found
    assert any("one of input and weight is quantized" in line for line in found)
    assert any("transB=1" in line for line in found)


def test_the_profile_goes_from_one_image_to_the_largest_batch():
    assert profile_shapes((3, 8, 8), 4, 16) == ((1, 3, 8, 8), (4, 3, 8, 8), (16, 3, 8, 8))
    for timed, largest in ((0, 4), (5, 4)):
        with pytest.raises(ValueError, match="1 <= timed <= largest"):
            profile_shapes((3, 8, 8), timed, largest)


def test_parts_cover_all_images_and_none_is_too_large():
    for count in (1, 4, 5, 8, 9):
        found = list(parts(count, 4))
        assert [k for part in found for k in range(part.start, part.stop)] == list(range(count))
        assert max(part.stop - part.start for part in found) <= 4


def engine_json(*types, kind="CaskConvolution", key="Format/Datatype"):
    return json.dumps(
        {"Layers": [{"LayerType": kind, "Inputs": [{"Name": "x", key: t}]} for t in types]}
    )


def test_the_precision_is_the_lowest_that_a_layer_reads():
    assert precision_of(engine_json("Row major linear FP32")) == "fp32"
    assert precision_of(engine_json("Row major linear FP32", "Two wide Half format")) == "fp16"
    assert precision_of(engine_json("Thirty-two wide channel vectorized row major Int8")) == "int8"
    assert precision_of(engine_json("Float", "Int8", key="DataType")) == "int8"
    only_copied = json.loads(engine_json("Int8", kind="Reformat"))["Layers"]
    layers = json.loads(engine_json("Float", key="DataType"))["Layers"] + only_copied
    assert precision_of(json.dumps({"Layers": layers})) == "fp32"


def test_an_engine_without_details_has_no_precision():
    with pytest.raises(ValueError, match="build it with details"):
        precision_of(json.dumps({"Layers": ["conv", "relu"]}))


def test_the_reason_for_its_absence_is_one_line():
    assert absent_reason(True, True) is None
    assert absent_reason(False, True) == "the package tensorrt is not installed"
    assert absent_reason(True, False) == "PyTorch finds no CUDA device"
    assert absent_reason(False, False) == (
        "the package tensorrt is not installed and PyTorch finds no CUDA device"
    )


def test_where_it_is_absent_compiling_says_why(network, images):
    backend = make_backend("tensorrt")
    reason = backend.absent()
    if reason is None:
        pytest.skip("TensorRT is here: the tests of its engines run instead")
    with pytest.raises(AbsentError, match=r"^tensorrt: (the package|PyTorch)"):
        backend.compile(network, images)


def test_a_network_that_it_would_refuse_is_refused_before_it_is_built(images):
    import torch
    from torch import nn

    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.det(x).clone()

    with pytest.raises(UnsupportedError, match=r"tensorrt does not take .* has no Det"):
        typed_model(Odd().eval(), images, "fp32")


@pytest.fixture
def backend():
    made = make_backend("tensorrt")
    reason = made.absent()
    if reason:
        pytest.skip(f"TensorRT's engines are not tested: {reason}")
    return made


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_engines_answer_as_pytorch_does(backend, network, images, precision):
    import torch

    session = backend.compile(network, images, precision)
    with torch.no_grad():
        wanted = network(torch.from_numpy(images)).numpy()
    assert session.info().precision == precision
    many = np.concatenate([images, images])
    assert logit_error(session.run(images), wanted) <= backend.tolerance[precision]
    assert logit_error(session.run(many)[96:], wanted) <= backend.tolerance[precision]
    np.testing.assert_allclose(session.run(images[:1]), session.run(images)[:1], atol=1e-2)
