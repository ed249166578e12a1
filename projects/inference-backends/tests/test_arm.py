import json
import subprocess

import numpy as np
import pytest

from groundwork.errors import UsageError
from groundwork.testing import run_lab
from inference_backends import arm
from inference_backends.arm import building, emulating, predicting
from inference_backends.arm import tools as tools_module

try:
    TOOLS, ABSENT = arm.find_tools(), ""
except UsageError as error:
    TOOLS, ABSENT = None, str(error)
needs_tools = pytest.mark.skipif(TOOLS is None, reason=ABSENT)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    return {name: arm.build(TOOLS, entry, folder) for name, entry in arm.BUILDS.items()}


def extremes(kernel):
    """Sums as large as they get: a product of two ends everywhere."""
    if kernel == "dot":
        return np.full((2, 130), -128, np.int8), np.full(130, -127, np.int8)
    return np.full((4, 7, 16), -128, np.int8), np.full((3, 3, 16), -127, np.int8)


@needs_tools
@pytest.mark.parametrize("kernel", arm.KERNELS)
@pytest.mark.parametrize("name", arm.BUILDS)
def test_the_largest_products_do_not_overflow(programs, name, kernel):
    given = extremes(kernel)
    found = arm.emulate(TOOLS, programs[name], kernel, *given)
    np.testing.assert_array_equal(found, arm.reference(kernel, *given))


@needs_tools
@pytest.mark.parametrize("name", arm.BUILDS)
def test_sizes_that_no_vector_divides_are_summed_to_the_end(programs, name):
    rng = np.random.default_rng(0)
    for n in (1, 63, 64, 65, 201):
        values = rng.integers(-128, 128, (3, n), dtype=np.int8)
        weights = rng.integers(-127, 128, n, dtype=np.int8)
        found = arm.emulate(TOOLS, programs[name], "dot", values, weights)
        np.testing.assert_array_equal(found, values.astype(int) @ weights.astype(int))


@needs_tools
def test_only_the_builds_extension_is_asked_of_the_core(programs):
    given = extremes("dot")
    for name in ("plain", "vectorized", "neon"):
        arm.emulate(TOOLS, programs[name], "dot", *given, core="cortex-a53")
    with pytest.raises(RuntimeError, match="ended with"):
        arm.emulate(TOOLS, programs["dotprod"], "dot", *given, core="cortex-a53")


@needs_tools
def test_the_hot_loop_is_found_with_its_multiplications_and_loads(programs):
    values, weights = np.ones((1, 640), np.int8), np.ones(640, np.int8)
    counted = arm.trace(TOOLS, programs["dotprod"], "dot", values, weights)
    loop = arm.hot_loop(TOOLS, programs["dotprod"], "dot", counted, 640)
    assert loop.macs == 64
    assert loop.loaded == 128
    assert sum("sdot" in line for line in loop.lines) == 4
    found = arm.predict(TOOLS, loop, arm.CORES["neoverse-n1"])
    assert found.cycles >= 2  # four products on two units
    assert found.macs_per_cycle == pytest.approx(64 / found.cycles)
    assert max(found.pressure.values()) <= 1.01


@needs_tools
def test_the_peak_is_that_of_the_multipliers():
    assert arm.peak(TOOLS, arm.CORES["neoverse-n1"]) == pytest.approx(32, rel=0.01)
    assert arm.peak(TOOLS, arm.CORES["cortex-a55"]) == pytest.approx(16, rel=0.01)


def test_a_loads_bytes_are_read_off_its_registers():
    assert predicting.loaded_bytes("ldp\tq4, q5, [x9, #-0x20]") == 32
    assert predicting.loaded_bytes("ldrsb\tw10, [x8], #0x1") == 1
    assert predicting.loaded_bytes("ldr d3, [x1]") == 8
    assert predicting.loaded_bytes("ld1 { v0.16b, v1.16b }, [x0]") == 32
    assert predicting.loaded_bytes("str q3, [x1]") == 0


def test_the_reference_is_a_convolution():
    image = np.zeros((4, 5, 16), np.int8)
    image[1, 2] = 3
    weights = np.arange(-64, 80, dtype=np.int8).reshape(3, 3, 16)
    sums = arm.reference("depthwise", image, weights)
    np.testing.assert_array_equal(sums[0, 1], 3 * weights[1, 1].astype(int))
    np.testing.assert_array_equal(sums[1, 2], 3 * weights[0, 0].astype(int))


@pytest.mark.parametrize(
    "kernel, values, weights, words",
    [
        ("dot", np.ones((1, 4), np.int16), np.ones(4, np.int8), "int8 is taken"),
        ("dot", np.ones((1, 4), np.int8), np.ones(5, np.int8), r"\(count, n\)"),
        ("dot", np.ones((1, 4), np.int8), np.full(4, -128, np.int8), "-127 to 127"),
        ("depthwise", np.ones((4, 4, 8), np.int8), np.ones((3, 3, 8), np.int8), "multiple of 16"),
        ("depthwise", np.ones((2, 4, 16), np.int8), np.ones((3, 3, 16), np.int8), "border"),
    ],
)  # fmt: skip
def test_what_a_kernel_cannot_take_is_refused(kernel, values, weights, words):
    with pytest.raises(ValueError, match=words if words != "border" else "height"):
        emulating._input(kernel, values, weights)


def test_missing_tools_are_told_with_their_packages(monkeypatch):
    monkeypatch.setattr(tools_module.shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="qemu-user, llvm"):
        arm.find_tools()


def test_a_file_that_is_no_measurement_is_refused(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"mhz": 0, "kernels": []}))
    for name in ("a.json", "none.json"):
        with pytest.raises(UsageError, match="--measured"):
            run_lab(
                "inference-backends/arm-pipeline-study",
                tmp_path / "run",
                measured=str(tmp_path / name),
            )


def test_the_boards_script_says_what_machine_it_wants():
    script = building.SOURCES / "raspberry_pi.sh"
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True)
    if done.returncode != 0:
        assert "an aarch64 machine is wanted" in done.stderr
