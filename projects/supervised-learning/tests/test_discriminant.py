import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf as reference_ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis as Reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families, parity
from supervised_learning.discriminant import LinearDiscriminantAnalysis, ledoit_wolf

SETTINGS = [
    {},
    {"solver": "eigen"},
    {"solver": "eigen", "shrinkage": 0.3},
    {"solver": "eigen", "shrinkage": "auto"},
]


@parametrize_with_checks([LinearDiscriminantAnalysis(**settings) for settings in SETTINGS[::2]])
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("k", [2, 3])
def test_probabilities_are_the_references_on_awkward_input(
    settings: dict[str, object], k: int
) -> None:
    def probabilities(estimator):
        def fit(X):
            return estimator.fit(X, np.arange(len(X)) % k).predict_proba(X)

        return fit

    # Without a spread within the classes there is no covariance to divide by.
    leave_out = ["one row", "all zero", "wider than long", "duplicated rows"]
    if settings:
        leave_out.append("far from 0")  # the reference loses its digits there
    if settings.get("shrinkage") is None and settings:
        leave_out += ["rank-deficient", "constant column", "huge and tiny"]
    if "shrinkage" in settings:
        leave_out += ["constant column"] if settings["shrinkage"] == "auto" else ["huge and tiny"]
    parity(
        probabilities(LinearDiscriminantAnalysis(**settings)),
        probabilities(Reference(**settings)),
        awkward_families(leave_out=leave_out),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer", "digits"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_coefficients_and_directions_are_the_references(
    table: str, settings: dict[str, object]
) -> None:
    X, y = tables.matrix(table)
    if table == "digits" and settings.get("solver") == "eigen":
        X = X + 1e-3 * np.random.default_rng(0).standard_normal(X.shape)
    ours = LinearDiscriminantAnalysis(**settings).fit(X, y)
    theirs = Reference(**settings).fit(X, y)
    for name in ("coef_", "intercept_"):
        a, b = getattr(ours, name), getattr(theirs, name)
        if len(a) > 1:  # what is common to all classes decides nothing
            a, b = a - a[0], b - b[0]
        assert np.allclose(a, b, rtol=1e-5, atol=1e-7 * np.abs(b).max()), name
    a, b = ours.transform(X), theirs.transform(X)
    assert a.shape == b.shape
    assert np.allclose(np.abs(a), np.abs(b), rtol=1e-4, atol=1e-5)  # a direction has no sign
    shares = ours.explained_variance_ratio_, theirs.explained_variance_ratio_
    if "shrinkage" not in settings:  # with it, the reference's shares do not sum to 1
        assert np.allclose(*shares, rtol=1e-6)
    assert 0 < shares[0].sum() < 1 + 1e-9


def test_the_shrinkage_is_ledoits_and_wolfs(rng: np.random.Generator) -> None:
    for shape in ((50, 5), (10, 30), (3, 2)):
        X = rng.standard_normal(shape)
        X -= X.mean(axis=0)
        covariance, share = ledoit_wolf(X)
        expected, expected_share = reference_ledoit_wolf(X, assume_centered=True)
        assert share == pytest.approx(expected_share)
        assert np.allclose(covariance, expected)


def test_the_projection_has_unit_variance_within_the_classes(
    tiny_classes: tuple[NDArray, NDArray],
) -> None:
    X, y = tiny_classes
    projected = LinearDiscriminantAnalysis().fit(X, y).transform(X)
    within = np.concatenate([projected[y == c] - projected[y == c].mean(axis=0) for c in range(3)])
    assert np.allclose(within.T @ within / len(X), np.eye(2), atol=1e-10)


def test_a_collinear_and_a_constant_column_change_nothing(
    tiny_classes: tuple[NDArray, NDArray],
) -> None:
    X, y = tiny_classes
    more = np.column_stack([X, X[:, 0] - X[:, 1], np.full(len(X), 7.0)])
    plain = LinearDiscriminantAnalysis().fit(X, y).decision_function(X)
    padded = LinearDiscriminantAnalysis().fit(more, y).decision_function(more)
    assert np.allclose(plain, padded)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"shrinkage": 0.5}, "use 'eigen'"),
        ({"n_components": 3}, "n_components cannot be larger than"),
        ({"priors": [0.5, 0.5]}, "shape"),
        ({"priors": [-0.5, 0.5, 1.0]}, "non-negative"),
        ({"shrinkage": 2.0, "solver": "eigen"}, "shrinkage"),
    ],
)
def test_a_bad_setting_is_named(
    settings: dict[str, object], words: str, tiny_classes: tuple[NDArray, NDArray]
) -> None:
    with pytest.raises(ValueError, match=words):
        LinearDiscriminantAnalysis(**settings).fit(*tiny_classes)


def test_priors_that_do_not_sum_to_1_are_scaled_with_a_warning(
    tiny_classes: tuple[NDArray, NDArray],
) -> None:
    with pytest.warns(UserWarning, match="do not sum to 1"):
        model = LinearDiscriminantAnalysis(priors=[1.0, 1.0, 2.0]).fit(*tiny_classes)
    assert model.priors_.tolist() == [0.25, 0.25, 0.5]
