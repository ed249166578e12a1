import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import naive_bayes as reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families, parity
from supervised_learning.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB, MultinomialNB


@parametrize_with_checks(
    [GaussianNB(), MultinomialNB(), BernoulliNB(), CategoricalNB(), BernoulliNB(binarize=1.0)]
)
def test_contract(estimator, check):
    check(estimator)


def counts(X: NDArray) -> NDArray:
    return np.floor(np.abs(np.clip(X, -50, 50))).astype(X.dtype)


PAIRS = [
    (GaussianNB(), reference.GaussianNB(), lambda X: X),
    (MultinomialNB(), reference.MultinomialNB(), counts),
    (
        MultinomialNB(alpha=0.1, fit_prior=False),
        reference.MultinomialNB(alpha=0.1, fit_prior=False),
        counts,
    ),
    (BernoulliNB(), reference.BernoulliNB(), lambda X: X),
    (CategoricalNB(), reference.CategoricalNB(), counts),
]  # fmt: skip


@pytest.mark.parametrize("ours, theirs, prepare", PAIRS, ids=lambda value: str(value)[:30])
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_the_joint_likelihood_is_the_references(ours, theirs, prepare) -> None:
    def scores(estimator):
        def fit(X):
            X = prepare(X)
            y = np.arange(len(X)) % 3
            weight = 1.0 + np.arange(len(X)) % 2
            return estimator.fit(X, y, sample_weight=weight).predict_log_proba(X)

        return fit

    # A variance of 0 in every column leaves a Gaussian without a density: not a number there.
    leave_out = ["all zero", "one row", "float32"] if isinstance(ours, GaussianNB) else ["float32"]
    parity(scores(ours), scores(theirs), awkward_families(leave_out=leave_out), rtol=1e-6)


@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer", "digits"])
@pytest.mark.parametrize("ours, theirs, prepare", PAIRS, ids=lambda value: str(value)[:30])
def test_real_tables_get_the_references_classes(table: str, ours, theirs, prepare) -> None:
    X, y = tables.matrix(table)
    X = prepare(X)
    assert (ours.fit(X, y).predict(X) == theirs.fit(X, y).predict(X)).all()


def test_a_given_prior_moves_the_border() -> None:
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1]
    fair = GaussianNB().fit(X, y)
    bold = GaussianNB(priors=[0.999, 0.001]).fit(X, y)
    assert fair.predict([[1.9]]) == [1]
    assert bold.predict([[1.9]]) == [0]


@pytest.mark.parametrize("priors", [[0.5], [0.7, 0.7], [-1.0, 2.0]])
def test_a_bad_prior_is_refused(priors: list[float]) -> None:
    with pytest.raises(ValueError, match="prior"):
        GaussianNB(priors=priors).fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize("estimator", [MultinomialNB(), CategoricalNB()])
def test_negative_counts_are_refused(estimator) -> None:
    with pytest.raises(ValueError, match="Negative values"):
        estimator.fit([[1, -1], [0, 2]], [0, 1])


def test_a_category_never_heard_of_is_named() -> None:
    model = CategoricalNB().fit([[0, 1], [1, 0]], [0, 1])
    with pytest.raises(IndexError, match=r"column 1 holds the category 5.*min_categories"):
        model.predict([[0, 5]])
    wide = CategoricalNB(min_categories=6).fit([[0, 1], [1, 0]], [0, 1])
    assert np.isfinite(wide.predict_log_proba([[0, 5]])).all()


def test_what_was_never_seen_is_unlikely_and_not_impossible() -> None:
    X = np.array([[3, 0], [2, 0], [0, 4]])
    p = MultinomialNB().fit(X, [0, 0, 1]).predict_proba([[0, 1]])
    assert 0 < p[0, 0] < p[0, 1]
