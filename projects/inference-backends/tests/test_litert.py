import re
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from inference_backends import UnsupportedError, litert, make_backend
from inference_backends.backends import lite_rt

REASON = litert.absent()
needs_litert = pytest.mark.skipif(bool(REASON), reason=f"litert: {REASON}")


@pytest.fixture(scope="module")
def wanted(network, images):
    with torch.inference_mode():
        return network(torch.from_numpy(images)).numpy()


@pytest.fixture(scope="module")
def session(network, images):
    return make_backend("litert").compile(network, images, "fp32", threads=1)


@needs_litert
def test_float32_answers_as_pytorch_for_every_number_of_images(session, images, wanted):
    for size in (1, 7, 64, 1):
        np.testing.assert_allclose(session.run(images[:size]), wanted[:size], rtol=0, atol=1e-4)


@needs_litert
def test_a_network_of_integers_is_near_and_says_that_it_is_one(network, images, wanted):
    session = make_backend("litert").compile(network, images, "int8", threads=1)
    off = np.abs(session.run(images) - wanted).max() / np.abs(wanted).max()
    assert off <= 0.15
    assert session.info().precision == "int8"
    made = litert.contents(session.content)
    assert made.integer
    assert made.delegates == 1


@needs_litert
def test_smaller_weights_make_a_smaller_file(network, images):
    sizes = [
        litert.contents(litert.convert(network, images, scheme)).weights_bytes
        for scheme in ("fp32", "fp16-weights", "int8-weights")
    ]
    assert sizes[0] > 1.9 * sizes[1] > 3 * sizes[2]


@needs_litert
def test_a_second_conversion_is_taken_from_the_cache(network, images, session, monkeypatch):
    def refuse(*words):
        raise AssertionError(f"uv was started: {words}")

    monkeypatch.setattr(litert, "_uv", refuse)
    assert litert.convert(network, images, "fp32") == session.content
    with pytest.raises(AssertionError, match="uv was started"):
        litert.convert(network, images[:50], "int8")


@needs_litert
def test_the_converter_can_be_made_where_the_index_words_its_files_otherwise(tmp_path, monkeypatch):
    script = tmp_path / litert.SCRIPT.name
    shutil.copy(litert.SCRIPT, script)
    terse = re.sub(r', (size = \d+|upload-time = "[^"]*")', "", litert.LOCK.read_text("utf-8"))
    script.with_name(litert.LOCK.name).write_text(terse, encoding="utf-8")
    monkeypatch.setattr(litert, "SCRIPT", script)
    assert litert._converter_absent.__wrapped__() is None
    assert script.with_name(litert.LOCK.name).read_text("utf-8") == terse


@needs_litert
def test_an_answer_that_is_not_a_number_is_never_handed_on(network, images, monkeypatch):
    monkeypatch.setattr(
        lite_rt.LiteRtSession, "_run", lambda self, x: np.full((len(x), 10), np.nan, np.float32)
    )
    with pytest.raises(RuntimeError, match="not used"):
        make_backend("litert").compile(network, images, "fp32")


def test_a_network_that_is_not_converted_is_told_with_the_converters_word(
    network, images, monkeypatch, tmp_path
):
    monkeypatch.setenv("GROUNDWORK_CACHE", str(tmp_path))
    refused = litert.subprocess.CompletedProcess([], 3, "", "noise\nRuntimeError: no fft_fft2\n")
    monkeypatch.setattr(litert, "_uv", lambda *words: refused)
    with pytest.raises(UnsupportedError, match=r"no fft_fft2.*eager"):
        litert.convert(network, images)
    assert not list(tmp_path.rglob("*.tflite"))


def test_without_uv_the_backend_is_absent_and_says_what_to_install(monkeypatch):
    litert._converter_absent.cache_clear()
    monkeypatch.setattr(litert.shutil, "which", lambda name: None)
    reason = make_backend("litert").absent()
    litert._converter_absent.cache_clear()
    assert reason
    assert "pip install uv" in reason
    assert "\n" not in reason


def test_a_file_of_another_network_has_another_key():
    one, other = nn.Conv2d(1, 2, 3).eval(), nn.Conv2d(1, 2, 3).eval()
    programs = [
        litert.export_program(model, np.zeros((2, 1, 8, 8), np.float32))
        for model in (one, one, other)
    ]
    first, again, third = map(litert._digest, programs)
    assert first == again != third
