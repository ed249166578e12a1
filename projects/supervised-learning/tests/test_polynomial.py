import numpy as np
import pandas as pd
import pytest
from sklearn import preprocessing
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.testing import AWKWARD, parity
from supervised_learning.polynomial import PolynomialFeatures

KINDS = [
    {"degree": degree, "interaction_only": interaction_only, "include_bias": include_bias}
    for degree in (1, 2, 4, (0, 2), (2, 3), (3, 3))
    for interaction_only in (False, True)
    for include_bias in (False, True)
]


@parametrize_with_checks(
    [
        PolynomialFeatures(),
        PolynomialFeatures(3, interaction_only=True, include_bias=False),
        PolynomialFeatures((2, 3)),
    ]
)
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_products_names_and_powers_are_the_references(kind):
    x = np.random.default_rng(0).standard_normal((12, 5))
    ours = PolynomialFeatures(**kind).fit(x)
    reference = preprocessing.PolynomialFeatures(**kind).fit(x)
    np.testing.assert_array_equal(ours.transform(x), reference.transform(x))
    np.testing.assert_array_equal(ours.powers_, reference.powers_)
    assert list(ours.get_feature_names_out()) == list(reference.get_feature_names_out())
    assert ours.n_output_features_ == reference.n_output_features_


@pytest.mark.parametrize("degree", [0, 1, 2, 3, (2, 3)])
def test_awkward_matrices_give_the_references_products(degree):
    parity(
        lambda x: PolynomialFeatures(degree).fit_transform(x),
        lambda x: preprocessing.PolynomialFeatures(degree).fit_transform(x),
        AWKWARD,
        rtol=1e-14,
    )


def test_float32_stays():
    x = np.ones((3, 2), dtype=np.float32)
    assert PolynomialFeatures().fit_transform(x).dtype == np.float32


def test_frames_come_out_with_names():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    out = PolynomialFeatures(include_bias=False).set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns) == ["a", "b", "a^2", "a b", "b^2"]
    assert list(out["a b"]) == [3.0, 10.0]


def test_a_line_on_cubic_features_fits_a_cubic():
    x = np.linspace(-2, 2, 15)[:, None]
    y = 1 - x[:, 0] + 0.5 * x[:, 0] ** 3
    model = make_pipeline(PolynomialFeatures(3), LinearRegression()).fit(x, y)
    assert model.score(x, y) == pytest.approx(1)


@pytest.mark.parametrize("degree", [-1, 1.5, "two", (2, 1), (-1, 2), (1, 2, 3), (0.5, 2)])
def test_what_is_no_degree_is_refused(degree):
    with pytest.raises(ValueError, match="degree"):
        PolynomialFeatures(degree).fit(np.ones((3, 2)))


def test_an_output_without_columns_is_refused():
    with pytest.raises(ValueError, match="leaves no column"):
        PolynomialFeatures(0, include_bias=False).fit(np.ones((3, 2)))
