import shutil

import numpy as np
import pytest

from inference_backends.backends.base import AbsentError
from inference_backends.tensorrt_plugin import (
    compile_for_cpu,
    compile_for_gpu,
    factors,
    instruction_counts,
    join,
    join_as_onnx,
    kernel,
    kernel_facts,
)


@pytest.fixture(scope="module")
def pairs():
    """All pairs of int8 values."""
    values = np.arange(-128, 128, dtype=np.int8)
    a, b = np.meshgrid(values, values)
    return np.ascontiguousarray(a.ravel()), np.ascontiguousarray(b.ravel())


@pytest.fixture(scope="module")
def on_cpu():
    return compile_for_cpu()


@pytest.mark.parametrize(
    "scales", [(1, 1, 1), (0.5, 0.5, 1), (1e-4, 3e-4, 2e-4), (7, 0.01, 0.3), (1e-30, 1, 1)]
)
def test_the_kernel_equals_numpy_on_all_pairs(pairs, on_cpu, scales):
    ka, kb = factors(*scales)
    np.testing.assert_array_equal(on_cpu(*pairs, ka, kb), join(*pairs, ka, kb))


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 4095, 4096, 4097, 8193])
@pytest.mark.parametrize("begin", [0, 1, 8, 15])
def test_every_element_is_written_whatever_the_length_and_the_place(on_cpu, length, begin):
    rng = np.random.default_rng(length)
    a, b = rng.integers(-128, 128, (2, begin + length)).astype(np.int8)[:, begin:]
    ka, kb = factors(0.02, 0.013, 0.017)
    np.testing.assert_array_equal(on_cpu(a, b, ka, kb), join(a, b, ka, kb))


def test_halves_are_rounded_to_even_and_ends_are_clamped(on_cpu):
    a = np.array([1, 3, 5, -1, 127, -128], np.int8)
    b = np.array([0, 0, 0, 0, 127, -128], np.int8)
    ka, kb = factors(0.5, 1.0, 1.0)
    np.testing.assert_array_equal(on_cpu(a, b, ka, kb), [0, 2, 2, 0, 127, 0])


def test_onnxs_order_of_operations_is_at_most_a_step_away(pairs):
    for scales in ((0.02, 0.013, 0.017), (0.7, 0.3, 0.9)):
        ours = join(*pairs, *factors(*scales)).astype(int)
        theirs = join_as_onnx(*pairs, *scales)
        assert np.abs(ours - theirs).max() <= 1
        assert (ours != theirs).mean() < 1e-3


@pytest.mark.parametrize("scales", [(0, 1, 1), (1, -1, 1), (1, 1, np.nan), (1, np.inf, 1)])
def test_scales_that_are_none_are_refused(scales):
    with pytest.raises(ValueError, match="positive, finite"):
        factors(*scales)


def test_factors_beyond_float32_are_refused():
    with pytest.raises(ValueError, match="less than 1e30"):
        factors(1e30, 1.0, 1e-30)


def test_arrays_of_another_kind_are_refused(on_cpu):
    one = np.float32(1)
    a = np.zeros(4, np.int8)
    with pytest.raises(TypeError, match="array of float32"):
        on_cpu(a.astype(np.float32), a, one, one)
    with pytest.raises(TypeError, match="contiguous"):
        on_cpu(np.zeros(8, np.int8)[::2], a, one, one)
    with pytest.raises(ValueError, match="one shape"):
        on_cpu(a, np.zeros(5, np.int8), one, one)


@pytest.fixture(scope="module")
def code():
    reason = kernel.nvrtc_absent()
    if reason:
        pytest.skip(f"the CUDA side is not compiled: {reason}")
    return compile_for_gpu("sm_90")


def test_the_gpus_code_holds_what_the_design_promises(code):
    facts = kernel_facts(code)
    assert code.cubin[:4] == b"\x7fELF"
    assert f".visible .entry {kernel.KERNEL}(" in code.ptx
    assert ".target sm_90" in code.ptx
    assert facts["loads_128"] == 2
    assert facts["stores_128"] == 1
    assert facts["conversions"] == facts["fused"] == facts["local"] == facts["spilled"] == 0
    assert 8 <= facts["registers"] <= 64


def test_the_kernel_takes_its_arguments_in_tensorrts_order(code):
    kinds = [
        line.split()[1]
        for line in code.ptx.splitlines()
        if line.strip().startswith(".param") and "junction_param" in line
    ]
    assert kinds == [".u64", ".u64", ".u32", ".u32", ".u32", ".u64"]


def test_the_counts_tell_conversions_where_there_are_some(code):
    assert instruction_counts(code)["convert"] == 0
    worse = kernel.CudaCode(
        code.architecture,
        code.version,
        code.ptx + "\n\tcvt.rn.f32.s32 %f1, %r1;\n\tcvt.rni.s32.f32 %r2, %f1;\n",
        code.cubin,
        code.log,
    )
    assert instruction_counts(worse)["convert"] == 2
    assert kernel_facts(worse)["conversions"] == 2


def test_an_architecture_that_is_none_is_refused_with_the_compilers_words(code):
    with pytest.raises(ValueError, match="does not compile the kernel for sm_1"):
        compile_for_gpu("sm_1")


def test_a_log_without_numbers_is_no_proof(code):
    silent = kernel.CudaCode(code.architecture, code.version, code.ptx, code.cubin, "")
    with pytest.raises(ValueError, match="does not tell"):
        kernel_facts(silent)


def test_without_nvrtc_compiling_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(kernel, "_nvrtc_path", lambda: None)
    with pytest.raises(AbsentError, match="comes with PyTorch's CUDA wheels"):
        compile_for_gpu()


def test_a_compiler_that_fails_is_told_with_its_words(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/false")
    monkeypatch.setattr(kernel.fetch, "cache", lambda: tmp_path)
    with pytest.raises(RuntimeError, match=r"/bin/false does not compile junction\.c"):
        compile_for_cpu()


def test_so_many_blocks_cover_all_elements():
    assert [kernel.blocks_for(n) for n in (1, 4096, 4097)] == [1, 1, 2]


@pytest.fixture
def device():
    from inference_backends.backends import make_backend

    reason = make_backend("tensorrt").absent()
    if reason:
        pytest.skip(f"the plugin is not tested in TensorRT: {reason}")


@pytest.mark.parametrize("count", [5, 4096, 100_003])
def test_the_plugin_equals_the_reference_in_an_engine(device, count):
    import torch

    from inference_backends.tensorrt_plugin import network

    rng = np.random.default_rng(0)
    a, b = rng.integers(-128, 128, (2, count)).astype(np.int8)
    scales = (0.02, 0.013, 0.017)
    tensors = {"a": torch.from_numpy(a).cuda(), "b": torch.from_numpy(b).cuda()}
    tensors["y"] = torch.zeros_like(tensors["a"])
    network.engine_call(network.junction_plan((count,), scales, own=True), tensors)()
    torch.cuda.synchronize()
    np.testing.assert_array_equal(tensors["y"].cpu().numpy(), join(a, b, *factors(*scales)))
