import copy

import numpy as np
import pytest
import torch

from cnn_inference_pipeline import standalone
from cnn_inference_pipeline.deployment import RUNTIMES, deployable, pack, unpack
from cnn_inference_pipeline.lessons import Lessons, ask, learn, make_views
from cnn_inference_pipeline.narrowing import graph_of, graph_state, narrow
from cnn_inference_pipeline.pipeline import on_grid, rounded
from cnn_inference_pipeline.student import Student, stem_stride
from quantized_cnn.affine import Scheme
from quantized_cnn.channels import multiplications
from quantized_cnn.graph import trace
from quantized_cnn.qat import QuantizationAware


@pytest.fixture
def graph(dataset):
    torch.manual_seed(0)
    model = Student(2, 1, 16, (16, 32), (1, 1), 1).train()
    with torch.no_grad():
        for _ in range(10):
            model(dataset.images.x_train)
    return trace(model.eval())


@pytest.mark.parametrize("size, rows", [(8, 8), (16, 16), (32, 16), (64, 16), (96, 24)])
def test_the_stem_leaves_about_sixteen_rows(size, rows):
    model = Student(3, 3, 4, (4, 8), (1, 1), stem_stride(size)).eval()
    x = torch.randn(2, 3, size, size)
    assert model.conv(x).shape[-1] == rows
    assert model(x).shape == (2, 3)


def test_channels_go_in_whole_blocks_and_the_least_important_first(graph, dataset):
    images = dataset.images
    batches = [(images.x_train, images.y_train)]
    whole = sum(multiplications(graph, (1, 8, 8)).values())
    small = narrow(copy.deepcopy(graph), 0.3, (1, 8, 8), batches, block=8)
    left = sum(multiplications(small, (1, 8, 8)).values())
    assert left <= 0.7 * whole
    sizes = {len(small.weights[node.name]) for node in small.layers()} - {2}
    assert all(size % 8 == 0 for size in sizes)
    assert small(images.x_test).shape == (40, 2)
    with pytest.raises(ValueError, match="every group is down to one block"):
        narrow(copy.deepcopy(graph), 0.99, (1, 8, 8), batches, block=8)


def test_channels_that_do_nothing_go_first_and_change_nothing(graph, dataset):
    x = dataset.images.x_test
    dead = torch.zeros(32, dtype=torch.bool)
    dead[3:11] = True
    name = [node.name for node in graph.nodes if node.op == "norm"][3]  # inside the second block
    with torch.no_grad():
        graph.norms[name].weight[dead] = 0.0
        graph.norms[name].bias[dead] = 0.0
    expected = graph(x)
    batches = [(dataset.images.x_train, dataset.images.y_train)]
    small = narrow(graph, 0.01, (1, 8, 8), batches, block=8)
    torch.testing.assert_close(small(x), expected, rtol=1e-4, atol=1e-5)


def test_a_graph_is_kept_as_plain_values(graph, dataset, tmp_path):
    torch.save(graph_state(graph), tmp_path / "graph.pt")
    again = graph_of(torch.load(tmp_path / "graph.pt", weights_only=True))
    x = dataset.images.x_test
    torch.testing.assert_close(again(x), graph(x), rtol=0, atol=0)


def test_teachers_answer_views_once_and_go_on_where_they_stopped(graph, dataset):
    views = make_views(dataset.images, 3, seed=0)
    assert views.x.shape == (3 * 80, 1, 8, 8)
    assert views.x.dtype == torch.uint8
    answers = ask([graph, graph], views, bf16=False)
    torch.testing.assert_close(
        answers, graph(views.images(views.x)).log_softmax(1), rtol=1e-3, atol=1e-4
    )

    class Store:
        state = None

        def load(self):
            return self.state

        def save(self, state):
            self.state = list(state)

    store = Store()
    whole = ask([graph], views, bf16=False, checkpoint=store, batch_size=4)
    assert len(store.state) == 3
    store.state = store.state[:1]
    seen = []
    again = ask([graph], views, False, lambda parts: seen.append(list(parts)) or seen[-1], store, 4)
    assert seen == [[1, 2]]
    torch.testing.assert_close(again, whole, rtol=0, atol=0)


def test_a_student_comes_near_its_teacher(graph, dataset):
    views = make_views(dataset.images, 4, seed=0)
    lessons = Lessons(views.x, ask([graph], views, bf16=False), views.low, views.step)
    torch.manual_seed(1)
    student = Student(2, 1, 8, (8,), (1,), 1)
    losses = learn(student, lessons, passes=16, views=4, learning_rate=0.05, seed=0, batch_size=32)
    assert len(losses) == 4
    assert losses[-1] < 0.5 * losses[0]


def test_few_bits_survive_the_runtimes_own_quantizer_and_pack_small(graph, dataset):
    seen = torch.from_numpy(dataset.calibration)
    scheme = Scheme(4, signed=True, symmetric=True, axis=0, narrow=True)
    grid = rounded(QuantizationAware(graph, seen, scheme, Scheme(8)))
    inner = [node.name for node in grid.layers()][1:-1]
    folded = deployable(grid)
    for name in inner:
        for channel in folded.weights[name]:
            assert len(channel.unique()) <= 15
    runtime = RUNTIMES["onnxruntime"]
    files = [runtime.build(g, dataset.calibration, "int8") for g in (folded, deployable(graph))]
    assert len(pack(files[0])) < 0.75 * len(pack(files[1]))
    assert unpack(pack(files[0])) == files[0]
    session = runtime.open(files[0], (1, 8, 8), "int8", 1)
    x = dataset.normalized(dataset.x_test)
    expected = folded(torch.from_numpy(x)).numpy()
    assert np.abs(session.run(x) - expected).max() < 0.05 * np.abs(expected).max()


def test_fewer_bits_give_smaller_files(graph, dataset):
    build = RUNTIMES["onnxruntime"].build
    sizes = [
        len(pack(build(on_grid(deployable(graph), bits), dataset.calibration[:8], "int8")))
        for bits in (8, 6, 4)
    ]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("name", ["litert", "onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_is_opened_from_a_file_answers_as_the_network(graph, dataset, name, precision):
    runtime = RUNTIMES[name]
    if runtime.absent():
        pytest.skip(runtime.absent())
    content = runtime.build(deployable(graph), dataset.calibration, precision)
    session = runtime.open(content, (1, 8, 8), precision, 1)
    x = dataset.normalized(dataset.x_test)
    expected = graph(torch.from_numpy(x)).detach().numpy()
    error = np.abs(session.run(x) - expected).max() / np.abs(expected).max()
    assert error < (1e-4 if precision == "fp32" else 0.1)
    assert session.info().size_bytes == len(pack(content))
    alone = standalone.open_model({"runtime": name, "threads": 1}, content)
    np.testing.assert_allclose(alone(x[:1]), session.run(x[:1]), rtol=1e-5, atol=1e-5)


def test_a_damaged_file_is_told():
    with pytest.raises(ValueError, match="damaged"):
        unpack(pack(b"a model")[:-5])
