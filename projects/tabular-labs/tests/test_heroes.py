import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tabular_labs.heroes import (
    TRAITS,
    PairSurprises,
    TeamBayes,
    TeamBoosting,
    TeamLogistic,
    hero_names,
    make_games,
    trait_table,
)


def test_each_hero_has_one_attribute_one_way_to_attack_and_a_role():
    names = hero_names()
    assert len(names) == len(set(names)) == 112
    table = trait_table(names)
    assert table.shape == (112, len(TRAITS))
    assert table[:, :3].sum(axis=1).tolist() == [1.0] * 112
    assert table[:, 3:5].sum(axis=1).tolist() == [1.0] * 112
    assert table[:, 5:].sum(axis=1).min() >= 1
    sniper = dict(zip(TRAITS, table[names.index("sniper")], strict=True))
    assert sniper["agility"] == sniper["ranged"] == sniper["carry"] == 1.0
    assert sniper["strength"] == sniper["melee"] == sniper["support"] == 0.0
    assert not trait_table(["nobody"]).any()


def test_games_have_five_heroes_a_side_and_follow_their_probabilities(rng):
    games = make_games(rng, 3000, hero_names()[:20])
    heroes = games.X.filter(like="hero_").to_numpy()
    assert ((heroes > 0).sum(axis=1) == 5).all()
    assert ((heroes < 0).sum(axis=1) == 5).all()
    assert games.y.mean() == pytest.approx(games.probability.mean(), abs=0.03)
    assert roc_auc_score(games.y, games.probability) > 0.6


def test_pairs_find_who_wins_together_and_against(rng):
    heroes = np.zeros((4000, 6))
    for row in heroes:
        order = rng.permutation(6)
        row[order[:2]], row[order[2:4]] = 1, -1
    together = ((heroes[:, 0] == 1) & (heroes[:, 1] == 1)).astype(float)
    together -= (heroes[:, 0] == -1) & (heroes[:, 1] == -1)
    beats = ((heroes[:, 2] == 1) & (heroes[:, 3] == -1)).astype(float)
    beats -= (heroes[:, 2] == -1) & (heroes[:, 3] == 1)
    surprise = 0.4 * together + 0.3 * beats
    pairs = PairSurprises(shrink=1.0).fit(heroes, surprise)
    assert pairs.together_[0, 1] == pairs.together_[1, 0] == pytest.approx(0.4, abs=0.05)
    assert pairs.against_[2, 3] == -pairs.against_[3, 2] == pytest.approx(0.3, abs=0.05)
    both = pairs.transform(heroes)
    assert both == pytest.approx(-pairs.transform(-heroes))  # teams exchanged
    assert np.corrcoef(both[:, 0], together)[0, 1] > 0.5
    assert np.corrcoef(both[:, 1], beats)[0, 1] > 0.5


def test_pairs_that_met_rarely_say_little():
    heroes = np.array([[1, 1, -1, -1], [1, -1, 1, -1]])
    small, large = (PairSurprises(s).fit(heroes, np.array([0.5, 0.5])) for s in (1.0, 99.0))
    assert small.together_[0, 1] == pytest.approx(0.25)
    assert large.together_[0, 1] == pytest.approx(0.005)
    assert small.games_[0].sum() == 8  # two pairs a game, counted from both ends


def test_pairs_are_told_to_the_trees_from_other_rows_alone(rng):
    """Outcomes without any pattern: a value that knew its own row's outcome would stand out."""
    games = make_games(rng, 600, hero_names()[:30])
    columns = tuple(name for name in games.X if name.startswith("hero_"))
    y = rng.integers(0, 2, 600)
    told: list[np.ndarray] = []

    class Spy(TeamBoosting):
        def _inputs(self, X: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
            told.append(values)
            return super()._inputs(X, values)

    Spy(columns, trait_table(hero_names()[:30]), shrink=5.0, trials=1, rounds=5).fit(games.X, y)
    for column in told[0].T:
        assert roc_auc_score(y, column) < 0.6


def test_simple_models_learn_strengths(rng):
    games = make_games(rng, 3000, hero_names()[:20], strength=0.6, pair=0.0)
    columns = tuple(name for name in games.X if name.startswith("hero_"))
    best = roc_auc_score(games.y[2000:], games.probability[2000:])
    for model in (TeamBayes(columns), TeamLogistic(columns, 1.0)):
        said = model.fit(games.X[:2000], games.y[:2000]).predict_proba(games.X[2000:])[:, 1]
        assert roc_auc_score(games.y[2000:], said) > best - 0.03
