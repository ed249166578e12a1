"""Passengers of a ship: what a name, a ticket and a cabin say, and what became of one's party.

People travelled together, on one ticket or under one name, and mostly shared their fate. What
became of those of one's party who are among the training rows is therefore worth knowing, and it
is made of their answers: here a column leaks. It is honest under two rules. What became of test
rows is never counted; and a training row's own answer is not in its own column (or the column holds
what is to be predicted). `Passengers` keeps both: `fit_transform` counts the other training rows,
`transform` all of them. Made on the whole table before the folds are cut, the same column breaks
the first rule; counted with oneself, it breaks the second.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone

from tabular_labs.ensembles import takes_groups
from tabular_labs.schema import Column, Schema

#: The columns of the ship's list, as it is handed to a model.
RAW = Schema(
    (
        Column("Pclass", "number"),
        Column("Name", "text"),
        Column("Sex", "category", ("female", "male")),
        Column("Age", "number"),
        Column("SibSp", "number"),
        Column("Parch", "number"),
        Column("Ticket", "text"),
        Column("Fare", "number"),
        Column("Cabin", "text"),
        Column("Embarked", "category", ("C", "Q", "S")),
    )
)
#: Titles that are other titles' other names; what is not here or below is rare.
_SAME = {"Mlle": "Miss", "Ms": "Miss", "Mme": "Mrs"}
_TITLES = ("Master", "Miss", "Mr", "Mrs")
DECKS = tuple("ABCDEFG")
_PERSON = (
    Column("class", "number"),
    Column("title", "category", (*_TITLES, "rare")),
    Column("sex", "category", ("female", "male")),
    Column("age", "number"),
    Column("family", "number"),
    Column("on_ticket", "number"),
    Column("fare_each", "number"),
    Column("deck", "category", DECKS),
    Column("embarked", "category", ("C", "Q", "S")),
)
_PARTY = (
    Column("mates", "number"),
    Column("mates_lived", "number"),
    Column("weak_mates", "number"),
    Column("weak_mates_lived", "number"),
)
#: What `Passengers` gives, without and with what became of the party.
PERSON = Schema(_PERSON)
WITH_PARTY = Schema(_PERSON + _PARTY)


def title(names: pd.Series) -> pd.Series:
    """From `Heikkinen, Miss. Laina` to `Miss`; rare ones, and none, are `rare`."""
    found = names.astype("string").str.extract(r",\s*(?:the\s+)?([A-Za-z]+)", expand=False)
    found = found.replace(_SAME)
    return found.where(found.isin(_TITLES), "rare").astype(object)


def surname(names: pd.Series) -> pd.Series:
    """What stands before the comma."""
    return names.astype("string").fillna("").str.split(",").str[0].str.strip().astype(object)


def keys(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    """For each row what it may share with its party: the ticket, and the family's name.

    A family's name counts with its size and class, and only for who has family aboard: there were
    many Johnsons.
    """
    family = (frame["SibSp"].fillna(0) + frame["Parch"].fillna(0)).to_numpy()
    names, tickets = surname(frame["Name"]).to_numpy(), frame["Ticket"].to_numpy()
    classes = frame["Pclass"].to_numpy()
    found: list[tuple[object, ...]] = []
    for i in range(len(frame)):
        shared: list[object] = []
        if isinstance(tickets[i], str):
            shared.append(("ticket", tickets[i]))
        if family[i] > 0 and names[i]:
            shared.append(("family", names[i], int(family[i]), float(classes[i])))
        found.append(tuple(shared))
    return found


def parties(frame: pd.DataFrame) -> NDArray[np.int64]:
    """A number for each row (n,), the same for all who are tied by tickets or families."""
    homes: dict[object, int] = {}
    rows, columns = [], []
    for i, shared in enumerate(keys(frame)):
        for key in shared:
            rows.append(i)
            columns.append(len(frame) + homes.setdefault(key, len(homes)))
    size = len(frame) + len(homes)
    ties = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    return np.asarray(connected_components(ties, directed=False)[1][: len(frame)], np.int64)


class Passengers(TransformerMixin, BaseEstimator):
    """From the ship's list to columns; learns ages by title, and who travelled with whom.

    Gives the columns of `PERSON`, with `party` those of `WITH_PARTY`: how many of the party are
    among the training rows and the share of them that lived, of all and of women and children.
    Shares are drawn towards `prior` by one person's weight, so that one mate is no certainty.

    Attributes
    ----------
    ages_ : the median age by title. prior_ : the share of all that lived.
    """

    def __init__(self, party: bool = True) -> None:
        self.party = party

    @property
    def schema(self) -> Schema:
        """Of what is given."""
        return WITH_PARTY if self.party else PERSON

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> "Passengers":
        """Learn from training rows X (n, columns of `RAW`), y 1 for who lived (n,)."""
        titles = title(X["Name"])
        ages = X["Age"].groupby(titles.to_numpy()).median().dropna()
        self.ages_, self.age_ = ages.to_dict(), float(np.nan_to_num(X["Age"].median(), nan=30.0))
        self.lived_ = np.asarray(y, np.float64)
        self.prior_ = float(self.lived_.mean())
        self.weak_ = ((X["Sex"] == "female") | (titles == "Master")).to_numpy()
        self.known_: dict[object, list[int]] = defaultdict(list)
        for i, shared in enumerate(keys(X)):
            for key in shared:
                self.known_[key].append(i)
        return self

    def fit_transform(self, X: pd.DataFrame, y: Any = None, **told: Any) -> pd.DataFrame:
        """Learn, and give the columns of the training rows: nobody is a mate of oneself."""
        return self.fit(X, y)._columns(X, training=True)

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The columns of other rows."""
        return self._columns(X, training=False)

    def _columns(self, X: pd.DataFrame, training: bool) -> pd.DataFrame:
        titles = title(X["Name"])
        together, on_ticket = self._mates(X, training)
        decks = X["Cabin"].astype("string").str[0]
        made: dict[str, Any] = {
            "class": X["Pclass"],
            "title": titles,
            "sex": X["Sex"],
            "age": X["Age"].fillna(titles.map(self.ages_).astype(float)).fillna(self.age_),
            "family": X["SibSp"] + X["Parch"] + 1,
            "on_ticket": on_ticket,
            "fare_each": X["Fare"] / on_ticket,
            "deck": decks.where(decks.isin(DECKS)),
            "embarked": X["Embarked"],
        }
        if self.party:
            for name, of in (("mates", np.ones_like(self.weak_)), ("weak_mates", self.weak_)):
                inside = [[j for j in mates if of[j]] for mates in together]
                made[name] = [len(mates) for mates in inside]
                made[f"{name}_lived"] = [
                    (self.lived_[mates].sum() + self.prior_) / (len(mates) + 1) for mates in inside
                ]
        return self.schema.conform(pd.DataFrame(made, index=X.index))

    def _mates(
        self, X: pd.DataFrame, training: bool
    ) -> tuple[list[list[int]], NDArray[np.float64]]:
        """The training rows of each row's party, and how many are on its ticket, itself counted."""
        together, on_ticket = [], np.ones(len(X))
        for i, shared in enumerate(keys(X)):
            mates = {j for key in shared for j in self.known_.get(key, ())}
            if training:
                mates.discard(i)
            together.append(sorted(mates))
            for key in shared:
                if isinstance(key, tuple) and key[0] == "ticket":
                    on_ticket[i] = len(set(self.known_.get(key, ())) - ({i} if training else set()))
                    on_ticket[i] += 1
        return together, on_ticket


class OnPassengers(ClassifierMixin, BaseEstimator):
    """A classifier behind `Passengers`; where it has inner folds, a party stays in one of them.

    That makes the inner folds honest too: a row that judges a setting there knows what became of
    its party, as a new row does, and no row of that party was fitted on.
    """

    def __init__(self, model: Any, party: bool = True) -> None:
        self.model, self.party = model, party

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> "OnPassengers":
        """Make the columns of the training rows, and fit the model on them."""
        self.maker_ = Passengers(self.party)
        columns = self.maker_.fit_transform(X, y)
        told = {"groups": parties(X)} if takes_groups(self.model) else {}
        self.model_ = clone(self.model).fit(columns, y, **told)
        self.classes_ = np.unique(y)
        return self

    def parts(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """What each model of an `Averaged` gives to having lived (n, models)."""
        return np.asarray(self.model_.parts(self.maker_.transform(X)), np.float64)

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, classes)."""
        return np.asarray(self.model_.predict_proba(self.maker_.transform(X)), np.float64)

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """The more probable class."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])


def submission(numbers: pd.Series, lived: NDArray[Any]) -> pd.DataFrame:
    """Kaggle's form: `PassengerId,Survived`, 0 or 1, one line a passenger.

    Raises ValueError for another length, another answer, or a number that stands there twice.
    """
    if len(numbers) != len(lived):
        raise ValueError(f"{len(numbers)} passengers and {len(lived)} answers")
    if not np.isin(lived, (0, 1)).all():
        raise ValueError("an answer is neither 0 nor 1")
    if numbers.duplicated().any():
        raise ValueError(f"passenger {numbers[numbers.duplicated()].iloc[0]} stands there twice")
    return pd.DataFrame(
        {"PassengerId": numbers.to_numpy(np.int64), "Survived": np.asarray(lived, np.int64)}
    )
