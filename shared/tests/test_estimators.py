"""Estimators held against references, and what a package's labs say together."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

from groundwork import estimators, summary
from groundwork.claims import Claim
from groundwork.data import DataError, tables
from groundwork.estimators import Growth, Pair, study
from groundwork.execution import execute
from groundwork.readme import write_readmes
from groundwork.records import make_record
from groundwork.run import Run
from groundwork.terminal import Terminal
from groundwork.verifying import verify
from groundwork.workspace import Workspace


@pytest.fixture
def fresh_run(tmp_path: Path) -> Run:
    return Run(tmp_path, seed=0, terminal=Terminal(None))


def test_a_study_measures_scores_and_times_of_each_pair(fresh_run: Run) -> None:
    pairs = [
        Pair("Ridge", Ridge(), Ridge(solver="svd"), sets=("diabetes", "friedman1")),
        Pair("LogisticRegression", LogisticRegression(), LogisticRegression()),
    ]
    study(fresh_run, pairs, sets=("iris", "wine"), seeds=3, rows=300)
    assert set(fresh_run.comparisons) == {
        f"{kind}.{pair.name}" for kind in ("fit", "predict") for pair in pairs
    }
    assert abs(fresh_run.metrics["apart.Ridge"]["value"]) < 1e-9
    assert fresh_run.metrics["apart.Ridge"]["n"] == 3
    assert fresh_run.metrics["score.LogisticRegression"]["value"] > 90


def test_a_worse_estimator_lies_behind_where_it_is_worst(fresh_run: Run) -> None:
    pair = Pair("Lasso", Lasso(alpha=1e3), Ridge(), sets=("diabetes", "friedman1"))
    study(fresh_run, [pair], seeds=2, rows=0)
    behind = fresh_run.metrics["behind.Lasso"]["value"]
    assert behind == fresh_run.metrics["apart.Lasso"]["value"] > 40
    assert not fresh_run.comparisons


def test_each_seed_sets_the_random_state_of_both(fresh_run: Run) -> None:
    tree = DecisionTreeClassifier(max_features=1)
    study(fresh_run, [Pair("Tree", tree, tree, sets=("wine",))], seeds=3, rows=0)
    assert fresh_run.metrics["apart.Tree"]["value"] == 0
    assert tree.random_state is None


def test_an_interrupted_study_goes_on_after_the_last_pair(fresh_run: Run) -> None:
    class Stop(Ridge):
        def fit(self, x: object, y: object) -> "Stop":
            raise KeyboardInterrupt

    first = Pair("Ridge", Ridge(), Ridge(), sets=("diabetes",))
    with pytest.raises(KeyboardInterrupt):
        study(fresh_run, [first, Pair("Stop", Stop(), Ridge(), sets=("diabetes",))], rows=0)
    again = Pair("Ridge", Stop(), Ridge(), sets=("diabetes",))  # would stop, were it run again
    study(fresh_run, [again], rows=0)
    assert fresh_run.metrics["apart.Ridge"]["value"] == 0


def test_the_coefficient_error_is_the_worst_difference(fresh_run: Run) -> None:
    same = estimators.coefficient_error(
        fresh_run, "same", Ridge(), Ridge(solver="svd"), ["diabetes", "friedman1"]
    )
    assert same < 1e-9
    estimators.coefficient_error(fresh_run, "other", Ridge(alpha=9), Ridge(), ["diabetes"])
    assert fresh_run.metrics["coefficient_error.other"]["value"] > 1e-3


def test_growth_has_a_figure_and_an_exponent(fresh_run: Run) -> None:
    pair = Pair("Ridge", Ridge(), Ridge(), sets=())
    curves = study(fresh_run, [pair], rows=0, largest=5000)
    assert curves["Ridge"].sizes == [1000, 2000, 3000, 5000]
    assert (fresh_run.folder / "growth.svg").stat().st_size > 1000
    assert "exponent_excess.Ridge" in fresh_run.metrics


def test_a_curve_ends_before_a_fit_that_takes_too_long() -> None:
    pair = Pair("Ridge", Ridge(), Ridge())
    curve = estimators.measure_growth(pair, 100_000, limit_s=0.0, seed=0)
    assert curve == Growth([1000], curve.ours, curve.reference)


def test_the_exponent_is_the_slope_where_fixed_costs_no_longer_rule() -> None:
    sizes = [1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]
    assert estimators.exponent(sizes, [n**1.5 for n in sizes]) == pytest.approx(1.5)
    flat_below = [max(n, 10_000) / 1e4 for n in sizes]
    assert estimators.exponent(sizes, flat_below) == pytest.approx(1.0)


class Hungry(Ridge):
    def fit(self, x: np.ndarray, y: np.ndarray) -> "Hungry":
        held = np.ones((len(x), 4096))
        self.sum_ = held.sum()
        return super().fit(x, y)


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the system does not tell peaks"
)
def test_a_peak_is_measured_beyond_what_the_process_held() -> None:
    measured = estimators.measure_memory(Pair("Ridge", Hungry(), Ridge()), 4000, 0)
    assert measured is not None
    ours, reference = measured
    assert 4000 * 4096 * 8 * 0.9 < ours < 4000 * 4096 * 8 * 1.3
    assert reference < 2**23


def comparison(ratio: float) -> dict[str, object]:
    return {"library": "peer 1.0", "ratio": ratio}


RUNS = [
    {
        "lab": "a",
        "comparisons": {"fit.A": comparison(0.5), "predict.A": comparison(2.0), "x": {}},
        "metrics": {"score.A": {"value": 90.0, "unit": "points"}},
    },
    {"lab": "b", "comparisons": {"fit.B": comparison(2.0)}, "metrics": {}},
]


def test_the_rows_are_what_labs_have_timed() -> None:
    a, b = summary.rows(RUNS)
    assert (a.name, a.lab, a.score, a.score_reference) == ("A", "a", 90.0, None)
    assert a.ratios == {"fit": 0.5, "predict": 2.0}
    assert b.ratios == {"fit": 2.0, "predict": None}


def test_a_package_claims_geometric_means_of_its_labs() -> None:
    claims = [
        Claim("geometric_mean.fit", "<=", 1.0),
        Claim("geometric_mean.predict", "<=", 1.0),
        Claim("geometric_mean.fit", "<=", 0.1, presets=("gpu",)),
    ]
    fit, predict = summary.check(claims, "full", RUNS)
    assert fit["holds"]
    assert fit["value"] == pytest.approx(1.0)
    assert (predict["value"], predict["holds"]) == (pytest.approx(2.0), False)


@pytest.mark.parametrize("name", tables.EMBEDDED_TABLES)
def test_an_embedded_table_is_numbers(name: str) -> None:
    x, y = tables.matrix(name, standardize=True)
    assert x.shape[0] == len(y)
    assert np.isfinite(x).all()
    assert np.abs(x.mean(axis=0)).max() < 1e-9
    assert (y.dtype.kind == "f") == tables.is_regression(name)


def test_missing_numbers_and_categories_become_numbers() -> None:
    import pandas as pd

    whole = pd.DataFrame(
        {
            "a": [1.0, None, 3.0, 8.0],
            "b": ["x", "y", None, "x"],
            "many": ["p", "q", "r", "p"],
            "target": ["no", "yes", "no", None],
        }
    )
    tables.TABLES["small"] = tables.Table("target", ("many",))
    try:
        x, y = tables.matrix("small", lambda name: {"frame": whole})
    finally:
        del tables.TABLES["small"]
    # columns: a with its median 2, b = x, b = y (the first of missing, x, y has none)
    assert x.tolist() == [[1, 1, 0], [2, 0, 1], [3, 0, 0]]
    assert y.tolist() == [0, 1, 0]


def test_a_draw_of_rows_depends_on_the_seed_alone() -> None:
    draws = [tables.matrix("digits", rows=50, seed=seed)[0] for seed in (0, 0, 1)]
    assert draws[0].shape == (50, 64)
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_what_is_no_table_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match="letter"):
        tables.matrix("leter")


TIMED_LAB = '''"""Time a sum."""

from groundwork import Claim, Run

PRESETS = {"smoke": {}, "default": {}, "full": {}}
CLAIMS = [Claim("score.Sum", ">=", 1)]


def main(run: Run) -> None:
    run.metric("score.Sum", 91.234, "points")
    run.metric("score_reference.Sum", 90.0, "points")
    run.compare("fit.Sum", lambda: sum(range(10)), lambda: sum(range(10_000)), library="loop")
'''


def test_a_readme_opens_with_the_estimators_and_their_geometric_mean(workspace: Workspace) -> None:
    member = workspace.member("small-demo")
    labs = member.source / "labs"
    (labs / "timed.py").write_text(TIMED_LAB)
    bound = 'CLAIMS = [Claim("geometric_mean.fit", "<=", 1.0, presets=("full",))]\n'
    (labs / "__init__.py").write_text("from groundwork import Claim\n" + bound)
    text = member.readme.read_text()
    member.readme.write_text("<!-- estimators:start --><!-- estimators:end -->\n" + text)
    write_readmes(workspace)
    assert "No estimator is recorded yet." in member.readme.read_text()
    execute(workspace.lab("small-demo/timed"), preset="full")
    make_record(workspace, workspace.lab("small-demo/timed"))
    write_readmes(workspace)
    opening = member.readme.read_text().split("<!-- estimators:end -->")[0]
    assert "| [`Sum`](#timed) | loop | 91.23 | 90.00 | 0.0" in opening
    assert "| geometric mean |" in opening
    assert "✅ <= 1" in opening


def test_verify_holds_a_package_to_its_own_claims(
    workspace: Workspace,
) -> None:
    labs = workspace.member("small-demo").source / "labs"
    for other in ("count", "draw_line"):
        (labs / f"{other}.py").unlink()
    (labs / "timed.py").write_text(TIMED_LAB)
    for bound in (1.0, 1e-9):
        claim = f'CLAIMS = [Claim("geometric_mean.fit", "<=", {bound})]\n'
        (labs / "__init__.py").write_text("from groundwork import Claim\n" + claim)
        execute(workspace.lab("small-demo/timed"), preset="full")
        held = verify(
            workspace,
            workspace.labs(),
            preset="full",
            seed=0,
            resume=True,
            terminal=Terminal(None),
        )
        assert held == (bound == 1.0)
