import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families, gradcheck, parity
from supervised_learning.lbfgs import lbfgs
from supervised_learning.logistic import LogisticRegression, _Likelihood


@parametrize_with_checks(
    [
        LogisticRegression(max_iter=2000),
        LogisticRegression(solver="newton-cg"),
        LogisticRegression(l1_ratio=0.5, max_iter=2000),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_contract(estimator, check):
    check(estimator)


def labels(X: NDArray, k: int) -> NDArray:
    return np.arange(len(X)) % k


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_coefficients_are_the_references_on_awkward_input(solver: str, k: int) -> None:
    # one row is one class; columns of 1e8 need more than a first-order method has;
    # float32 has not the digits, and a test of its own
    families = awkward_families(leave_out=["one row", "huge and tiny", "far from 0", "float32"])

    def both(estimator):
        def fit(X):
            model = estimator.fit(X, labels(X, k))
            return model.coef_, model.intercept_

        return fit

    parity(
        both(LogisticRegression(solver=solver, tol=1e-9, max_iter=5000)),
        both(Reference(solver="newton-cholesky", tol=1e-10, max_iter=5000)),
        families,
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
@pytest.mark.parametrize("table", ["iris", "breast_cancer"])
def test_float32_is_kept_and_nearly_as_good(solver: str, table: str) -> None:
    X, y = tables.matrix(table, standardize=True)
    model = LogisticRegression(solver=solver)
    double = model.fit(X, y).coef_
    single = model.fit(X.astype(np.float32), y).coef_
    assert single.dtype == model.intercept_.dtype == np.float32
    assert np.abs(single - double).max() < 2e-3


@pytest.mark.parametrize("table", ["wine", "breast_cancer", "iris"])
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_the_l1_penalty_gives_the_references_optimum(table: str, l1_ratio: float) -> None:
    X, y = tables.matrix(table, standardize=True)
    ours = LogisticRegression(l1_ratio=l1_ratio, C=0.1, tol=1e-8, max_iter=20_000).fit(X, y)
    theirs = Reference(l1_ratio=l1_ratio, C=0.1, solver="saga", tol=1e-10, max_iter=100_000)
    theirs.fit(X, y)
    assert np.abs(ours.coef_ - theirs.coef_).max() < 1e-5
    assert ((ours.coef_ == 0) == (theirs.coef_ == 0)).all()


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_a_weight_is_a_repetition(solver: str, tiny_classes: tuple[NDArray, NDArray]) -> None:
    X, y = tiny_classes
    weight = np.arange(len(y)) % 4
    model = LogisticRegression(solver=solver, tol=1e-10, max_iter=5000)
    weighted = model.fit(X, y, sample_weight=weight).coef_
    repeated = model.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)).coef_
    assert np.abs(weighted - repeated).max() < 1e-7


@pytest.mark.parametrize("k", [2, 4])
def test_the_gradient_is_that_of_the_loss(k: int, rng: np.random.Generator) -> None:
    X = rng.standard_normal((12, 3))
    loss = _Likelihood(X, labels(X, k), rng.random(12), k, 0.7, True)
    theta = rng.standard_normal(loss.size)
    gradcheck(lambda t: loss(t)[0], lambda t: loss(t)[1], theta)
    step = 1e-6 * rng.standard_normal(loss.size)
    change = loss(theta + step)[1] - loss(theta - step)[1]
    assert np.allclose(loss.hessian(theta)(2 * step), change, rtol=1e-4, atol=1e-12)


def test_separable_classes_without_a_penalty_end_with_a_warning() -> None:
    X = np.array([[-1.0], [1.0]])
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        model = LogisticRegression(C=np.inf, tol=0.0, max_iter=5).fit(X, [0, 1])
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"C": 0}, "C"),
        ({"l1_ratio": 2}, "l1_ratio"),
        ({"solver": "saga"}, "solver"),
        ({"solver": "newton-cg", "l1_ratio": 0.5}, "use solver='lbfgs'"),
    ],
)
def test_a_bad_parameter_is_named(parameters: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LogisticRegression(**parameters).fit([[0.0], [1.0]], [0, 1])


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 classes"):
        LogisticRegression().fit([[0.0], [1.0]], [1, 1])


def test_probabilities_survive_huge_scores() -> None:
    model = LogisticRegression().fit([[-1.0], [1.0]], ["a", "b"])
    with np.errstate(over="raise", invalid="raise"):
        p = model.predict_proba([[-1e6], [1e6]])
    assert p.tolist() == [[1, 0], [0, 1]]


def test_it_works_in_a_grid_search_with_names() -> None:
    frame, y = tables.frame("wine")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0]},
        cv=3,
    )
    assert search.fit(frame, y).best_score_ > 0.95


def test_lbfgs_finds_the_bottom_of_a_curved_valley() -> None:
    def rosenbrock(x: NDArray) -> tuple[float, NDArray]:
        a, b = x
        value = (1 - a) ** 2 + 100 * (b - a * a) ** 2
        return value, np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])

    x, n_iter, converged = lbfgs(rosenbrock, np.array([-1.2, 1.0]), tol=1e-8, max_iter=100)
    assert converged
    assert n_iter < 60
    assert np.allclose(x, 1, atol=1e-7)
