import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from tabular_labs.evaluation import cross_validate


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(90, 3)), columns=list("abc"))
    y = (X["a"] + 0.5 * rng.normal(size=90) > 0).to_numpy().astype(int)
    folds = [list(StratifiedKFold(3, shuffle=True, random_state=s).split(X, y)) for s in (0, 1)]
    return X, y, folds


def accuracy(y, said):
    return accuracy_score(y, said > 0.5)


def test_held_out_predictions_are_scikit_learns(problem, make_run):
    X, y, folds = problem
    model = LogisticRegression()
    judged = cross_validate(make_run(), {"linear": model}, X, y, folds, {"accuracy": accuracy})
    wanted = cross_val_predict(model, X, y, cv=folds[0], method="predict_proba")[:, 1]
    np.testing.assert_allclose(judged.said["linear"], wanted)
    assert judged.scores["linear", "accuracy"][0] == pytest.approx(accuracy(y, wanted))
    assert len(judged.scores["linear", "accuracy"]) == 2


def test_an_interrupted_evaluation_goes_on_where_it_was(problem, make_run):
    X, y, folds = problem

    class Counting(DummyClassifier):
        fitted = 0

        def fit(self, X, y):
            if Counting.fitted == 4:
                raise KeyboardInterrupt
            Counting.fitted += 1
            return super().fit(X, y)

    run = make_run()
    with pytest.raises(KeyboardInterrupt):
        cross_validate(run, {"m": Counting()}, X, y, folds, {"accuracy": accuracy})
    Counting.fitted = 0
    cross_validate(run, {"m": Counting()}, X, y, folds, {"accuracy": accuracy})
    assert Counting.fitted == 2
