r"""Who plays whom: what a game's two teams of heroes say of its outcome.

A game is a row of heroes: 1 where the first team has one, -1 where the second has, 0 elsewhere.
What is made of it here is antisymmetric: with the teams exchanged, each number changes its sign, as
the log-odds of a win do. That holds for

- the strength of single heroes (which a linear model learns from the row itself);
- *synergies*: how much more often two heroes win together than their strengths say;
- *counters*: how much more often one hero beats another;
- counts of what heroes are for (front line, damage, support) and how they fight.

There are 6,328 pairs, and most have met a few times only. A pair's residual is therefore shrunk
towards 0, $\hat s = \sum r / (n + \lambda)$, as if λ games without a surprise had been played.
Pairs are learnt from training games alone, and the training rows' own values come from folds that
were held out, since a pair that has learnt from a game knows its outcome.

K. Conley and D. Perry, How does he saw me? A recommendation engine for picking heroes in Dota 2,
2013; D. Micci-Barreca, A preprocessing scheme for high-cardinality categorical attributes, 2001.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedKFold

from supervised_learning import BernoulliNB, LogisticRegression
from tabular_labs.schema import Schema
from tabular_labs.tuning import TunedBooster

#: By the names of the registry's list: primary attribute (strength, agility, intelligence), whether
#: the attack is melee or ranged, and what the hero is mostly picked for, roughly as players of 2016
#: would say: c carry, s support, i initiator, d durable, p pusher, n nuker.
_KNOWN = """
antimage am c; axe sm id; bane ir s; bloodseeker am c; crystal_maiden ir sn; drow_ranger ar cp;
earthshaker sm is; juggernaut am cp; mirana ar cs; nevermore ar cn; morphling ar cd;
phantom_lancer am cp; puck ir in; pudge sm di; razor ar cd; sand_king sm in; storm_spirit ir cn;
sven sm ci; tiny sm in; vengefulspirit ar si; windrunner ir cs; zuus ir n; kunkka sm in; lina ir sn;
lich ir sn; lion ir sn; shadow_shaman ir sp; slardar sm di; tidehunter sm id; witch_doctor ir sn;
riki am c; enigma ir ip; tinker ir np; sniper ar cn; necrolyte ir cn; warlock ir si;
beastmaster sm id; queenofpain ir cn; venomancer ar sn; faceless_void am ci; skeleton_king sm cd;
death_prophet ir cp; phantom_assassin am c; pugna ir np; templar_assassin ar c; viper ar cd;
luna ar cp; dragon_knight sm cd; dazzle ir s; rattletrap sm id; leshrac ir np; furion ir cp;
life_stealer sm cd; dark_seer im i; clinkz ar cp; omniknight sm sd; enchantress ir sp;
huskar sr cd; night_stalker sm cd; broodmother am cp; bounty_hunter am n; weaver ar c; jakiro ir sn;
batrider ir i; chen ir sp; spectre am cd; doom_bringer sm di; ancient_apparition ir sn; ursa am cd;
spirit_breaker sm id; gyrocopter ar cn; alchemist sm cd; invoker ir cn; silencer ir cs;
obsidian_destroyer ir c; lycan sm cp; brewmaster sm di; shadow_demon ir si; lone_druid ar cp;
chaos_knight sm cd; meepo am cp; treant sm sd; ogre_magi im sd; undying sm sd; rubick ir sn;
disruptor ir si; nyx_assassin am in; naga_siren am cp; keeper_of_the_light ir sn; wisp sr s;
visage ir sd; slark am c; medusa ar cd; troll_warlord ar cp; centaur sm di; magnataur sm in;
shredder sm dn; bristleback sm cd; tusk sm in; skywrath_mage ir sn; abaddon sm sd;
elder_titan sm in; legion_commander sm cd; ember_spirit am cn; earth_spirit sm in;
abyssal_underlord sm sd; terrorblade am cp; phoenix sr si; techies ir n; oracle ir sn;
winter_wyvern ir sn; arc_warden ar cp
"""
TRAITS = {
    "strength": "s", "agility": "a", "intelligence": "i", "melee": "m", "ranged": "r",
    "carry": "c", "support": "s", "initiator": "i", "durable": "d", "pusher": "p", "nuker": "n",
}  # fmt: skip


def hero_names() -> list[str]:
    """The names of all heroes that are known here."""
    return [entry.split()[0] for entry in _KNOWN.replace("\n", " ").split(";")]


def trait_table(names: list[str]) -> NDArray[np.float64]:
    """What each hero is, by its name: 0 or 1, shape (heroes, `TRAITS`); 0 for names not known."""
    known = {}
    for entry in _KNOWN.replace("\n", " ").split(";"):
        name, kind, roles = entry.split()
        known[name] = [
            float(letter in (kind[0], kind[1], roles)[0 if at < 3 else 1 if at < 5 else 2])
            for at, letter in enumerate(TRAITS.values())
        ]
    empty = [0.0] * len(TRAITS)
    return np.array([known.get(name, empty) for name in names])


class PairSurprises(BaseEstimator):
    """How far pairs of heroes do better than their members: synergies and counters.

    Parameters
    ----------
    shrink : games without a surprise that each pair counts as having played.

    Attributes
    ----------
    together_ : (heroes, heroes), symmetric. against_ : (heroes, heroes), antisymmetric; how much
    the row's hero gains against the column's. games_ : how many games each pair has had, together
    and against.
    """

    def __init__(self, shrink: float = 50.0) -> None:
        self.shrink = shrink

    def fit(self, heroes: NDArray, surprise: NDArray) -> "PairSurprises":
        """Learn from games (n, heroes) and what the first team's win had over its expectation."""
        first, second = (heroes > 0).astype(float), (heroes < 0).astype(float)
        r = surprise[:, None]
        together = first.T @ (first * r) - second.T @ (second * r)
        n_together = first.T @ first + second.T @ second
        np.fill_diagonal(n_together, 0.0)
        against = first.T @ (second * r)
        n_against = first.T @ second
        against, n_against = against - against.T, n_against + n_against.T
        np.fill_diagonal(together, 0.0)
        self.together_ = together / (n_together + self.shrink)
        self.against_ = against / (n_against + self.shrink)
        self.games_ = np.stack([n_together, n_against])
        return self

    def transform(self, heroes: NDArray) -> NDArray[np.float64]:
        """Summed synergies, first team's less second's, and summed counters: (n, 2)."""
        first, second = (heroes > 0).astype(float), (heroes < 0).astype(float)
        together = [((team @ self.together_) * team).sum(axis=1) / 2 for team in (first, second)]
        against = ((first @ self.against_) * second).sum(axis=1)
        return np.column_stack([together[0] - together[1], against])


class TeamBayes(ClassifierMixin, BaseEstimator):
    """Our `BernoulliNB` on two columns a hero: the first team has it, the second has it."""

    def __init__(self, heroes: tuple[str, ...], alpha: float = 1.0) -> None:
        self.heroes, self.alpha = heroes, alpha

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> "TeamBayes":
        """Count."""
        self.model_ = BernoulliNB(alpha=self.alpha).fit(self._inputs(X), y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, 2)."""
        return np.asarray(self.model_.predict_proba(self._inputs(X)))

    def _inputs(self, X: pd.DataFrame) -> NDArray[np.float64]:
        teams = X[list(self.heroes)].to_numpy(np.float64)
        return np.column_stack([teams > 0, teams < 0]).astype(np.float64)


class TeamLogistic(ClassifierMixin, BaseEstimator):
    """Our `LogisticRegression` on the row of heroes: one strength for each, and the side's."""

    def __init__(self, heroes: tuple[str, ...], C: float = 0.03) -> None:
        self.heroes, self.C = heroes, C

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> "TeamLogistic":
        """Learn the strengths."""
        self.model_ = LogisticRegression(C=self.C, max_iter=500).fit(self._inputs(X), y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, 2)."""
        return np.asarray(self.model_.predict_proba(self._inputs(X)))

    def _inputs(self, X: pd.DataFrame) -> NDArray[np.float64]:
        return X[list(self.heroes)].to_numpy(np.float64)


class TeamBoosting(ClassifierMixin, BaseEstimator):
    """Boosted trees on what is made of the teams, tuned, averaged with the strengths' log-odds.

    Parameters
    ----------
    heroes : columns of the table. traits : (heroes, traits), what each hero is.
    others : further columns, taken as categories.
    C, shrink : of the strengths and of the pairs.
    trials, rounds, folds, seed : as for `TunedBooster`; `folds` also holds the rows out on which
    strengths and pairs are told to the trees.
    """

    def __init__(
        self,
        heroes: tuple[str, ...],
        traits: NDArray[np.float64],
        others: tuple[str, ...] = (),
        *,
        C: float = 0.03,
        shrink: float = 50.0,
        trials: int = 10,
        rounds: int = 300,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.heroes, self.traits, self.others = heroes, traits, others
        self.C, self.shrink, self.trials, self.rounds = C, shrink, trials, rounds
        self.folds, self.seed = folds, seed

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> "TeamBoosting":
        """Learn strengths and pairs, tell them to the trees out of fold, and tune these."""
        told = np.empty((len(y), 4))
        splits = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed)
        for train, held in splits.split(X, y):
            told[held] = self._tell(self._learn(X.iloc[train], y[train]), X.iloc[held])
        self.parts_ = self._learn(X, y)
        inputs = self._inputs(X, told)
        self.trees_ = TunedBooster(
            Schema.of(inputs), trials=self.trials, rounds=self.rounds, seed=self.seed
        ).fit(inputs, y)
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, 2), from the mean of the trees' log-odds and the strengths'."""
        told = self._tell(self.parts_, X)
        p = np.clip(self.trees_.predict_proba(self._inputs(X, told))[:, 1], 1e-9, 1 - 1e-9)
        p = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + told[:, 0]) / 2))
        return np.column_stack([1 - p, p])

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """The more probable class."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _learn(self, X: pd.DataFrame, y: NDArray[Any]) -> tuple[Any, Any, PairSurprises]:
        """Strengths, naive Bayes, and pairs from the surprises that strengths leave out of fold."""
        strengths = TeamLogistic(self.heroes, self.C)
        expected = np.empty(len(y))
        for train, held in StratifiedKFold(3, shuffle=True, random_state=self.seed).split(X, y):
            strengths.fit(X.iloc[train], y[train])
            expected[held] = strengths.predict_proba(X.iloc[held])[:, 1]
        heroes = X[list(self.heroes)].to_numpy(np.float64)
        pairs = PairSurprises(self.shrink).fit(heroes, y - expected)
        return TeamLogistic(self.heroes, self.C).fit(X, y), TeamBayes(self.heroes).fit(X, y), pairs

    def _tell(self, parts: tuple[Any, Any, PairSurprises], X: pd.DataFrame) -> NDArray[np.float64]:
        """Log-odds of both simple models, synergies and counters: (n, 4)."""
        odds = []
        for model in parts[:2]:
            p = np.clip(model.predict_proba(X)[:, 1], 1e-9, 1 - 1e-9)
            odds.append(np.log(p / (1 - p)))
        return np.column_stack([*odds, parts[2].transform(X[list(self.heroes)].to_numpy(float))])

    def _inputs(self, X: pd.DataFrame, told: NDArray[np.float64]) -> pd.DataFrame:
        counts = X[list(self.heroes)].to_numpy(np.float64) @ self.traits
        made = dict(zip(("strengths", "naive Bayes", "synergies", "counters"), told.T, strict=True))
        made |= dict(zip(TRAITS, counts.T, strict=True))
        frame = pd.DataFrame(made, index=X.index)
        for name in self.others:
            frame[name] = X[name].astype(str)
        return frame


@dataclass(frozen=True)
class Games:
    """Made games: the table, 1 where the first team won, and the probability of that."""

    X: pd.DataFrame
    y: NDArray[np.int64]
    probability: NDArray[np.float64]


def make_games(
    rng: np.random.Generator,
    n: int,
    names: list[str],
    *,
    strength: float = 0.25,
    pair: float = 0.15,
) -> Games:
    """Games whose log-odds are a side's edge, strengths, and pairs by what heroes are for.

    A team of carries alone loses; one with some of each kind gains. Some heroes are picked more
    often than others.
    """
    traits = trait_table(names)
    power = strength * rng.standard_normal(len(names))
    share = rng.dirichlet(np.full(len(names), 2.0))
    kinds = rng.standard_normal((len(TRAITS), len(TRAITS))) * pair
    against = traits @ (kinds - kinds.T) @ traits.T
    heroes = np.zeros((n, len(names)))
    # The first ten of a random order by popularity (Gumbel's trick) play.
    keys = np.log(share) + rng.gumbel(size=(n, len(names)))
    order = np.argsort(-keys, axis=1)[:, :10]
    sides = rng.permuted(np.tile([1.0] * 5 + [-1.0] * 5, (n, 1)), axis=1)
    np.put_along_axis(heroes, order, sides, axis=1)
    first, second = (heroes > 0).astype(float), (heroes < 0).astype(float)
    roles = list(TRAITS).index("carry"), list(TRAITS).index("support")
    balance = [
        -0.25 * np.abs(team @ traits[:, roles[0]] - 2.5) + 0.2 * (team @ traits[:, roles[1]] > 0)
        for team in (first, second)
    ]
    score = 0.12 + heroes @ power + balance[0] - balance[1]
    score = score + ((first @ against) * second).sum(axis=1) / 5
    probability = 1 / (1 + np.exp(-score))
    table = pd.DataFrame(heroes.astype(int), columns=[f"hero_{k + 1}" for k in range(len(names))])
    table.insert(0, "game_type", rng.integers(2, 4, n))
    table.insert(0, "game_mode", rng.choice([2, 8, 9], n, p=[0.8, 0.1, 0.1]))
    return Games(table, (rng.random(n) < probability).astype(np.int64), probability)
