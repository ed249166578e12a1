import types

import pytest
import torch

from cnn_inference_pipeline.stages import Stages, stage_key


def source(tmp_path, text):
    module = types.ModuleType("made")
    path = tmp_path / "made.py"
    path.write_text(text)
    module.__file__ = str(path)
    return module


def test_a_stage_is_done_once(tmp_path):
    calls = []

    def make(progress):
        calls.append(1)
        return {"x": torch.arange(3), "name": "a", "bits": [1, 2]}

    for _ in range(2):
        stages = Stages(tmp_path / "work")
        result = stages.run("train", make, parameters={"epochs": 2})
        torch.testing.assert_close(result.value["x"], torch.arange(3))
        assert (result.value["name"], result.value["bits"]) == ("a", [1, 2])
    assert len(calls) == 1
    assert (stages.done, stages.found) == ([], ["train"])


def test_all_that_decides_the_result_is_in_the_key(tmp_path):
    keys = {
        stage_key("train", {"epochs": 2}, [], []),
        stage_key("prune", {"epochs": 2}, [], []),
        stage_key("train", {"epochs": 3}, [], []),
        stage_key("train", {"epochs": 2}, ["data"], []),
        stage_key("train", {"epochs": 2}, [], [source(tmp_path, "x = 1")]),
        stage_key("train", {"epochs": 2}, [], [source(tmp_path, "x = 2")]),
    }
    assert len(keys) == 6
    assert stage_key("a", {"b": 1, "c": 2}, [], []) == stage_key("a", {"c": 2, "b": 1}, [], [])


def test_a_stage_that_fails_keeps_nothing_but_the_state_of_its_training(tmp_path):
    stages = Stages(tmp_path)

    def fail(progress):
        progress.save({"epoch": 3})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.run("train", fail, parameters={})
    assert [path.suffix for path in tmp_path.iterdir()] == [".unfinished"]

    def go_on(progress):
        return {"from": progress.load()["epoch"]}

    assert stages.run("train", go_on, parameters={}).value == {"from": 3}
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt"]


def test_a_result_that_could_not_be_read_again_is_refused_at_once(tmp_path):
    with pytest.raises(Exception, match=r"[Ww]eights"):
        Stages(tmp_path).run("train", lambda progress: {"x": object()}, parameters={})
    assert list(tmp_path.glob("*.pt")) == []
