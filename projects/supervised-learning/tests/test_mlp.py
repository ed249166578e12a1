import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as ReferenceClassifier
from sklearn.neural_network import MLPRegressor as ReferenceRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import gradcheck
from supervised_learning.mlp import MLPClassifier, MLPRegressor, _Network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)])
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("output, outputs", [("softmax", 3), ("sigmoid", 1), ("identity", 2)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_that_of_the_loss(
    activation: str, output: str, outputs: int, weighted: bool, rng: np.random.Generator
) -> None:
    network = _Network([4, 5, 3, outputs], activation, output, np.float64)
    network.start(np.random.RandomState(0))
    X = rng.standard_normal((7, 4))
    y = np.eye(3)[rng.integers(0, 3, 7)][:, :outputs] if outputs != 2 else X[:, :2]
    weight = rng.random(7) if weighted else None
    # The regressor's loss is the mean over its outputs; its gradient is left at their sum, which
    # only scales the step.
    scale = outputs if output == "identity" else 1

    def loss(theta: NDArray) -> float:
        network.theta[...] = theta
        total = 7 if weight is None else weight.sum()
        penalty = sum(0.05 * np.sum(w**2) for w in network.weights) / total
        return (network.backward(X, y, weight, 0.1) - penalty) * scale + penalty

    def gradient(theta: NDArray) -> NDArray:
        loss(theta)
        return network.gradient.copy()

    gradcheck(loss, gradient, network.theta.copy())


SETTINGS = [
    {},
    {"hidden_layer_sizes": (30, 20), "activation": "tanh"},
    {"solver": "sgd", "learning_rate_init": 0.05},
    {"solver": "sgd", "nesterovs_momentum": False, "activation": "logistic"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("table", ["iris", "breast_cancer", "digits"])
def test_the_same_seed_gives_the_references_network(
    settings: dict[str, object], table: str
) -> None:
    X, y = tables.matrix(table, standardize=True)
    common = {"max_iter": 12, "random_state": 3, **settings}
    ours = MLPClassifier(**common).fit(X, y)
    theirs = ReferenceClassifier(**common).fit(X, y)
    assert np.allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-8)
    for a, b in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        assert np.allclose(a, b, rtol=1e-6, atol=1e-9)
    assert np.allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_same_seed_gives_the_references_regression(outputs: int) -> None:
    X, y = tables.matrix("diabetes", standardize=True)
    y = y / y.std() if outputs == 1 else np.column_stack([y / y.std(), X[:, 0]])
    common = {"max_iter": 12, "random_state": 3}
    ours, theirs = MLPRegressor(**common).fit(X, y), ReferenceRegressor(**common).fit(X, y)
    assert ours.predict(X).shape == y.shape
    assert np.allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)


def test_it_stops_where_the_reference_stops() -> None:
    X, y = tables.matrix("iris", standardize=True)
    common = {"max_iter": 500, "random_state": 0, "learning_rate_init": 0.05}
    ours, theirs = MLPClassifier(**common).fit(X, y), ReferenceClassifier(**common).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_ < 500


def test_weights_of_rows_are_the_references(rng: np.random.Generator) -> None:
    X, y = tables.matrix("wine", standardize=True)
    weight = rng.random(len(y))
    common = {"max_iter": 10, "random_state": 0}
    ours = MLPClassifier(**common).fit(X, y, sample_weight=weight)
    theirs = ReferenceClassifier(**common).fit(X, y, sample_weight=weight)
    assert np.allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5)


def test_lbfgs_learns_xor() -> None:
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
    scores = [
        MLPClassifier((8,), solver="lbfgs", random_state=seed).fit(X, y).score(X, y)
        for seed in range(5)
    ]
    assert np.mean(scores) > 0.9


def test_float32_is_kept() -> None:
    X, y = tables.matrix("iris", standardize=True)
    model = MLPClassifier(max_iter=5, random_state=0).fit(X.astype(np.float32), y)
    assert {w.dtype for w in model.coefs_ + model.intercepts_} == {np.dtype(np.float32)}
    assert model.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_a_diverging_network_is_refused_not_returned() -> None:
    X = 1e6 * np.arange(40.0).reshape(20, 2)
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match="lower learning_rate_init"),
    ):
        MLPRegressor(activation="identity", solver="sgd", learning_rate_init=1.0).fit(X, X[:, 0])


def test_an_ended_budget_is_said() -> None:
    X, y = tables.matrix("iris")
    with pytest.warns(ConvergenceWarning, match="2 passes"):
        MLPClassifier(max_iter=2, random_state=0).fit(X, y)


@pytest.mark.parametrize(
    "parameters", [{"hidden_layer_sizes": (0,)}, {"alpha": -1.0}, {"beta_1": 1.0}]
)
def test_a_bad_parameter_is_named(parameters: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        MLPClassifier(**parameters).fit([[0.0], [1.0]], [0, 1])
