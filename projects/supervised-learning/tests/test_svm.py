import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import svm
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel, sigmoid_kernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._test_common.instance_generator import PER_ESTIMATOR_XFAIL_CHECKS
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families, parity
from supervised_learning.svm import SVC, SVR, LinearSVC, LinearSVR
from supervised_learning.svm.dual_qp import margin_dual, margin_primal, solve_dual, solve_qp
from supervised_learning.svm.kernels import KINDS, Kernel, fill_row, kernel_diagonal, kernel_matrix
from supervised_learning.svm.smo import solve_smo


def known_failures(estimator) -> dict[str, str]:
    """The reference's: repeated rows change gamma="scale", and the answer within the tolerance."""
    if estimator.tol > 1e-6 and isinstance(estimator, SVC | SVR):
        return PER_ESTIMATOR_XFAIL_CHECKS[getattr(svm, type(estimator).__name__)]
    return {}


@parametrize_with_checks(
    [
        SVC(),
        SVC(gamma="auto", tol=1e-10),
        SVR(gamma="auto", tol=1e-10),
        LinearSVC(tol=1e-12),
        LinearSVR(tol=1e-12),
    ],
    expected_failed_checks=known_failures,
)
def test_contract(estimator, check):
    check(estimator)


def three_kernels(X: NDArray, Z: NDArray) -> dict[str, NDArray]:
    shape = {"gamma": 0.3, "coef0": 0.5}
    return {
        "linear": X @ Z.T,
        "poly": polynomial_kernel(X, Z, degree=5, **shape),
        "rbf": rbf_kernel(X, Z, gamma=0.3),
        "sigmoid": sigmoid_kernel(X, Z, **shape),
    }


def test_kernels_are_their_formulas(rng: np.random.Generator) -> None:
    X, Z = rng.standard_normal((300, 6)), rng.standard_normal((20, 6))
    for name, expected in three_kernels(X, Z).items():
        kernel = Kernel(KINDS.index(name), 0.3, 0.5, 5)
        values = kernel_matrix(X, Z, kernel)
        assert np.allclose(values, expected, rtol=1e-13, atol=1e-13)
        assert np.allclose(kernel_diagonal(Z, kernel), np.diag(kernel_matrix(Z, Z, kernel)))
        row = np.full(300, np.nan)
        fill_row(np.ascontiguousarray(X.T), (X**2).sum(axis=1), 7, 5, 290, kernel, row)
        assert np.allclose(row[5:290], kernel_matrix(X[7:8], X[5:290], kernel)[0])
        assert np.isnan(row[[4, 290]]).all()


def dual_violation(model: SVC, X: NDArray, y: NDArray) -> float:
    """How far a two-class model is from the conditions of Karush, Kuhn and Tucker."""
    sign = np.where(y == model.classes_[1], 1.0, -1.0)
    alpha = np.zeros(len(y))
    alpha[model.support_] = model.dual_coef_[0] * sign[model.support_]
    margin = sign * model.decision_function(X)
    short = np.where(alpha < model.C, 1 - margin, 0)  # a price below C: no slack
    far = np.where(alpha > 0, margin - 1, 0)  # a support vector: not beyond the margin
    assert alpha.min() >= 0
    assert alpha.max() <= model.C
    return max(float(short.max()), float(far.max()), abs(float(sign @ alpha)))


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf"])
@pytest.mark.parametrize("shrinking", [True, False])
def test_the_optimum_fulfills_the_conditions_of_optimality(kernel: str, shrinking: bool) -> None:
    X, y = tables.matrix("breast_cancer", standardize=True)
    model = SVC(kernel=kernel, C=3.0, tol=1e-8, shrinking=shrinking).fit(X, y)
    assert dual_violation(model, X, y) < 1e-7
    if kernel == "linear":
        assert np.allclose(X @ model.coef_[0] + model.intercept_, model.decision_function(X))


@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"kernel": "linear", "class_weight": "balanced", "C": 0.2},
        {"kernel": "poly", "degree": 2, "coef0": 1.0, "C": 0.5},
        {"kernel": "sigmoid", "gamma": 0.01, "decision_function_shape": "ovo"},
    ],
)
def test_a_classifier_is_the_references(table: str, parameters: dict) -> None:
    X, y = tables.matrix(table, standardize=True)
    X, first = np.unique(X, axis=0, return_index=True)  # two equal rows may share a multiplier
    y = y[first]
    weight = np.random.default_rng(0).integers(1, 4, len(y))
    ours = SVC(tol=1e-9, **parameters).fit(X, y, weight)
    theirs = svm.SVC(tol=1e-9, **parameters).fit(X, y, weight)
    assert np.abs(ours.decision_function(X) - theirs.decision_function(X)).max() < 1e-5
    assert np.abs(ours.intercept_ - theirs.intercept_).max() < 1e-5
    assert (ours.predict(X) == theirs.predict(X)).all()
    assert (ours.support_ == theirs.support_).all()
    assert (ours.support_vectors_ == theirs.support_vectors_).all()
    assert (ours.n_support_ == theirs.n_support_).all()
    assert np.abs(ours.dual_coef_ - theirs.dual_coef_).max() < 2e-5
    if parameters.get("kernel") == "linear":
        assert np.abs(ours.coef_ - theirs.coef_).max() < 1e-5


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"kernel": "linear", "C": 0.1},
        {"kernel": "poly", "coef0": 1.0, "C": 0.1},
        {"epsilon": 0.0},
    ],
)
def test_a_regressor_is_the_references(parameters: dict) -> None:
    X, y = tables.matrix("diabetes", standardize=True)
    y = (y - y.mean()) / y.std()
    weight = np.random.default_rng(0).integers(1, 4, len(y))
    ours = SVR(tol=1e-8, **parameters).fit(X, y, weight)
    theirs = svm.SVR(tol=1e-8, **parameters).fit(X, y, weight)
    assert np.abs(ours.predict(X) - theirs.predict(X)).max() < 1e-5
    assert np.abs(ours.intercept_ - theirs.intercept_).max() < 1e-5
    assert (ours.support_ == theirs.support_).all()
    assert np.abs(ours.dual_coef_ - theirs.dual_coef_).max() < 2e-5


@pytest.mark.parametrize("parameters", [{"C": 100.0}, {"kernel": "linear", "epsilon": 0.0}])
def test_a_regressor_fulfills_the_conditions_of_optimality(parameters: dict) -> None:
    X, y = tables.matrix("diabetes", standardize=True)
    model = SVR(tol=1e-8, **parameters).fit(X, y)
    beta = np.zeros(len(y))
    beta[model.support_] = model.dual_coef_[0]
    beyond = np.abs(y - model.predict(X)) - model.epsilon
    assert abs(beta.sum()) < 1e-8
    assert np.abs(beta).max() <= model.C
    assert beyond[np.abs(beta) < model.C].max() < 1e-7  # a price below C: within the tube
    assert beyond[beta != 0].min() > -1e-7  # a support vector: not inside it
    assert ((y - model.predict(X)) * beta >= -1e-6).all()


def test_a_row_without_weight_is_left_out() -> None:
    X, y = tables.matrix("wine", standardize=True)
    weight = (np.arange(len(y)) % 3).astype(float)
    for model in (SVC(gamma=0.1), SVR(gamma=0.1)):
        model.fit(X, y, weight)
        assert (weight[model.support_] > 0).all()
        assert (X[model.support_] == model.support_vectors_).all()
        scores = model.predict(X)
        kept = weight > 0
        assert np.abs(scores - model.fit(X[kept], y[kept], weight[kept]).predict(X)).max() < 1e-9


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("k", [2, 3])
def test_decisions_are_the_references_on_awkward_input(kernel: str, k: int) -> None:
    # one row is one class; far from 0 the reference loses the digits that centering saves
    families = awkward_families(leave_out=["one row", "huge and tiny", "far from 0", "float32"])

    def both(estimator):
        def fit(X):
            return estimator.fit(X, np.arange(len(X)) % k).decision_function(X)

        return fit

    settings = {"kernel": kernel, "tol": 1e-9, "gamma": 0.5, "decision_function_shape": "ovo"}
    parity(both(SVC(**settings)), both(svm.SVC(**settings)), families, rtol=1e-5, atol=1e-5)


def test_values_are_the_references_on_awkward_input() -> None:
    families = awkward_families(leave_out=["huge and tiny", "far from 0", "float32"])

    def both(estimator):
        return lambda X: estimator.fit(X, np.linspace(-1, 1, len(X)) ** 3).predict(X)

    settings = {"tol": 1e-9, "gamma": 0.5, "epsilon": 0.05}
    parity(both(SVR(**settings)), both(svm.SVR(**settings)), families, rtol=1e-5, atol=1e-5)


def test_points_far_from_0_lose_no_digits_to_the_radial_kernel() -> None:
    X, y = tables.matrix("iris", standardize=True)
    X = np.round(X, 3)
    near, far = SVC(gamma=0.5, tol=1e-8).fit(X, y), SVC(gamma=0.5, tol=1e-8).fit(X + 1e6, y)
    assert np.abs(near.decision_function(X) - far.decision_function(X + 1e6)).max() < 1e-5


@pytest.mark.parametrize("kernel", ["precomputed", "callable"])
def test_a_given_kernel_is_as_good_as_a_named_one(kernel: str) -> None:
    X, y = tables.matrix("wine", standardize=True)
    train, test = np.arange(0, len(y), 2), np.arange(1, len(y), 2)
    expected = SVC(gamma=0.1, tol=1e-9).fit(X[train], y[train])
    if kernel == "callable":
        model = SVC(kernel=lambda a, b: rbf_kernel(a, b, gamma=0.1), tol=1e-9)
        rows = X
    else:
        model = SVC(kernel="precomputed", tol=1e-9)
        rows = rbf_kernel(X, X[train], gamma=0.1)
    got = model.fit(rows[train], y[train])
    assert (got.support_ == expected.support_).all()
    assert np.abs(got.dual_coef_ - expected.dual_coef_).max() < 1e-6
    scores = expected.decision_function(X[test])
    assert np.abs(got.decision_function(rows[test]) - scores).max() < 1e-6


def test_a_small_cache_and_shrinking_change_nothing() -> None:
    X, y = tables.matrix("digits", rows=600)
    y = (y % 2).astype(float)
    C, sign = 10.0, 2 * y - 1
    lower, upper = np.minimum(C * sign, 0), np.maximum(C * sign, 0)
    kernel = Kernel(KINDS.index("rbf"), 0.0005, 0.0, 3)
    whole = solve_smo(X, sign, lower, upper, kernel, tol=1e-6, shrinking=False)
    for matrix, kind in ((X, kernel), (kernel_matrix(X, X, kernel), Kernel(4, 0.0, 0.0, 0))):
        part = solve_smo(matrix, sign, lower, upper, kind, tol=1e-6, cache_mb=0.02)
        assert part.converged
        assert abs(part.objective - whole.objective) < 1e-8 * abs(whole.objective)
        assert np.abs(part.slack - whole.slack).max() < 1e-5


def test_votes_and_broken_ties_are_the_references() -> None:
    X, y = tables.matrix("digits", rows=500)
    for break_ties in (False, True):
        ours = SVC(C=0.02, break_ties=break_ties, tol=1e-6).fit(X, y)
        theirs = svm.SVC(C=0.02, break_ties=break_ties, tol=1e-6).fit(X, y)
        assert (ours.predict(X) == theirs.predict(X)).all()
    with pytest.raises(ValueError, match="break_ties must be False"):
        SVC(break_ties=True, decision_function_shape="ovo").fit(X, y).predict(X)


@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer", "digits"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"class_weight": "balanced", "C": 0.1},
        {"fit_intercept": False, "C": 10.0},
        {"intercept_scaling": 5.0},
    ],
)
def test_a_linear_classifier_is_the_references(table: str, parameters: dict) -> None:
    X, y = tables.matrix(table, standardize=True, rows=500)
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    ours = LinearSVC(tol=1e-12, **parameters).fit(X, y, weight)
    theirs = svm.LinearSVC(dual=False, tol=1e-12, max_iter=100_000, **parameters)
    theirs.fit(X, y, weight)
    assert np.abs(ours.coef_ - theirs.coef_).max() < 1e-5
    assert np.abs(ours.intercept_ - theirs.intercept_).max() < 1e-5


@pytest.mark.parametrize("parameters", [{}, {"epsilon": 0.5, "C": 0.1}, {"fit_intercept": False}])
def test_a_linear_regressor_is_the_references(parameters: dict) -> None:
    X, y = tables.matrix("diabetes", standardize=True)
    y = (y - y.mean()) / y.std()
    ours = LinearSVR(tol=1e-12, **parameters).fit(X, y)
    theirs = svm.LinearSVR(
        loss="squared_epsilon_insensitive", dual=False, tol=1e-12, max_iter=100_000, **parameters
    ).fit(X, y)
    assert np.abs(ours.coef_ - theirs.coef_).max() < 1e-5
    assert np.abs(ours.intercept_ - theirs.intercept_).max() < 1e-5


def test_more_columns_than_rows_give_the_same_optimum(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((30, 200)), np.arange(30) % 2
    ours = LinearSVC(tol=1e-12).fit(X, y)
    theirs = svm.LinearSVC(dual=False, tol=1e-12, max_iter=100_000).fit(X, y)
    assert np.abs(ours.coef_ - theirs.coef_).max() < 1e-6


@pytest.fixture
def flowers() -> tuple[NDArray, NDArray]:
    """Two classes of iris that no line separates: X (100, 4), y of -1 and 1."""
    X, y = tables.matrix("iris")
    return X[y > 0], np.where(y[y > 0] == 1, 1.0, -1.0)


@pytest.mark.parametrize("C", [0.1, 10.0])
def test_primal_dual_and_smo_agree_on_the_soft_margin(
    C: float, flowers: tuple[NDArray, NDArray]
) -> None:
    X, y = flowers
    primal, dual = margin_primal(X, y, C), margin_dual(X, y, C)
    assert abs(primal.value - dual.value) < 1e-7 * primal.value  # no duality gap
    assert np.abs(primal.alpha - dual.alpha).max() < 1e-4
    smo = SVC(kernel="linear", C=C, tol=1e-9).fit(X, y)
    assert np.abs(primal.w - smo.coef_[0]).max() < 1e-6
    assert abs(primal.b - smo.intercept_[0]) < 1e-5
    kernel_dual = solve_dual(X @ X.T, y, C)
    assert abs(-kernel_dual.value - primal.value) < 1e-6 * primal.value


def test_a_hard_margin_is_half_the_distance_of_two_points() -> None:
    X, y = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 9.0]]), np.array([-1.0, 1.0, 1.0])
    for margin in (margin_primal(X, y), margin_dual(X, y)):
        assert margin.width == pytest.approx(5.0)
        assert margin.w == pytest.approx([6 / 25, 8 / 25])
        assert margin.alpha == pytest.approx([2 / 25, 2 / 25, 0.0], abs=1e-8)
        assert margin.b == pytest.approx(-1.0)


def test_a_hard_margin_that_does_not_exist_is_refused(flowers: tuple[NDArray, NDArray]) -> None:
    for find in (margin_primal, margin_dual):
        with pytest.raises(ValueError, match="no solution"):
            find(*flowers)


def test_a_quadratic_program_with_a_known_answer() -> None:
    # the point of the triangle x + y = 2, x ≤ 0.5, y ≥ 0 closest to (2, 0)
    P, q = 2 * np.eye(2), np.array([-4.0, 0.0])
    A, b = np.array([[1.0, 1.0]]), np.array([2.0])
    G, h = np.array([[1.0, 0.0], [0.0, -1.0]]), np.array([0.5, 0.0])
    solution = solve_qp(P, q, A, b, G, h)
    assert solution.x == pytest.approx([0.5, 1.5])
    assert solution.inequality == pytest.approx([6.0, 0.0], abs=1e-7)
    assert solution.equality == pytest.approx([-3.0])


@pytest.mark.parametrize("estimator", [SVC(max_iter=2), SVR(max_iter=2), LinearSVC(max_iter=1)])
def test_too_few_steps_end_with_a_warning(estimator) -> None:
    X, y = tables.matrix("breast_cancer", standardize=True)
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        estimator.fit(X, y)


@pytest.mark.parametrize(
    "estimator, words",
    [
        (SVC(C=0), "C"),
        (SVC(kernel="gauss"), "kernel"),
        (SVC(gamma=-1.0), "gamma"),
        (SVR(epsilon=-1.0), "epsilon"),
        (SVC(cache_size=0), "cache_size"),
        (LinearSVC(C=-1), "C"),
        (LinearSVR(tol=0.0), "tol"),
        (SVC(kernel="precomputed"), "square matrix"),
        (SVC(kernel="poly", degree=60, coef0=1e9), "not finite, or too large"),
        (SVC(kernel=lambda a, b: a), "the kernel function gave"),
    ],
)
def test_a_bad_parameter_is_named(estimator, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        estimator.fit([[0.0, 1.0], [1.0, 1.0], [2.0, 0.0]], [0, 1, 1])


@pytest.mark.parametrize("weight", [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -1.0, -1.0]])
def test_weights_that_leave_one_class_are_refused(weight: list[float]) -> None:
    words = "Invalid input" if any(weight) else "at least one non-zero"
    with pytest.raises(ValueError, match=words):
        SVC().fit([[0.0], [1.0], [2.0]], [0, 0, 1], weight)
    if max(weight) <= 0:
        with pytest.raises(ValueError, match=words):
            SVR().fit([[0.0], [1.0], [2.0]], [0.0, 0.0, 1.0], weight)


def test_only_the_linear_kernel_has_weights() -> None:
    model = SVC().fit([[0.0], [1.0]], [0, 1])
    assert not hasattr(model, "coef_")
    with pytest.raises(NotFittedError):
        SVR().predict([[0.0]])


def test_it_works_in_a_grid_search_with_names() -> None:
    frame, y = tables.frame("wine")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.1, 1.0], "svc__gamma": [0.1]}, cv=3
    )
    assert search.fit(frame, y).best_score_ > 0.95
