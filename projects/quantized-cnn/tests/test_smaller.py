"""Pruning, channel pruning, distillation, training."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from quantized_cnn.channels import (
    channel_groups,
    importance,
    multiplications,
    prune_channels,
    remove_channels,
)
from quantized_cnn.distillation import Distillation, Taps, attention_loss, logits_loss
from quantized_cnn.graph import trace
from quantized_cnn.networks import MobileNet, ResNet
from quantized_cnn.pruning import (
    Movement,
    apply_masks,
    cubic,
    layer_adapted,
    magnitude,
    masks_of,
    n_of_m,
    prunable,
    sparsity_of,
)
from quantized_cnn.training import fit

SHAPE = (1, 8, 8)


@given(sparsity=st.floats(0, 0.99))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_masks_leave_out_the_share_that_they_are_told(sparsity):
    scores = {"a": torch.rand(7, 11), "b": torch.zeros(30)}
    for scope in ("global", "layer"):
        masks = masks_of(scores, sparsity, scope)
        lost = sum(int((~mask).sum()) for mask in masks.values())
        assert abs(lost - sparsity * 107) <= 1.5


def test_the_smallest_go_first(model):
    masks = masks_of(magnitude(model), 0.6)
    kept = torch.cat([w.detach().abs()[masks[n]] for n, w in prunable(model).items()])
    lost = torch.cat([w.detach().abs()[~masks[n]] for n, w in prunable(model).items()])
    assert lost.max() <= kept.min()
    apply_masks(model, masks)
    assert sparsity_of(model) == pytest.approx(0.6, abs=1e-3)


def test_the_size_of_a_whole_layer_does_not_count(model):
    before = masks_of(layer_adapted(model), 0.9)
    with torch.no_grad():
        for k, weight in enumerate(prunable(model).values()):
            weight *= 10.0 ** (k % 3 - 1)
    after = masks_of(layer_adapted(model), 0.9)
    for name in before:
        assert (before[name] == after[name]).float().mean() > 0.999
        assert before[name].any()


def test_movement_tells_weights_that_grow_from_those_that_shrink():
    layer = nn.Linear(2, 1, bias=False)
    nn.init.ones_(layer.weight)
    model = nn.Sequential(layer)
    watcher = Movement(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        loss = (layer.weight - torch.tensor([[2.0, 0.0]])).square().sum()
        loss.backward()
        optimizer.step()
    watcher.close()
    grows, shrinks = watcher.scores["0.weight"][0]
    assert grows > 0 > shrinks
    (layer.weight.sum()).backward()
    assert watcher.scores["0.weight"][0, 0] == grows


@pytest.mark.parametrize("n, m", [(2, 4), (1, 4), (4, 4)])
def test_of_every_m_inputs_the_n_largest_stay(n, m):
    weight = torch.randn(6, 8, 3, 3)
    mask = n_of_m(weight, n, m)
    groups = mask.movedim(1, -1).reshape(-1, m)
    assert (groups.sum(1) == n).all()
    sizes = weight.abs().movedim(1, -1).reshape(-1, m)
    least = torch.where(groups, sizes, torch.inf).amin(1)
    most = torch.where(groups, 0.0, sizes).amax(1)
    assert (least >= most).all()
    assert n_of_m(torch.randn(4, 3, 3, 3), 2, 4).all()


def test_the_share_rises_to_its_end_and_no_further():
    shares = [cubic(t, 10, 0.8) for t in range(13)]
    assert shares[0] == 0
    assert shares[10] == shares[12] == 0.8
    assert all(a <= b for a, b in itertools.pairwise(shares))


def test_a_sparsity_of_all_is_refused():
    with pytest.raises(ValueError, match="sparsity is 1"):
        masks_of({"a": torch.ones(3)}, 1.0)
    with pytest.raises(ValueError, match="5:4 is no pattern"):
        n_of_m(torch.ones(4, 4), 5, 4)


# Channels


def test_what_an_addition_joins_is_one_group():
    groups = channel_groups(trace(ResNet()))
    assert len(groups) == 12
    stem = max(groups, key=lambda group: len(group.producers))
    assert {"conv", "stages_0_conv2", "stages_1_conv2", "stages_2_conv2"} == set(stem.producers)


def test_multiplications_are_the_papers():
    # 41 million for ResNet-20 on 32×32, He and others (2016), here with 1×1 short cuts.
    total = sum(multiplications(trace(ResNet()), (3, 32, 32)).values())
    assert total == pytest.approx(40.8e6, rel=0.01)


def test_removing_a_channel_that_says_nothing_changes_nothing(model, images):
    graph = trace(model)
    with torch.no_grad():
        for group in channel_groups(graph):
            for name in group.norms:
                graph.norms[name].weight[1] = 0.0
                graph.norms[name].bias[1] = 0.0
    expected = graph(images).detach()
    for group in channel_groups(graph):
        rest = torch.tensor([c for c in range(group.size) if c != 1])
        remove_channels(graph, group, rest)
    torch.testing.assert_close(graph(images).detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("criterion", ["size", "scale", "taylor"])
def test_pruning_meets_its_budget_and_the_rest_still_runs(model, images, criterion):
    graph = trace(model)
    before = sum(multiplications(graph, SHAPE).values())
    batches = [(images, torch.arange(48) % 10)]
    prune_channels(graph, 0.5, SHAPE, criterion, batches)
    after = sum(multiplications(graph, SHAPE).values())
    assert 0.3 * before < after <= 0.5 * before
    assert graph(images).shape == (48, 10)
    assert torch.isfinite(graph(images)).all()


def test_taylor_knows_a_channel_that_the_loss_does_not_feel(model, images):
    graph = trace(model)
    groups = channel_groups(graph)
    with torch.no_grad():
        for name in groups[-1].consumers:
            graph.weights[name][:, 0] = 0.0
    scores = importance(graph, groups, "taylor", [(images, torch.arange(48) % 10)])
    assert scores[-1][0] == 0
    assert scores[-1].argmin() == 0


def test_more_than_there_is_cannot_go(model):
    with pytest.raises(ValueError, match="cannot go"):
        prune_channels(trace(model), 0.9999, SHAPE, "scale")


def test_a_grouped_convolution_is_refused():
    with pytest.raises(ValueError, match="grouped convolution"):
        channel_groups(trace(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2))))


# Distillation


def test_the_loss_is_nothing_where_both_say_the_same():
    logits = torch.randn(5, 10)
    assert float(logits_loss(logits, logits + 3.0, 4.0)) == pytest.approx(0, abs=1e-5)
    assert float(logits_loss(logits, -logits, 4.0)) > 0
    features = torch.randn(2, 8, 4, 4)
    assert float(attention_loss(features, 7.0 * features)) == pytest.approx(0, abs=1e-6)


def test_the_temperature_keeps_the_gradients_size():
    teacher = torch.randn(64, 10)
    sizes = []
    for temperature in (1.0, 8.0):
        student = (0.1 * torch.randn(64, 10)).requires_grad_()
        logits_loss(student, teacher, temperature).backward()
        sizes.append(float(student.grad.norm()))
    assert 0.2 < sizes[0] / sizes[1] < 5


def test_the_teacher_does_not_learn_and_the_hooks_come_off(images):
    teacher, student = ResNet(10, 1, (8, 16), (1, 1)), ResNet(10, 1, (4, 8), (1, 1))
    before = copy.deepcopy(teacher.state_dict())
    distillation = Distillation(
        student, teacher, images, layers=[("stages.0", "stages.0")], features=1.0, attention=1.0
    )
    y = torch.arange(48) % 10
    losses = fit(
        distillation, images, y, epochs=4, learning_rate=0.05, seed=0, batch_size=16,
        loss=distillation.loss,
    )  # fmt: skip
    assert losses[-1] < losses[0]
    for name, value in teacher.state_dict().items():
        torch.testing.assert_close(value, before[name])
    distillation.close()
    assert not student.stages[0]._forward_hooks


def test_a_tap_on_nothing_is_refused():
    with pytest.raises(ValueError, match="no module 'middle'"):
        Taps(MobileNet(10, 1, (8,), (1,)), ["middle"])


# Training


class Store:
    def __init__(self):
        self.states = []

    def load(self):
        return copy.deepcopy(self.states[-1]) if self.states else None

    def save(self, state):
        self.states.append(copy.deepcopy(state))


def test_training_goes_on_after_a_stop_as_if_there_had_been_none(images):
    y = torch.arange(48) % 10

    def train(store):
        torch.manual_seed(0)
        model = ResNet(10, 1, (4,), (1,))
        fit(
            model, images, y, epochs=4, learning_rate=0.05, seed=0, batch_size=16, checkpoint=store,
            augment=lambda x, generator: x + 0.1 * torch.randn(x.shape, generator=generator),
        )  # fmt: skip
        return model.state_dict()

    whole, stopped = Store(), Store()
    expected = train(whole)
    stopped.states = whole.states[:2]
    got = train(stopped)
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=0, atol=0)


def test_a_loss_that_is_not_finite_stops_the_training(images):
    with pytest.raises(FloatingPointError, match="epoch 1"):
        fit(
            ResNet(10, 1, (4,), (1,)), images * torch.nan, torch.arange(48) % 10,
            epochs=1, learning_rate=0.1, seed=0,
        )  # fmt: skip
