from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from rossmann_embeddings.baselines import (
    METHODS,
    REPRESENTATIONS,
    forecast_with,
    represent,
    same_week_last_year,
)
from rossmann_embeddings.boosting import TARGETS, Boosting, Choice, tune
from rossmann_embeddings.embedding_network import (
    EmbeddingNetwork,
    OneHotNetwork,
    embedding_width,
)
from rossmann_embeddings.ensemble import Ensemble
from rossmann_embeddings.evaluation import wmae
from rossmann_embeddings.experiment import Experiment
from rossmann_embeddings.features import Features, level_of, make_features, with_past
from rossmann_embeddings.tables import Split, split_by_time, split_last
from rossmann_embeddings.targets import LevelTarget, LogTarget, target_for
from rossmann_embeddings.training import Forecaster, Recipe

QUICK = Recipe(hidden=(32,), epochs=3, batch_size=128)


@pytest.fixture(scope="module")
def work(chain):
    table = chain[0]
    split = split_by_time(table, 0.1)
    return (
        table,
        split,
        make_features(table, 9, history=False),
        make_features(table, 9, history=True),
    )


def test_an_embedding_is_a_one_hot_column_times_a_matrix():
    network = EmbeddingNetwork([4, 7], 2, widths=[2, 3]).eval()
    codes, numbers = torch.tensor([[1, 6], [3, 0], [0, 2]]), torch.randn(3, 2)
    columns = [
        one_hot(codes[:, i], k).float() @ network.tables[i].weight for i, k in enumerate((4, 7))
    ]
    torch.testing.assert_close(network.embed(codes), torch.cat(columns, 1))
    x = torch.cat([*columns, numbers], 1)
    torch.testing.assert_close(
        network(codes, numbers), (network.dense(x) + network.linear(x))[0].squeeze(1)
    )


def test_members_share_the_vectors_and_their_mean_is_the_answer():
    torch.manual_seed(0)
    many = EmbeddingNetwork([4, 7], 2, hidden=(5, 3), members=3).eval()
    codes, numbers = torch.tensor([[1, 6], [3, 0], [0, 2]]), torch.randn(3, 2)
    alone = []
    for i in range(3):
        one = EmbeddingNetwork([4, 7], 2, hidden=(5, 3)).eval()
        one.load_state_dict(
            {
                name: value[i : i + 1] if name.startswith("dense") else value
                for name, value in many.state_dict().items()
            }
        )
        alone.append(one(codes, numbers))
    torch.testing.assert_close(many.each(codes, numbers), torch.stack(alone))
    torch.testing.assert_close(many(codes, numbers), torch.stack(alone).mean(0))
    assert not torch.allclose(alone[0], alone[1])


def test_the_one_hot_network_is_a_dense_layer_on_one_hot_columns():
    network = OneHotNetwork([4, 7], 2, hidden=(5, 3)).eval()
    codes, numbers = torch.tensor([[1, 6], [3, 0], [0, 2]]), torch.randn(3, 2)
    first = nn.Linear(13, 5)
    with torch.no_grad():
        first.weight.copy_(
            torch.cat([*(t.weight.T for t in network.rows), network.numbers.weight], 1)
        )
        first.bias.copy_(network.numbers.bias)
    x = torch.cat([one_hot(codes[:, 0], 4), one_hot(codes[:, 1], 7), numbers], 1)
    torch.testing.assert_close(network(codes, numbers), network.dense(first(x)).squeeze(1))


def test_widths_are_half_the_codes_and_at_most_ten():
    assert [embedding_width(k) for k in (2, 3, 8, 20, 1116)] == [1, 1, 4, 10, 10]


def test_training_hides_codes_and_forecasting_does_not():
    torch.manual_seed(0)
    network = EmbeddingNetwork([50], hide=0.5)
    codes, numbers = torch.arange(1, 50)[:, None], torch.empty(49, 0)
    assert not torch.equal(network(codes, numbers), network(codes, numbers))
    network.eval()
    assert torch.equal(network(codes, numbers), network(codes, numbers))


def test_the_network_learns_and_its_seed_decides(work):
    table, split, _, history = work
    rows = with_past(history, split.train)
    first, same, other = (
        Forecaster(QUICK, seed)
        .fit(history, table.sales, rows, table.weight)
        .predict(history, split.test)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    actual, weight = table.sales[split.test], table.weight[split.test]
    naive = same_week_last_year(table, history)[split.test]
    assert wmae(actual, first, weight) < wmae(actual, naive, weight)


def test_an_ensemble_is_the_mean_of_networks_that_differ(work):
    table, split, _, history = work
    rows = with_past(history, split.train)
    model = Ensemble(QUICK, seed=3, networks=3)
    model.fit(history, table.sales, rows, table.weight, watch=lambda forecaster: 7.0)
    alone = [one.predict(history, split.test) for one in model.forecasters_]
    found = model.predict(history, split.test)
    np.testing.assert_allclose(found, np.mean(alone, axis=0))
    assert not np.array_equal(alone[0], alone[1])
    assert model.error_ == [7.0] * 3
    actual, weight = table.sales[split.test], table.weight[split.test]
    errors = [wmae(actual, one, weight) for one in alone]
    assert wmae(actual, found, weight) <= np.mean(errors)  # of a convex error, for any networks
    again = Ensemble(QUICK, seed=3, networks=3).fit(history, table.sales, rows, table.weight)
    np.testing.assert_array_equal(found, again.predict(history, split.test))
    assert again.error_ == []


def test_an_ensemble_of_none_is_refused():
    with pytest.raises(ValueError, match="networks=0: 1 or more"):
        Ensemble(networks=0)


def test_what_lies_after_the_training_rows_changes_no_network(work):
    table, split, _, history = work
    changed = table.sales.copy()
    changed[split.test] = 1e6
    rows = with_past(history, split.train)
    both = [
        Forecaster(QUICK).fit(history, sales, rows, table.weight).predict(history, split.test)
        for sales in (table.sales, changed)
    ]
    np.testing.assert_array_equal(*both)


def test_a_number_that_drifts_goes_to_boosting_and_to_no_network(chain):
    table = replace(chain[0], drifting=("temperature",))
    study = Experiment(table, 0.1, QUICK, QUICK)
    assert "temperature" in study.history.numbers
    assert "temperature" not in study.steady.numbers
    weather = np.random.default_rng(0).normal(size=len(table.frame))
    hotter = replace(table, frame=table.frame.assign(temperature=weather))
    other = Experiment(hotter, 0.1, QUICK, QUICK)
    np.testing.assert_array_equal(
        study.informed_networks(0)["forecast"], other.informed_networks(0)["forecast"]
    )


def test_targets_give_the_sales_back_and_count_errors_in_money(work):
    table, split, categories, history = work
    rows = with_past(history, split.train)
    for features, kind in ((categories, LogTarget), (history, LevelTarget)):
        target = target_for(features).fit(features, rows, table.sales)
        assert isinstance(target, kind)
        found = target.of(features, rows, table.sales)
        np.testing.assert_allclose(target.sales(features, rows, found), table.sales[rows])
        small = 1e-4
        moved = target.sales(features, rows, found + small) - table.sales[rows]
        np.testing.assert_allclose(
            moved, small * target.size(features, rows, table.sales), rtol=1e-2, atol=1e-3
        )


def test_a_season_of_a_hundredfold_is_a_share_near_one(work):
    history = work[3]
    numbers = history.numbers.iloc[:2].assign(
        anchor=np.log1p([10_000.0, 100.0]),
        near_year_ago_over=np.nan, recent_over=np.log(0.01), quarter_over=[np.nan, np.log(100)],
    )  # fmt: skip
    season = Features(history.categories.iloc[:2], numbers)
    level, start = level_of(season, np.arange(2), 0.0)
    np.testing.assert_allclose(level, [10_000, 10_099])
    np.testing.assert_allclose(start, [10_000, 100])
    target = LevelTarget().fit(season, np.arange(2), np.array([9_000.0, 10_099.0]))
    found = target.of(season, np.arange(2), np.array([9_000.0, 10_099.0]))
    np.testing.assert_allclose(found, [-0.1, 9_999 / 10_099])


def test_watching_changes_nothing_and_is_kept(work):
    table, split, categories, _ = work
    rows = split.train[:1000]
    plain = Forecaster(QUICK).fit(categories, table.sales, rows)
    watched = Forecaster(QUICK).fit(categories, table.sales, rows, watch=lambda model: 7.0)
    assert watched.history_.error == [7.0] * 3
    np.testing.assert_array_equal(
        plain.predict(categories, split.test), watched.predict(categories, split.test)
    )
    assert plain.history_.loss == watched.history_.loss


def test_a_store_that_was_not_there_gets_a_finite_forecast(work):
    table, split, categories, _ = work
    known = split.train[(table.frame["store"] != 3).to_numpy()[split.train]]
    new = split.test[(table.frame["store"] == 3).to_numpy()[split.test]]
    found = Forecaster(QUICK).fit(categories, table.sales, known).predict(categories, new)
    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_one_row_is_too_few(work):
    table, _, categories, _ = work
    with pytest.raises(ValueError, match="at least 2"):
        Forecaster(QUICK).fit(categories, table.sales, np.array([0]))


def test_each_representation_tells_rows_apart_alike(work):
    table, split, categories, _ = work
    model = Forecaster(QUICK).fit(categories, table.sales, split.train)
    rows = split.train[:200]
    codes, columns, vectors = (represent(k, model, categories, rows) for k in REPRESENTATIONS)
    assert len(np.unique(codes, axis=0)) == len(np.unique(columns, axis=0))
    assert (columns.sum(1) == len(model.encoder_.names_)).all()
    assert vectors.shape == (200, sum(model.network_.widths))
    store = model.encoder_.names_.index("store")
    code = model.encoder_.transform(categories, rows).codes[0, store]
    np.testing.assert_array_equal(vectors[0, :3], model.embedding("store")[code - 1])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_forecasts_from_embeddings(work, method):
    table, split, categories, _ = work
    model = Forecaster(QUICK).fit(categories, table.sales, split.train)
    found = forecast_with(
        method, "embeddings", model, categories, table.sales, split.train[-1500:], split.test,
        trees=5,
    )  # fmt: skip
    constant = np.full(len(found), np.median(table.sales[split.train]))
    actual = table.sales[split.test]
    assert wmae(actual, found) < 0.7 * wmae(actual, constant)


def test_a_network_with_one_hot_columns_has_no_embeddings(work):
    table, split, categories, _ = work
    recipe = Recipe(hidden=(8,), epochs=1, one_hot=True)
    model = Forecaster(recipe).fit(categories, table.sales, split.train[:500])
    with pytest.raises(TypeError, match="no embeddings"):
        model.embedding("store")
    with pytest.raises(TypeError, match="no embeddings"):
        represent("embeddings", model, categories, split.train[:5])


@pytest.mark.parametrize("target", TARGETS)
def test_boosting_learns_on_every_target(work, target):
    table, split, _, history = work
    rows = with_past(history, split.train)
    choice = Choice(target, {"learning_rate": 0.2, "num_leaves": 15}, 40, 0.0)
    found = (
        Boosting(choice).fit(history, table.sales, rows, table.weight).predict(history, split.test)
    )
    actual = table.sales[split.test]
    assert wmae(actual, found) < 0.6 * wmae(actual, np.full(len(found), np.median(table.sales)))


def test_tuning_sees_the_inner_split_only_and_takes_its_best_trial(work):
    table, split, _, history = work
    inner = split_last(table, 9, within=with_past(history, split.train))
    inner = Split(inner.train[-1200:], inner.test[:200], inner.name)
    changed = table.sales.copy()
    changed[split.test] = -1.0
    first, second = (
        tune(history, sales, table.weight, inner, trials=6, most_rounds=20)
        for sales in (table.sales, changed)
    )
    assert first == second
    finished = [t["error"] for t in first.trials if t["state"] == "complete"]
    assert first.error == min(finished)
    assert [t["target"] for t in first.trials[:5]] == list(TARGETS)
