import numpy as np
import pandas as pd
import pytest

from tabular_labs import ames
from tabular_labs.california import squares
from tabular_labs.folds import rmsle
from tabular_labs.generated_houses import houses
from tabular_labs.house_models import say, score
from tabular_labs.schema import Schema


def house(**changes):
    usual = {
        "MS SubClass": 20.0, "Lot Frontage": 60.0, "Gr Liv Area": 1000.0, "Total Bsmt SF": 500.0,
        "Kitchen Qual": "Gd", "Pool QC": None, "Year Built": 2000.0, "Year Remod/Add": 2004.0,
        "Yr Sold": 2008.0, "Full Bath": 1.0, "Half Bath": 1.0, "Sale Type": "WD ",
        "Neighborhood": "NAmes", "Overall Qual": 6.0, "Garage Cars": np.nan,
    }  # fmt: skip
    return pd.DataFrame([usual | changes])


def test_both_spellings_give_the_same_columns():
    long = house()
    short = ames.kaggle_names(long)
    assert "YearRemodAdd" in short
    pd.testing.assert_frame_equal(ames.features(long), ames.features(short))


def test_grades_become_numbers_and_what_is_not_there_is_zero():
    made = ames.features(house()).iloc[0]
    assert made["KitchenQual"] == 4
    assert made["PoolQC"] == 0
    assert made["GarageCars"] == 0
    assert made["SaleType"] == "WD"
    assert made["MSSubClass"] == "20"


def test_a_frontage_of_zero_is_as_unknown_as_a_gap():
    both = [ames.features(house(**{"Lot Frontage": x}))["LotFrontage"] for x in (0.0, np.nan)]
    assert np.isnan(both[0][0])
    assert np.isnan(both[1][0])


def test_sums_are_made_of_what_is_there():
    made = ames.features(house()).iloc[0]
    assert made["area"] == 1500
    assert made["baths"] == 1.5
    assert made["age"] == 8
    assert made["since_works"] == 4
    assert made["porches"] == 0


def test_the_answer_and_numbers_of_rows_are_no_features():
    made = ames.features(house(SalePrice=1.0, PID=5, Order=3))
    assert not {"SalePrice", "PID", "Order"} & set(made)


def test_a_house_is_found_in_the_other_table_only_where_there_is_one_such():
    names = list(ames._SAME_HOUSE)
    other = pd.DataFrame([[k] * 10 + ["N"] for k in (1.0, 2.0, 2.0, 3.0)], columns=names)
    asked = pd.DataFrame([[k] * 10 + ["N"] for k in (3.0, 2.0, 9.0)], columns=names)
    assert ames.same_houses(asked, other).tolist() == [3, -1, -1]


def test_prices_come_back_from_logarithms():
    class Flat:
        def predict(self, X):
            return np.full(len(X), np.log(1000.0))

    table = house()
    schema = Schema.of(ames.features(table))
    np.testing.assert_allclose(ames.Priced(Flat(), schema).predict(table), [1000.0])


def test_the_entry_has_kaggles_form_and_what_is_not_is_refused():
    numbers = pd.Series([1461, 1462])
    made = ames.submission(numbers, np.array([100.126, 5.0]))
    assert made.to_csv(index=False) == "Id,SalePrice\n1461,100.13\n1462,5.0\n"
    for prices in ([1.0, np.nan], [1.0, 0.0]):
        with pytest.raises(ValueError, match="not a number above 0"):
            ames.submission(numbers, np.array(prices))
    with pytest.raises(ValueError, match="1461 stands there twice"):
        ames.submission(pd.Series([1461, 1461]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="2 houses and 1 prices"):
        ames.submission(numbers, np.array([1.0]))


def test_large_houses_count_only_in_the_score_of_all():
    class Zero:
        def predict(self, X):
            return np.zeros(len(X))

    X = pd.DataFrame({"GrLivArea": [1000.0, 4000.0, 5000.0]})
    said = say(Zero(), X)
    y = np.array([0.1, -0.1, 2.0])
    assert score(0)(y, said) == pytest.approx(0.1)
    assert score(0, all_rows=True)(y, said) == pytest.approx(rmsle(y, np.zeros(3)))
    assert score(4)(y, said) == pytest.approx(0.1)  # no such part: the prediction itself


def test_generated_prices_are_the_worth_with_noise_of_the_told_size():
    known = houses(4000, seed=0, noise=0.09)
    assert rmsle(known.y, known.worth) == pytest.approx(0.09, abs=0.005)
    made = ames.features(Schema.of(known.X).conform(known.X))
    large = made["GrLivArea"] > ames.LARGEST
    assert 0 < large.sum() < 25
    assert 80_000 < np.median(np.exp(known.y)) < 300_000


def test_places_of_one_degree_share_a_square_and_their_neighbors_do_not():
    found = squares(np.array([-122.2, -122.9, -121.9, -122.2]), np.array([37.1, 37.9, 37.1, 38.0]))
    assert found[0] == found[1]
    assert len(set(found)) == 3
