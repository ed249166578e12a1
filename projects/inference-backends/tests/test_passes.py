"""Each pass does its rule, keeps the values, and leaves alone what only looks like its case."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir

from inference_backends.passes import (
    FUSING,
    PORTABLE,
    CancelTransposes,
    FoldConstants,
    FuseActivation,
    FuseBatchNorm,
    FuseResidualAdd,
    FuseScale,
    Pass,
    RemoveDeadCode,
    RemoveIdentities,
    SinkTransposes,
    Step,
    operators,
    optimize,
)
from inference_backends.passes.backend_tests import backend_cases, frozen, try_case
from inference_backends.passes.samples import channels_last, run, unfolded
from inference_backends.traffic import chain_operations, time_in_turns, triad, watch

RNG = np.random.default_rng(3)
X = RNG.standard_normal((2, 4, 6, 6), dtype=np.float32)


def make(nodes, constants=None, outputs=("y",), opset=18, shape=("n", 4, 6, 6), graph_inputs=()):
    """A model of these nodes with input x; constants are initializers."""
    constants = constants or {}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
                *(
                    helper.make_tensor_value_info(name, TensorProto.FLOAT, constants[name].shape)
                    for name in graph_inputs
                ),
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=9,
    )
    model = onnx.shape_inference.infer_shapes(model)
    del model.graph.value_info[:]
    for output in model.graph.output:
        if not output.type.tensor_type.HasField("shape"):
            output.type.tensor_type.shape.SetInParent()
    return model


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def same_after(model, passes, tolerance=1e-5):
    """The model after the passes; its outputs must be those before them."""
    after, _ = optimize(model, passes)
    for before, now in zip(run(model, {"x": X}), run(after, {"x": X}), strict=True):
        np.testing.assert_allclose(now, before, rtol=tolerance, atol=tolerance)
    assert [o.name for o in after.graph.output] == [o.name for o in model.graph.output]
    return after


def weights(*shape):
    return RNG.standard_normal(shape, dtype=np.float32)


def norm_constants(channels=4):
    return {
        "gamma": weights(channels),
        "beta": weights(channels),
        "mean": weights(channels),
        "variance": RNG.uniform(0.1, 2.0, channels).astype(np.float32),
    }


CONV = node("Conv", "x w", "c", pads=[1, 1, 1, 1])
NORM = node("BatchNormalization", "c gamma beta mean variance", "y", epsilon=1e-3)


# Identities and dead code


def test_identities_and_idle_dropouts_go():
    model = make(
        [
            node("Identity", "x", "a"),
            node("Relu", "a", "b"),
            node("Dropout", "b", "c"),
            node("Identity", "c", "y"),
        ]
    )
    assert operators(same_after(model, [RemoveIdentities()])) == {"Relu": 1}


def test_an_identity_from_an_input_to_an_output_stays():
    model = make([node("Identity", "x", "y")])
    assert operators(same_after(model, FUSING)) == {"Identity": 1}


def test_a_value_that_is_two_outputs_keeps_both():
    model = make(
        [node("Relu", "x", "y"), node("Identity", "y", "z"), node("Identity", "y", "w")],
        outputs=("y", "z", "w"),
    )
    assert operators(same_after(model, FUSING)) == {"Relu": 1, "Identity": 2}


def test_a_dropout_whose_mask_is_read_stays():
    model = make(
        [
            helper.make_node("Dropout", ["x"], ["a", "mask"]),
            node("Cast", "mask", "y", to=TensorProto.FLOAT),
        ]
    )
    assert operators(same_after(model, [RemoveIdentities()]))["Dropout"] == 1


def test_dead_branches_and_unread_constants_go():
    model = make(
        [node("Relu", "x", "y"), node("Neg", "x", "dead"), node("Add", "dead k", "deader")],
        {"k": weights(1), "unread": weights(3)},
    )
    after = same_after(model, [RemoveDeadCode()])
    assert operators(after) == {"Relu": 1}
    assert not after.graph.initializer


def test_a_value_read_only_within_a_branch_is_alive():
    then = helper.make_graph(
        [node("Identity", "inner", "t")],
        "then",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)],
    )
    other = helper.make_graph(
        [node("Neg", "x", "e")],
        "else",
        [],
        [helper.make_tensor_value_info("e", TensorProto.FLOAT, None)],
    )
    model = make(
        [
            node("Relu", "x", "inner"),
            node("ReduceSum", "x", "s", keepdims=0),
            node("Greater", "s zero", "b"),
            node("If", "b", "y", then_branch=then, else_branch=other),
        ],
        {"zero": np.array(0, np.float32)},
    )
    for x in (X + 5, X - 5):
        after, _ = optimize(model)
        np.testing.assert_array_equal(run(after, {"x": x})[0], run(model, {"x": x})[0])
    assert operators(after)["Relu"] == 1


# Constants


def test_a_constant_subgraph_is_folded_and_what_meets_the_input_is_not():
    model = make(
        [
            node("Constant", "", "one", value_float=1.0),
            node("Add", "one k", "a"),
            node("Exp", "a", "b"),
            node("Mul", "x b", "y"),
        ],
        {"k": weights(4, 1, 1)},
    )
    assert operators(same_after(model, [FoldConstants()])) == {"Mul": 1}


def test_a_default_that_a_caller_may_replace_is_not_constant():
    model = make(
        [node("Exp", "k", "a"), node("Mul", "x a", "y")], {"k": weights(1)}, graph_inputs=("k",)
    )
    after = same_after(model, FUSING)
    assert operators(after)["Exp"] == 1
    other = {"x": X, "k": np.array([2.0], np.float32)}
    np.testing.assert_allclose(run(after, other)[0], run(model, other)[0], rtol=1e-6)


def test_random_values_and_large_ones_are_not_folded():
    model = make(
        [
            node("RandomNormal", "", "r", shape=[4, 1, 1]),
            node("Expand", "k size", "large"),
            node("ReduceMean", "large", "m", keepdims=0),
            node("Add", "x r", "a"),
            node("Mul", "a m", "y"),
        ],
        {"k": weights(1), "size": np.array([100, 100], np.int64)},
    )
    after, _ = optimize(model, [FoldConstants(limit=10_000)])
    assert operators(after) == operators(model)


def test_the_shape_of_a_fixed_tensor_is_a_constant_and_of_a_free_one_is_not():
    nodes = [node("Shape", "x", "s"), node("ConstantOfShape", "s", "z"), node("Add", "x z", "y")]
    fixed, free = make(nodes, shape=(2, 4, 6, 6)), make(nodes)
    assert operators(same_after(fixed, [FoldConstants()])) == {"Add": 1}
    assert operators(same_after(free, [FoldConstants()]))["Shape"] == 1


def test_a_branch_that_makes_no_sense_for_these_constants_is_left_alone():
    """An affine grid in 3-D, whose branch for 2-D splits a shape of 5 numbers into 4."""
    cases = backend_cases(("node",), ("affinegrid",))
    case = next(c for c in cases if c.name == "test_affine_grid_3d_expanded")
    outcome = try_case(frozen(case, 1))
    assert (outcome.refused, outcome.rewritten, outcome.error) == (False, True, None)


def test_a_constant_output_is_made_by_a_constant():
    model = make([node("Exp", "k", "y"), node("Relu", "x", "z")], {"k": weights(3)}, ("y", "z"))
    assert operators(same_after(model, FUSING)) == {"Constant": 1, "Relu": 1}


# Convolutions


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_a_batch_norm_goes_into_its_convolution(group, bias):
    constants = norm_constants() | {"w": weights(4, 4 // group, 3, 3)}
    if bias:
        constants["b"] = weights(4)
    conv = node("Conv", "x w b" if bias else "x w", "c", pads=[1, 1, 1, 1], group=group)
    after = same_after(make([conv, NORM], constants), [FuseBatchNorm()])
    assert operators(after) == {"Conv": 1}


def test_the_folded_weights_are_those_of_the_formula():
    constants = norm_constants() | {"w": weights(4, 4, 3, 3)}
    after, _ = optimize(make([CONV, NORM], constants), [FuseBatchNorm(), RemoveDeadCode()])
    folded, bias = (
        numpy_helper.to_array(next(t for t in after.graph.initializer if t.name == name))
        for name in after.graph.node[0].input[1:]
    )
    factor = constants["gamma"] / np.sqrt(constants["variance"] + 1e-3)
    np.testing.assert_allclose(folded, constants["w"] * factor[:, None, None, None], rtol=1e-6)
    np.testing.assert_allclose(
        bias, constants["beta"] - factor * constants["mean"], rtol=1e-5, atol=1e-6
    )


def test_weights_that_two_convolutions_share_are_not_spoilt():
    constants = norm_constants() | {"w": weights(4, 4, 3, 3)}
    model = make([CONV, NORM, node("Conv", "x w", "z")], constants, ("y", "z"))
    assert operators(same_after(model, FUSING)) == {"Conv": 2}


def test_a_batch_norm_stays_where_the_convolution_has_another_user():
    constants = norm_constants() | {"w": weights(4, 4, 3, 3)}
    for extra, outputs in (([node("Relu", "c", "z")], ("y", "z")), ([], ("y", "c"))):
        model = make([CONV, NORM, *extra], constants, outputs)
        assert operators(same_after(model, [FuseBatchNorm()]))["BatchNormalization"] == 1


def test_a_batch_norm_in_training_stays():
    constants = norm_constants() | {"w": weights(4, 4, 3, 3)}
    norm = helper.make_node(
        "BatchNormalization",
        ["c", "gamma", "beta", "mean", "variance"],
        ["y", "new_mean", "new_variance"],
        training_mode=1,
    )
    after, _ = optimize(make([CONV, norm], constants), [FuseBatchNorm()])
    assert operators(after)["BatchNormalization"] == 1


def test_a_scale_and_a_shift_by_channel_go_into_the_convolution():
    constants = {"w": weights(4, 4, 3, 3), "s": weights(4, 1, 1), "t": weights(1, 4, 1, 1)}
    model = make([CONV, node("Mul", "s c", "m"), node("Add", "m t", "y")], constants)
    assert operators(same_after(model, [FuseScale()])) == {"Conv": 1}


def test_a_scale_by_row_stays():
    constants = {"w": weights(4, 4, 3, 3), "s": weights(6, 1)}
    model = make([CONV, node("Mul", "c s", "y")], constants)
    assert operators(same_after(model, [FuseScale()])) == {"Conv": 1, "Mul": 1}


@pytest.mark.parametrize(
    "kind, inputs, attributes",
    [
        ("Relu", "", {}),
        ("Sigmoid", "", {}),
        ("Tanh", "", {}),
        ("LeakyRelu", "", {"alpha": 0.3}),
        ("HardSigmoid", "", {"alpha": 0.4, "beta": 0.3}),
        ("Clip", "low high", {}),
    ],
)
def test_an_activation_goes_into_the_convolution(kind, inputs, attributes):
    constants = {"w": weights(4, 4, 3, 3)}
    if inputs:
        constants |= {"low": np.float32(-0.2), "high": np.float32(0.7)}
    model = make([CONV, node(kind, f"c {inputs}", "y", **attributes)], constants)
    after = same_after(model, [FuseActivation()])
    assert operators(after) == {"FusedConv": 1}
    assert {o.domain for o in after.opset_import} == {"", "com.microsoft"}


def test_a_clip_whose_bound_the_run_decides_stays():
    model = make(
        [CONV, node("ReduceMax", "x", "top", keepdims=0), node("Clip", "c low top", "y")],
        {"w": weights(4, 4, 3, 3), "low": np.float32(0)},
    )
    assert operators(same_after(model, FUSING))["Clip"] == 1


@pytest.mark.parametrize("kind", ["Add", "Sum"])
@pytest.mark.parametrize("order", ["c x", "x c"])
def test_a_residual_sum_and_its_activation_go_into_the_convolution(kind, order):
    model = make([CONV, node(kind, order, "s"), node("Relu", "s", "y")], {"w": weights(4, 4, 3, 3)})
    after = same_after(model, FUSING)
    assert operators(after) == {"FusedConv": 1}
    assert after.graph.node[0].input[3] == "x"


def test_a_sum_that_broadcasts_stays():
    model = make(
        [CONV, node("GlobalAveragePool", "x", "p"), node("Add", "c p", "y")],
        {"w": weights(4, 4, 3, 3)},
    )
    assert operators(same_after(model, [FuseResidualAdd()]))["Add"] == 1


def test_a_convolution_with_its_activation_takes_no_sum_or_second_activation():
    model = make(
        [
            CONV,
            node("Relu", "c", "r"),
            node("Add", "r x", "s"),
            node("Relu", "s", "t"),
            node("Sigmoid", "t", "y"),
        ],
        {"w": weights(4, 4, 3, 3)},
    )
    after = same_after(model, FUSING)
    assert operators(after) == {"FusedConv": 1, "Add": 1, "Relu": 1, "Sigmoid": 1}


def test_double_precision_is_not_fused_into_the_runtimes_operator():
    model = make(
        [
            node("Cast", "x", "d", to=TensorProto.DOUBLE),
            node("Conv", "d w", "c"),
            node("Relu", "c", "r"),
            node("Cast", "r", "y", to=TensorProto.FLOAT),
        ],
        {"w": weights(4, 4, 3, 3).astype(np.float64)},
    )
    after, _ = optimize(model)  # the runtime has no such kernel, so that it cannot be run
    assert operators(after)["Relu"] == 1


# Layout


def test_transposes_compose_and_cancel():
    model = make(
        [
            node("Transpose", "x", "a", perm=[0, 2, 3, 1]),
            node("Transpose", "a", "b", perm=[0, 3, 1, 2]),
            node("Transpose", "b", "c", perm=[1, 0, 3, 2]),
            node("Transpose", "c", "d", perm=[2, 0, 1, 3]),
            node("Relu", "d", "y"),
        ]
    )
    after = same_after(model, [CancelTransposes(), RemoveDeadCode()])
    assert operators(after) == {"Transpose": 1, "Relu": 1}


def test_a_transpose_without_an_order_reverses_the_axes():
    model = make([node("Transpose", "x", "a"), node("Transpose", "a", "b"), node("Abs", "b", "y")])
    assert operators(same_after(model, [CancelTransposes(), RemoveDeadCode()])) == {"Abs": 1}


@pytest.mark.parametrize("constant", [(), (4,), (6, 4), (1, 6, 1, 4)])
def test_transposes_meet_behind_elementwise_operators(constant):
    model = make(
        [
            node("Transpose", "x", "a", perm=[0, 2, 3, 1]),
            node("Sigmoid", "a", "b"),
            node("Sub", "k b", "c"),
            node("Transpose", "c", "y", perm=[0, 3, 1, 2]),
        ],
        {"k": weights(*constant) if constant else np.float32(0.3)},
    )
    after = same_after(model, [SinkTransposes(), CancelTransposes(), RemoveDeadCode()])
    assert operators(after) == {"Sigmoid": 1, "Sub": 1}


def test_two_transposed_summands_become_one_transpose():
    model = make(
        [
            node("Transpose", "x", "a", perm=[0, 2, 3, 1]),
            node("Abs", "x", "b"),
            node("Transpose", "b", "c", perm=[0, 2, 3, 1]),
            node("Add", "a c", "y"),
        ]
    )
    assert operators(same_after(model, FUSING))["Transpose"] == 1


def test_a_transpose_with_another_user_and_two_different_ones_stay():
    model = make(
        [
            node("Transpose", "x", "a", perm=[0, 1, 3, 2]),
            node("Relu", "a", "y"),
            node("ReduceSum", "a", "z"),
            node("Transpose", "x", "b", perm=[0, 1, 2, 3]),
            node("Transpose", "x", "c", perm=[0, 1, 3, 2]),
            node("Add", "b c", "w"),
        ],
        outputs=("y", "z", "w"),
    )
    assert operators(same_after(model, [SinkTransposes()]))["Transpose"] == 3


# The manager


def test_a_network_shrinks_at_each_step_and_keeps_its_logits(network, images):
    model = unfolded(network, images)
    seen: list[onnx.ModelProto] = []
    after, steps = optimize(model, FUSING, see=lambda step, now: seen.append(now))
    wanted = run(model, {"images": images})[0]
    for now in seen:
        found = run(now, {"images": images})[0]
        assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
    counts = [sum(operators(m).values()) for m in (model, *seen)]
    assert all(b <= a for a, b in pairwise(counts))
    assert operators(after) == {"FusedConv": 5, "Conv": 1, "ReduceMean": 1, "Gemm": 1}
    assert all(step.rewrites > 0 for step in steps)


def test_the_portable_passes_use_no_operator_of_a_runtime(network, images):
    after, _ = optimize(unfolded(network, images), PORTABLE)
    assert {o.domain for o in after.opset_import} == {""}
    assert "BatchNormalization" not in operators(after)


def test_a_second_run_finds_nothing(network, images):
    once, _ = optimize(unfolded(network, images))
    assert optimize(once)[1] == []


def test_the_given_model_is_not_changed(network, images):
    model = unfolded(network, images)
    before = model.SerializeToString(deterministic=True)
    optimize(model)
    assert model.SerializeToString(deterministic=True) == before


def test_channels_last_leaves_no_transpose_after_the_passes(network, images):
    plain = unfolded(network, images)
    model = channels_last(plain)
    assert operators(model)["Transpose"] > 20
    after, _ = optimize(model)
    assert operators(after)["Transpose"] == 0
    np.testing.assert_allclose(
        run(after, {"images": images})[0], run(plain, {"images": images})[0], rtol=1e-4, atol=1e-4
    )


def test_an_invalid_model_is_refused():
    with pytest.raises(onnx.checker.ValidationError):
        optimize(make([node("Relu", "nothing", "y")]))


class Endless(Pass):
    name = "endless"

    def apply(self, model: ir.Model) -> int:
        return 1


def test_passes_that_find_no_end_are_stopped():
    with pytest.raises(RuntimeError, match="undo each other"):
        optimize(make([node("Relu", "x", "y")]), [Endless()], rounds=3)


class Breaking(Pass):
    name = "breaking"

    def apply(self, model: ir.Model) -> int:
        for one in model.graph:
            one.op_type = "NoSuchOperator"
        return 1


def test_a_pass_that_breaks_the_model_is_caught_by_the_checker():
    with pytest.raises(onnx.checker.ValidationError, match="NoSuchOperator"):
        optimize(make([node("Relu", "x", "y")]), [Breaking()])


# ONNX's own models


@pytest.mark.parametrize("kept", [None, 1, 0])
def test_onnx_test_models_still_give_what_they_must(kept):
    cases = backend_cases(("node", "simple"), ("conv", "batch_normalization", "transpose", "if_"))
    outcomes = [try_case(case if kept is None else frozen(case, kept)) for case in cases]
    assert len(outcomes) >= 20
    assert [o for o in outcomes if o.error] == []
    if kept == 0:
        assert sum(o.rewritten for o in outcomes) >= 15


def test_a_wrong_pass_fails_the_test_models():
    class Negate(Pass):
        name = "negate"

        def apply(self, model: ir.Model) -> int:
            found = [one for one in model.graph if one.op_type == "Relu"]
            for one in found:
                one.op_type = "Neg"
            return len(found)

    case = next(c for c in backend_cases(("node",), ("relu",)) if c.name == "test_relu")
    assert try_case(case).error is None
    assert "differs" in str(try_case(case, [Negate()]).error)


def test_an_unknown_kind_of_models_is_named():
    with pytest.raises(ValueError, match=r"'none'.*light"):
        next(backend_cases(("none",)))


# Traffic


def test_the_bytes_by_shapes_are_those_of_the_operators_that_run():
    import torch

    x = torch.randn(2, 3, 4, 5)
    out = torch.empty_like(x)
    with watch() as seen:
        torch.add(torch.relu(x), x, out=out)
    assert [(op.reads, op.writes) for op in seen] == [(480, 480), (960, 480)]


def test_fusion_saves_four_sevenths_of_the_bytes():
    alone, together = chain_operations((8, 16, 32, 32))
    small = 2 * 16 * 4
    tensor = 8 * 16 * 32 * 32 * 4
    assert sum(op.bytes for op in alone) == 7 * tensor + small
    assert sum(op.bytes for op in together) == 3 * tensor + small


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="four sizes"):
        chain_operations((1, 2, 3))
    with pytest.raises(ValueError, match="count = 0"):
        triad(0)


def test_calls_are_timed_in_turns():
    order: list[str] = []
    found = time_in_turns({k: lambda k=k: order.append(k) for k in "ab"}, rounds=3, min_time=0.0)
    assert order == ["a", "a", "b", "b", "a", "b", "a", "b", "a", "b"]
    assert all(seconds >= 0 for seconds in found.values())


def test_a_step_tells_what_is_left():
    _, steps = optimize(make([node("Identity", "x", "a"), node("Relu", "a", "y")]))
    assert [(s.round, s.name, s.rewrites, dict(s.nodes)) for s in steps] == [
        (1, "identities", 1, {"Relu": 1})
    ]
    assert isinstance(steps[0], Step)
