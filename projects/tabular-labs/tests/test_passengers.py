import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tabular_labs import passengers
from tabular_labs.encoding import dense
from tabular_labs.generated_ship import ship
from tabular_labs.passengers import PERSON, RAW, WITH_PARTY, OnPassengers, Passengers
from tabular_labs.prediction import Deployed
from tabular_labs.schema import Reading, read_csv


def people(*rows):
    usual = {
        "Pclass": 3, "Name": "Berg, Mr. A", "Sex": "male", "Age": 30.0, "SibSp": 0, "Parch": 0,
        "Ticket": None, "Fare": 8.0, "Cabin": None, "Embarked": "S",
    }  # fmt: skip
    return RAW.conform(pd.DataFrame([usual | row for row in rows]))


FAMILY = people(
    {"Name": "Hall, Mr. B", "Ticket": "7", "SibSp": 1, "Parch": 1, "Fare": 30.0},
    {"Name": "Hall, Mrs. B (C)", "Ticket": "7", "SibSp": 1, "Parch": 1, "Sex": "female"},
    {"Name": "Hall, Master. D", "Ticket": "8", "SibSp": 0, "Parch": 2, "Age": np.nan},
    {"Name": "Hall, Mr. Else"},
    {"Name": "Fox, Dr. E", "Ticket": "9"},
)
LIVED = np.array([0, 1, 1, 0, 1])


def test_titles_are_merged_and_rare_ones_are_rare():
    names = ["A, Mlle. B", "C, the Countess. of D", "E, Mme. F", "G, Master. H", "no comma", None]
    found = list(passengers.title(pd.Series(names)))
    assert found == ["Miss", "rare", "Mrs", "Master", "rare", "rare"]


def test_a_party_is_tied_by_tickets_and_by_names_but_not_by_a_common_name_alone():
    found = passengers.parties(FAMILY)
    assert found[0] == found[1] == found[2]
    assert len(set(found)) == 3


def test_a_training_rows_own_answer_is_not_in_its_own_column():
    made = Passengers().fit_transform(FAMILY, LIVED)
    turned = Passengers().fit_transform(FAMILY, np.array([1, 1, 1, 0, 1]))
    assert made["mates"].tolist() == [2, 2, 2, 0, 0]
    prior = LIVED.mean()
    assert made["mates_lived"].iloc[0] == pytest.approx((2 + prior) / 3)
    assert made["mates_lived"].iloc[1] == pytest.approx((1 + prior) / 3)
    assert turned["mates_lived"].iloc[0] == pytest.approx((2 + 4 / 5) / 3)  # the prior alone moved
    assert made["weak_mates"].tolist() == [2, 1, 1, 0, 0]
    assert made["on_ticket"].tolist() == [2, 2, 1, 1, 1]
    assert made["fare_each"].iloc[0] == 15.0


def test_new_rows_know_the_training_rows_of_their_party_and_nothing_of_one_another():
    maker = Passengers().fit(FAMILY, LIVED)
    new = people(
        {"Name": "Hall, Miss. G", "Ticket": "7", "SibSp": 0, "Parch": 2, "Sex": "female"},
        {"Name": "Kent, Mr. H", "Ticket": "55"},
        {"Name": "Kent, Mr. I", "Ticket": "55"},
    )
    made = maker.transform(new)
    assert made["mates"].tolist() == [3, 0, 0]
    assert made["on_ticket"].tolist() == [3, 1, 1]
    pd.testing.assert_frame_equal(made.iloc[[1]], maker.transform(new.iloc[[1]]))


def test_gaps_are_filled_by_the_title_and_unknown_decks_stay_gaps():
    made = (
        Passengers(party=False)
        .fit(FAMILY, LIVED)
        .transform(
            people(
                {"Age": np.nan, "Cabin": "C85"}, {"Name": "X, Lady. Y", "Age": np.nan, "Cabin": "T"}
            )
        )
    )
    assert made["age"].tolist() == [30.0, 30.0]
    assert made["deck"].tolist() == ["C", None]
    assert list(made) == PERSON.names


def test_parties_stay_whole_in_the_inner_folds_of_a_model_that_takes_groups():
    class Grouped(LogisticRegression):
        def fit(self, X, y, groups=None):
            self.groups_ = groups
            return super().fit(X[["mates", "age"]].to_numpy(), y)

    fitted = OnPassengers(Grouped()).fit(FAMILY, LIVED)
    np.testing.assert_array_equal(fitted.model_.groups_, passengers.parties(FAMILY))


def test_on_the_generated_ship_the_honest_column_helps_and_ones_own_answer_beats_the_best():
    known = ship(900, seed=0)
    train, test = np.arange(600), np.arange(600, len(known.y))

    def right(model, X=known.X):
        fitted = model.fit(X.iloc[train], known.y[train])
        return np.mean(fitted.predict(X.iloc[test]) == known.y[test])

    def line(schema):
        return make_pipeline(dense(schema), LogisticRegression(max_iter=500))

    best = np.maximum(known.chance, 1 - known.chance).mean()
    without = right(OnPassengers(line(PERSON), party=False))
    honest = right(OnPassengers(line(WITH_PARTY)))
    leaked = right(line(WITH_PARTY), Passengers().fit(known.X, known.y).transform(known.X))
    assert without - 0.01 <= honest <= best + 0.03 < leaked


def test_generated_chances_are_those_that_answers_were_drawn_with():
    known = ship(3000, seed=2)
    assert known.y.mean() == pytest.approx(known.chance.mean(), abs=0.03)
    assert RAW.conform(known.X).shape[1] == len(RAW.names)
    women = known.X["Sex"] == "female"
    assert known.y[women].mean() > known.y[~women].mean() + 0.2


def test_the_entry_has_kaggles_form_and_what_is_not_is_refused(tmp_path):
    numbers = pd.Series([892, 893])
    made = passengers.submission(numbers, np.array([0, 1]))
    assert made.to_csv(index=False) == "PassengerId,Survived\n892,0\n893,1\n"
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        passengers.submission(numbers, np.array([0.3, 1]))
    with pytest.raises(ValueError, match="2 passengers and 1 answers"):
        passengers.submission(numbers, np.array([0]))
    with pytest.raises(ValueError, match="892 stands there twice"):
        passengers.submission(pd.Series([892, 892]), np.array([0, 1]))


def test_names_and_tickets_of_a_new_table_are_not_told_as_unseen_levels(tmp_path):
    place = tmp_path / "list.csv"
    people({"Name": "New, Miss. One"}, {"Embarked": "X"}).to_csv(place, index=False)
    model = OnPassengers(make_pipeline(dense(WITH_PARTY), LogisticRegression())).fit(FAMILY, LIVED)
    deployed = Deployed(RAW, model, "fate", ("died", "lived"))
    reading = Reading(0, {})
    answers = pd.concat([deployed.answer(piece) for piece in read_csv(place, RAW, reading)])
    assert set(answers["fate"]) <= {"died", "lived"}
    assert len(reading.told()) == 1
    assert "'X'" in reading.told()[0]
