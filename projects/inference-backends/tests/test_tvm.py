import importlib.util

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from inference_backends.backends.base import UnsupportedError
from inference_backends.backends.tvm_llvm import Tvm

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tvm") is None, reason="apache-tvm is not installed"
)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    """No log of the user's takes part."""
    monkeypatch.setenv("GROUNDWORK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def convolution():
    """A convolution with a ReLU; and two inputs (2, 4, 6, 6)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU()).eval()
    return model, np.random.default_rng(0).standard_normal((2, 4, 6, 6), dtype=np.float32)


@pytest.fixture(scope="module")
def searched(convolution, tmp_path_factory):
    """Tasks, target, loop nests, log, and how many schedules three searches measured."""
    from inference_backends import tvm_compiling as compiling
    from inference_backends import tvm_tuning as tuning

    model, x = convolution
    target = compiling.cpu_target(1)
    bound = compiling.bind_batch(compiling.import_network(model, x), len(x))
    nests = compiling.fuse_layers(compiling.last_channels(bound), target)
    tasks = tuning.find_tasks(nests, target)
    log = tmp_path_factory.mktemp("tuning") / "log"
    before = set(psutil.Process().children(recursive=True))
    with tuning.Workers(1) as workers:
        counts = [
            tuning.tune(tasks, target, log, trials, seed=0, workers=workers, population=16)
            for trials in (2, 4, 4)
        ]
    left = set(psutil.Process().children(recursive=True)) - before
    return tasks, target, nests, log, (counts, left)


def close(ours, model, x):
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    return np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()


def test_outputs_are_pytorchs_for_every_number_of_images(network, images):
    session = Tvm().compile(network, images[:2], threads=2)
    assert all(close(session.run(images[:n]), network, images[:n]) for n in (2, 1, 5))


@pytest.mark.usefixtures("convolution")
def test_calls_get_the_threads_that_were_asked_for_in_any_order():
    import tvm

    from inference_backends.tvm_compiling import Threads

    count = tvm.get_global_func("runtime.NumThreads")
    assert [Threads(n)(count) for n in (1, 2, 1, 5, 2)] == [1, 2, 1, 5, 2]


def test_a_folder_without_a_log_is_refused_with_what_it_should_hold(convolution, tmp_path):
    model, x = convolution
    with pytest.raises(ValueError, match=r"is no tuning log; a folder with database_workload"):
        Tvm(tmp_path).compile(model, x)


def test_an_operation_that_tvm_lacks_is_named(convolution):
    class Odd(nn.Module):
        def forward(self, x):
            return torch.special.i1(x).flatten(1)

    with pytest.raises(UnsupportedError, match=r"i1.*eager"):
        Tvm().compile(Odd().eval(), convolution[1])


def test_a_search_goes_on_from_its_log_and_a_finished_one_measures_nothing(searched):
    from inference_backends.tvm_tuning import trials_of

    (task,), _, _, log, (counts, _) = searched
    assert counts == [2, 2, 0]
    assert len(trials_of(log, task)) == 4
    assert min(trials_of(log, task)) < 1.0


def test_the_processes_that_search_end_with_their_context(searched):
    assert searched[-1][1] == set()


def test_a_task_says_its_shape_and_its_work(searched):
    (task,) = searched[0]
    assert task.label == "3×3, 4→8, 6²"
    products = 2 * 6 * 6 * 9 * 4 * 8
    assert 2 * products <= task.flop <= 2.1 * products


def test_a_published_log_is_used_by_the_backend_and_gives_the_same_outputs(
    searched, convolution, tmp_path
):
    from inference_backends import tvm_tuning as tuning

    tasks, target, _, log, _ = searched
    model, x = convolution
    place = tmp_path / "published"
    assert tuning.publish(log, tasks, target, place) == 1
    assert tuning.publish(log, tasks, target, place) == 0
    assert min(tuning.trials_of(place, tasks[0])) == min(tuning.trials_of(log, tasks[0]))
    assert close(Tvm(place).compile(model, x).run(x), model, x)


def test_compiling_from_the_log_gives_other_code_than_without(searched, tmp_path):
    from inference_backends.tvm_compiling import read_log

    (task,), target, _, log, _ = searched
    assert read_log(log).query_tuning_record(task.nest, target, task.name) is not None
    assert read_log(tmp_path).query_tuning_record(task.nest, target, task.name) is None


def test_fewer_than_one_trial_is_refused(tmp_path):
    from inference_backends.tvm_tuning import tune

    with pytest.raises(ValueError, match=r"trials = 0; 1 or more"):
        tune([], None, tmp_path, 0, seed=0, workers=None)


def test_a_device_gives_the_same_outputs_and_its_processes_end_even_when_the_caller_fails(
    searched, convolution, tmp_path
):
    from inference_backends import tvm_compiling as compiling
    from inference_backends import tvm_tuning as tuning

    _, target, nests, log, _ = searched
    x = convolution[1]
    before = set(psutil.Process().children(recursive=True))
    executable = compiling.build_tuned(nests, target, log)
    answers = []

    def ask_and_fail():
        with tuning.device(1) as there:
            answers.append(there(executable, x, tmp_path / "network.so"))
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        ask_and_fail()
    (answer,) = answers
    assert np.array_equal(answer.logits, compiling.caller(executable, 1)(x))
    assert answer.seconds > 0
    assert set(psutil.Process().children(recursive=True)) <= before
