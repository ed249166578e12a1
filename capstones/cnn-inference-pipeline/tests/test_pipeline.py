import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnn_inference_pipeline.__main__ import main
from cnn_inference_pipeline.bench import Bench
from cnn_inference_pipeline.bundle import Bundle
from cnn_inference_pipeline.model_source import load_model
from cnn_inference_pipeline.pipeline import Pipeline, Recipe
from cnn_inference_pipeline.stages import Stages
from groundwork.errors import UsageError
from groundwork.testing import run_lab

LAB = "cnn-inference-pipeline/optimize-and-benchmark"
QUICK = {
    "epochs": 2, "views": 2, "passes": 4, "prune_passes": 2, "aware_passes": 2, "threads": 1,
    "seconds": 0.01, "max_accuracy_drop": 60.0,
}  # fmt: skip
RECIPE = Recipe(
    epochs=3, stem=8, widths=(16,), blocks=(1,), views=2, passes=6, prune=0.1, prune_passes=2,
    aware_passes=2, block=8,
)  # fmt: skip


def make_pipeline(dataset, folder, recipe=RECIPE, bars=None):
    return Pipeline(
        dataset, load_model("resnet6"), recipe, Stages(folder),
        bars or (lambda items, label: items),
    )  # fmt: skip


def run_stages(pipeline):
    """Everything up to weights of few bits, for one seed; the last network's outputs."""
    originals = [pipeline.original(0)]
    lessons = pipeline.lessons(originals)
    network = pipeline.student(0, lessons)
    network = pipeline.pruned(0, network, lessons)
    network = pipeline.aware(0, network, lessons, 4)
    pipeline.export(network, "onnxruntime", "int8")
    with torch.no_grad():
        return network[0](pipeline.data.images.x_test)


ALL = ["train", "ask", "distil", "prune", "quantise", "export"]


def test_a_change_redoes_only_what_depends_on_it(dataset, tmp_path):
    first = make_pipeline(dataset, tmp_path)
    outputs = run_stages(first)
    assert first.stages.done == ALL
    same = make_pipeline(dataset, tmp_path)
    torch.testing.assert_close(run_stages(same), outputs, rtol=0, atol=0)
    assert (same.stages.done, same.stages.found) == ([], ALL)
    from dataclasses import replace

    for change, redone in (
        ({"aware_passes": 4}, ["quantise", "export"]),
        ({"prune_passes": 4}, ["prune", "quantise", "export"]),
        ({"widths": (24,)}, ["distil", "prune", "quantise", "export"]),
        ({"epochs": 2}, ALL),
    ):
        other = make_pipeline(dataset, tmp_path, replace(RECIPE, **change))
        run_stages(other)
        assert other.stages.done == redone, change


@pytest.mark.parametrize("stage", ["train", "distil", "prune", "quantise"])
def test_a_pipeline_killed_in_a_training_goes_on_there(dataset, tmp_path, stage):
    expected = run_stages(make_pipeline(dataset, tmp_path / "whole"))
    steps = []

    def kill(items, label):
        for item in items:
            if label.startswith(stage) and item == 1:
                raise KeyboardInterrupt
            yield item

    def watch(items, label):
        for item in items:
            steps.append((label.split(",")[0], item))
            yield item

    recipe = RECIPE
    if stage in ("prune", "quantise"):
        from dataclasses import replace

        recipe = replace(RECIPE, prune_passes=6, aware_passes=6)
        expected = run_stages(make_pipeline(dataset, tmp_path / "whole", recipe))
    with pytest.raises(KeyboardInterrupt):
        run_stages(make_pipeline(dataset, tmp_path / "killed", recipe, kill))
    again = make_pipeline(dataset, tmp_path / "killed", recipe, watch)
    torch.testing.assert_close(run_stages(again), expected, rtol=1e-4, atol=1e-4)
    assert min(item for label, item in steps if label == stage) == 1
    assert again.stages.done == ALL[ALL.index(stage) :]
    assert not list((tmp_path / "killed").glob("*.unfinished"))


class Attention(torch.nn.Module):
    """A layer that no graph of ours has a node for."""

    def forward(self, x):
        return torch.softmax(x, 1)


def test_an_unsupported_layer_names_itself_and_what_takes_it(dataset, tmp_path):
    pipeline = make_pipeline(dataset, tmp_path)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), Attention())
    with pytest.raises(UsageError, match=r"softmax.*eager.*take.*--student true"):
        pipeline.traced(model)


def test_runtimes_that_do_not_take_the_original_are_told_and_left_out(dataset, monkeypatch):
    from inference_backends.backends import UnsupportedError
    from inference_backends.backends.onnx_runtime import OnnxRuntime

    def refuse(*args, **options):
        raise UnsupportedError("fold (Fold): aten.fold has no form in ONNX; eager takes it")

    monkeypatch.setattr(OnnxRuntime, "_compile", refuse)
    told = []
    bench = Bench(dataset, 1, told.append, ("onnxruntime",))
    torch.manual_seed(0)
    base = bench.add_originals([load_model("resnet6").make(2, 1).eval()])
    assert [form.name for form in bench.forms] == [base.name] == ["original eager fp32"]
    assert told == ["original in onnxruntime int8: " + "fold (Fold): aten.fold has no form in "
                    "ONNX; eager takes it"]  # fmt: skip


@pytest.fixture
def bundled(folder, tmp_path):
    """A bundle made of a user's folder of images and a user's own model."""
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def make(classes, channels):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 8, 3, 1, 1), nn.GELU(),\n"
        "        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))\n"
    )
    result = run_lab(
        LAB, tmp_path / "run", data=str(folder), model=f"{tmp_path / 'net.py'}:make",
        mirror=False, work=str(tmp_path / "work"), bundle=str(tmp_path / "bundle"),
        **(QUICK | {"passes": 16}),
    )  # fmt: skip
    return tmp_path / "bundle", result


def command(monkeypatch, *words):
    """The package's own command; its status."""
    monkeypatch.setattr(sys, "argv", ["cnn-inference-pipeline", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code


def test_a_bundle_of_a_users_model_and_images_predicts(bundled, folder, monkeypatch, capsys):
    place, result = bundled
    assert result.value("bundle_error") == 0.0
    names = {path.name for path in place.iterdir()}
    assert names == {"README.md", "config.json", "labels.json", "model.onnx.xz", "predict.py"}
    assert json.loads((place / "labels.json").read_text()) == ["left", "right"]
    card = (place / "README.md").read_text()
    assert "original, PyTorch fp32" in card
    assert str(folder.parent) not in card
    bundle = Bundle.open(place)
    image = sorted((folder / "left").iterdir())[0]
    pixels = bundle.read(image)
    (shares,) = bundle.predict(pixels[None])
    assert set(shares) == {"left", "right"}
    assert sum(shares.values()) == pytest.approx(1.0)
    capsys.readouterr()
    assert command(monkeypatch, "predict", place, image, image, "--json", "--top", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["labels"] == pytest.approx(shares)
    assert command(monkeypatch, "predict", place, image) == 0
    best = next(iter(shares))
    line = f"{image}: {best} {100 * shares[best]:.1f} %\n"
    assert capsys.readouterr().out == line
    alone = [sys.executable, "-I", str(place / "predict.py"), str(image)]
    assert subprocess.run(alone, capture_output=True, text=True, check=True).stdout == line


def test_what_predict_cannot_take_gets_one_line_and_status_2(
    bundled, folder, tmp_path, monkeypatch, capsys
):
    place, _ = bundled
    image = sorted((folder / "left").iterdir())[0]
    Image.new("L", (9, 8)).save(tmp_path / "wide.png")
    (tmp_path / "text.png").write_text("no image")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in place.iterdir():
        content = path.read_bytes()
        (damaged / path.name).write_bytes(content[:-1] if path.suffix == ".xz" else content)
    for words, tells in (
        ([place, tmp_path / "wide.png"], "is 9×8; the bundle takes 8×8"),
        ([place, tmp_path / "text.png"], "cannot be read as an image"),
        ([tmp_path, image], "is no bundle"),
        ([damaged, image], "its checksum is another"),
        ([place], "Usage: cnn-inference-pipeline predict"),
        ([place, image, "--top", "none"], "--top 'none' is not taken"),
        ([place, image, "--fast"], "--fast is not an option of predict"),
    ):
        capsys.readouterr()
        assert command(monkeypatch, "predict", *words) == 2, words
        errors = capsys.readouterr().err
        assert tells in errors
        assert len(errors.splitlines()) == 1


def test_a_target_that_cannot_be_met_ends_with_the_front_and_status_3(
    tmp_path, monkeypatch, capsys
):
    words = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in (QUICK | {"min_speedup": 1e6, "work": tmp_path / "work"}).items()
    ]
    kept = [*words, f"--bundle={tmp_path / 'bundle'}"]
    status = command(monkeypatch, "optimize-and-benchmark", "--preset", "smoke", *kept)
    out = capsys.readouterr()
    assert status == 3
    last = out.err.splitlines()[-1]
    assert "× quicker, 1e+06× wanted" in last
    assert "The best front: " in last
    assert "µs" in last
    assert "stages" in out.out
    assert "Targets that it misses" in (tmp_path / "bundle" / "README.md").read_text()
    run = Path(out.out.splitlines()[-1].removeprefix("Run: "))
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_bad_input_of_the_lab_is_refused_with_status_2(tmp_path, monkeypatch, capsys):
    for words, tells in (
        (["--data", tmp_path], "holds no images"),
        (["--model", "resnet1"], "resnet20, resnet6 or FILE.py:factory"),
        (["--widths", "16,32"], "--widths has 2 stages, --blocks 1"),
        (["--max-accuracy-drop", "-1"], "at least 0"),
    ):
        status = command(monkeypatch, "optimize-and-benchmark", "--preset", "smoke", *words)
        errors = capsys.readouterr().err
        assert status == 2
        assert tells in errors
        assert len(errors.splitlines()) == 1


def test_where_pruning_was_too_much_the_unpruned_network_is_quantised(tmp_path):
    run_lab(
        LAB, tmp_path / "run", student=False, work=str(tmp_path / "work"),
        **(QUICK | {"max_size_mb": 0.001}),
    )  # fmt: skip
    table = json.loads((tmp_path / "run" / "stages.json").read_text())
    macs = {row[0]: row[5] for row in table["rows"]}
    assert list(macs) == ["original", "pruned", "PTQ", "QAT", "QAT unpruned"]
    assert macs["QAT"] < macs["QAT unpruned"] == macs["original"]
    assert "MB, 0.001 allowed" in json.loads((tmp_path / "run" / "run.json").read_text())["unmet"]


def test_few_bits_are_trained_where_the_file_would_be_too_large(tmp_path):
    result = run_lab(
        LAB, tmp_path / "run", student=False, work=str(tmp_path / "work"),
        **(QUICK | {"max_size_mb": 0.0052, "aware_passes": 4}),
    )  # fmt: skip
    table = json.loads((tmp_path / "run" / "stages.json").read_text())
    stages = [row[0] for row in table["rows"]]
    assert stages == ["original", "original", "pruned", "PTQ", "QAT"]
    sizes = dict(zip(stages, [row[4] for row in table["rows"]], strict=True))
    assert sizes["QAT"] < sizes["PTQ"] < sizes["original"]
    assert np.isfinite(result.value("speedup@1"))
