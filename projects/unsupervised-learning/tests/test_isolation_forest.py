import numpy as np
import pytest
from sklearn import ensemble as reference
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from unsupervised_learning.isolation_forest import IsolationForest, average_path_length


@parametrize_with_checks(
    [
        IsolationForest(n_estimators=10, random_state=0),
        IsolationForest(n_estimators=10, max_features=0.5, bootstrap=True, contamination=0.1),
    ],
    expected_failed_checks=lambda estimator: {
        # A weight is the probability to be drawn; scikit-learn's own is excused for the same.
        "check_sample_weight_equivalence_on_dense_data": "rows are drawn at random"
    },
)
def test_contract(estimator, check):
    check(estimator)


def walk(tree, row):
    """Follow one row through one tree, node by node."""
    node, cuts = 0, 0
    while tree.child[node] != node:
        node = tree.child[node] + (row[tree.feature[node]] > tree.threshold[node])
        cuts += 1
    return node, cuts


def test_path_lengths_are_those_of_a_walk():
    X = load_wine(return_X_y=True)[0]
    forest = IsolationForest(n_estimators=7, max_samples=64, random_state=0).fit(X)
    lengths = np.array(
        [[tree.length[walk(tree, row)[0]] for tree in forest.estimators_] for row in X]
    )
    assert np.allclose(forest.path_length(X), lengths.mean(axis=1))
    assert np.allclose(
        forest.score_samples(X), -(2.0 ** (-lengths.mean(axis=1) / average_path_length(64)))
    )


def test_leaves_hold_what_the_cuts_have_left():
    X = load_wine(return_X_y=True)[0]
    forest = IsolationForest(n_estimators=5, max_samples=100, random_state=1).fit(X)
    for tree, rows in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        assert len(np.unique(rows)) == 100
        ends = [walk(tree, X[i]) for i in rows]
        inside = np.bincount([leaf for leaf, _ in ends], minlength=len(tree.child))
        for leaf, cuts in ends:
            assert cuts <= 7
            assert inside[leaf] == 1 or cuts == 7
            assert tree.length[leaf] == pytest.approx(cuts + average_path_length(inside[leaf]))


def test_the_usual_path_is_that_of_a_search_tree():
    rng = np.random.default_rng(0)

    def external_path(n):  # of a binary tree on n keys, cut at a random key, as in the search tree
        if n <= 1:
            return 0
        left = rng.integers(1, n)
        return n + external_path(left) + external_path(n - left)

    grown = np.mean([external_path(200) / 200 for _ in range(300)])
    assert average_path_length(200) == pytest.approx(grown, rel=0.05)
    assert average_path_length(1) == 0.0
    assert average_path_length(2) == 1.0


@pytest.mark.parametrize("options", [{}, {"max_features": 0.5}, {"bootstrap": True}])
def test_outliers_are_ranked_as_well_as_by_the_reference(options):
    X, y = load_breast_cancer(return_X_y=True)
    keep = np.r_[np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:30]]
    X, outlier = X[keep], y[keep] == 0
    areas = {
        kind: np.mean(
            [
                roc_auc_score(outlier, -kind(random_state=s, **options).fit(X).score_samples(X))
                for s in range(5)
            ]
        )
        for kind in (IsolationForest, reference.IsolationForest)
    }
    assert areas[IsolationForest] > areas[reference.IsolationForest] - 0.01
    assert areas[IsolationForest] > 0.9


def test_scores_have_the_distribution_of_the_reference():
    X = np.random.default_rng(0).standard_normal((2000, 3))
    ours = IsolationForest(n_estimators=400, random_state=0).fit(X).score_samples(X)
    theirs = reference.IsolationForest(n_estimators=400, random_state=0).fit(X).score_samples(X)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98
    assert abs(ours.mean() - theirs.mean()) < 0.005
    assert abs(ours.std() - theirs.std()) < 0.01


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_contamination_sets_the_share_of_outliers(share):
    X = np.random.default_rng(0).standard_normal((1000, 4))
    forest = IsolationForest(contamination=share, random_state=0).fit(X)
    assert np.mean(forest.predict(X) == -1) == pytest.approx(share, abs=0.003)
    assert np.array_equal(forest.decision_function(X) < 0, forest.predict(X) == -1)


def test_rows_without_weight_are_in_no_tree():
    X = np.random.default_rng(0).standard_normal((300, 2))
    weight = np.r_[np.zeros(150), np.ones(150)]
    forest = IsolationForest(n_estimators=20, random_state=0).fit(X, sample_weight=weight)
    assert min(rows.min() for rows in forest.estimators_samples_) >= 150
    with pytest.raises(ValueError, match="at least one non-zero"):
        forest.fit(X, sample_weight=np.zeros(300))


def test_huge_values_and_equal_rows_have_finite_scores():
    X = np.array([[-1e308], [1e308], [0.0], [1.0]])
    assert np.isfinite(IsolationForest(random_state=0).fit(X).score_samples(X)).all()
    same = IsolationForest(random_state=0).fit(np.ones((50, 3)))
    assert len(np.unique(same.score_samples(np.array([[1.0, 1, 1], [9, 9, 9]])))) == 1


def test_float32_rows_are_cut_as_they_are():
    X = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    forest = IsolationForest(random_state=0).fit(X)
    assert forest.estimators_[0].threshold.dtype == np.float32
    assert np.isfinite(forest.score_samples(X)).all()


def test_a_pipeline_takes_it():
    X = load_wine(return_X_y=True)[0]
    labels = make_pipeline(StandardScaler(), IsolationForest(random_state=0)).fit(X).predict(X)
    assert set(labels) == {-1, 1}


@pytest.mark.parametrize(
    "options, word",
    [
        ({"n_estimators": 0}, "n_estimators"),
        ({"max_samples": 0}, "max_samples"),
        ({"max_samples": 1.5}, "max_samples"),
        ({"contamination": 0.6}, "contamination"),
        ({"max_features": 4}, "not between 1 and 3"),
    ],
)
def test_parameters_out_of_range_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        IsolationForest(**options).fit(np.random.default_rng(0).standard_normal((20, 3)))


def test_bad_input_is_told():
    with pytest.raises(NotFittedError):
        IsolationForest().predict([[0.0]])
    with pytest.raises(ValueError, match="NaN"):
        IsolationForest().fit([[np.nan], [1.0]])
    with pytest.warns(UserWarning, match="more than the 4 rows"):
        IsolationForest(n_estimators=2, max_samples=100).fit([[0.0], [1.0], [2.0], [3.0]])
