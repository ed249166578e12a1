"""Grow decision trees by impurity: ID3 and CART, their splits traced, drawn, pruned and measured.

A tree asks one question after the other. Which one comes first? The one that leaves its children
purest. The criteria are derived in `supervised_learning.tree.criteria`, ID3's information gain in
`supervised_learning.id3`. First Quinlan's fourteen mornings by ID3: a table with each column's
gain, and the tree as a figure. Then CART on cell nuclei: the tree as it is drawn; every threshold
of the root's column with what it gains, by Gini and by entropy, as the definition says; and what
cost-complexity pruning does to the error on rows that were held out. A tree that is grown until its
leaves are pure has learned the noise too, most of all where it predicts a number.

Splits are scikit-learn's own: the same random state gives the same tree.

J. R. Quinlan, Induction of decision trees, 1986; L. Breiman, J. Friedman, R. Olshen and C. Stone,
Classification and regression trees, 1984.
"""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import tree as reference
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.id3 import ID3Classifier, information_gains
from supervised_learning.tree import DecisionTreeClassifier, DecisionTreeRegressor
from supervised_learning.tree.criteria import trace_splits
from supervised_learning.tree.drawing import as_text, draw, outline

PRESETS = {
    "smoke": {"sets": ("iris", "breast_cancer", "diabetes"), "seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "categories": "mushrooms",
        "sets": ("adult", "letter", "otto", "mushrooms", "california_housing", "diamonds"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("gain_of_outlook", ">=", 0.246),
    Claim("gain_of_outlook", "<=", 0.247),
    Claim("gain_differs_from_trace", "<=", 1e-9),
    Claim("id3_accuracy", ">=", 0.85),
    Claim("id3_accuracy", ">=", 0.999, presets=("full",)),
    Claim("cart_accuracy", ">=", 0.9),
    Claim("nodes_that_differ", "==", 0),
    Claim("leaves_kept", "<=", 0.8),
    Claim("accuracy_lost_to_pruning", "<=", 0.02),
    Claim("r2_won_by_pruning", ">=", 0.2),
    Claim("apart.DecisionTreeClassifier", "<=", 0.1),
    Claim("behind.DecisionTreeRegressor", "<=", 0.5),
    Claim("behind.ID3Classifier", "<=", 0.5, presets=("full",)),
    Claim("ratio.fit.DecisionTreeClassifier", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.DecisionTreeClassifier", "<=", 1.5, presets=("full",)),
    Claim("ratio.fit.DecisionTreeRegressor", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.DecisionTreeRegressor", "<=", 1.5, presets=("full",)),
    Claim("ratio.fit.ID3Classifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.ID3Classifier", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.DecisionTreeClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.DecisionTreeRegressor", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.ID3Classifier", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.DecisionTreeClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.DecisionTreeRegressor", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.ID3Classifier", "<=", 2.0, presets=("full",)),
]
COLUMNS = ["outlook", "temperature", "humidity", "wind"]
#: Where on the pruning path trees are tried.
QUANTILES = np.linspace(0, 1, 13)
#: Outlook, temperature, humidity, wind, and whether they played (N or P): Quinlan's table 1.
MORNINGS = """\
sunny hot high calm N, sunny hot high windy N, overcast hot high calm P, rain mild high calm P,
rain cool normal calm P, rain cool normal windy N, overcast cool normal windy P,
sunny mild high calm N, sunny cool normal calm P, rain mild normal calm P,
sunny mild normal windy P, overcast mild high windy P, overcast hot normal calm P,
rain mild high windy N"""


def main(
    run: Run,
    *,
    categories: Annotated[
        Literal["wine", "mushrooms"], "the table for ID3: numbers in four bins, or categories"
    ] = "wine",
    sets: Sets = ("iris", "wine", "breast_cancer", "digits", "diabetes", "friedman1"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Ask Quinlan's questions, draw and prune a CART tree, then hold three trees to the library."""
    grow_by_gain(run, categories)
    names = list(tables.frame("breast_cancer", run.data)[0].columns)
    X, y = tables.matrix("breast_cancer", run.data)
    figure, axes = plots.figure(2, 2, width=9, height=7.4, gridspec_kw={"height_ratios": [1.35, 1]})
    for cell in axes[0]:
        cell.remove()
    draw_tree(figure.add_subplot(axes[0, 0].get_gridspec()[0, :]), X, y, names)
    draw_trace(run, axes[1, 0], X, y, names)
    draw_pruning(run, axes[1, 1], seeds)
    run.figure(
        "tree",
        figure,
        "Above: the tree on the cell nuclei, grown best first to six leaves. Left: what each "
        "threshold of the root's column gains. Right: held-out error of a tree for classes and one "
        "for values, as the price of a leaf rises.",
    )
    compare_with_library(run)
    of_classes = [name for name in sets if not tables.is_regression(name)]
    of_values = [name for name in sets if tables.is_regression(name)]
    pairs = [
        Pair(
            "DecisionTreeClassifier",
            DecisionTreeClassifier(),
            reference.DecisionTreeClassifier(),
            sets=of_classes,
        ),
        Pair(
            "DecisionTreeRegressor",
            DecisionTreeRegressor(),
            reference.DecisionTreeRegressor(),
            sets=of_values,
        ),
        # On columns of two values, ID3 and a binary tree by entropy ask the same questions.
        Pair(
            "ID3Classifier",
            ID3Classifier(),
            reference.DecisionTreeClassifier(criterion="entropy"),
            sets=of_classes,
            prepare=two_values,
            make=made_two_values,
        ),
    ]
    study(run, pairs, seeds=seeds, rows=rows, largest=largest, memory=memory)


def grow_by_gain(run: Run, name: str) -> None:
    """The mornings by ID3, with the gains; then ID3 on a table, five parts held out in turn."""
    mornings = [line.split() for line in MORNINGS.replace("\n", " ").split(",")]
    X = pd.DataFrame([row[:4] for row in mornings], columns=COLUMNS)
    y = np.array([row[4] for row in mornings])
    model = ID3Classifier().fit(X, y)
    gains = dict(zip(X.columns, information_gains(X, y), strict=True))
    run.metric("gain_of_outlook", gains["outlook"], "bits")
    rows = [{"column": column, "gain_bits": gain} for column, gain in gains.items()]
    run.table("gains", rows, caption="What each column tells about the fourteen mornings")
    run.artifact("mornings.txt").write_text(as_text(model.outline()) + "\n", encoding="utf-8")
    figure, axes = plots.figure(width=6.0, height=3.0)
    draw(model.outline(), axes)
    run.figure("mornings", figure, "ID3 on Quinlan's fourteen mornings: N stay in, P play.")

    features, labels = tables.frame(name, run.data)
    if name == "mushrooms":
        table = features.astype(str).to_numpy()
    else:
        table = features.apply(lambda column: pd.qcut(column, 4, labels=False)).to_numpy()
    parts = StratifiedKFold(5, shuffle=True, random_state=run.seed)  # such tables come sorted
    for metric, criterion in (("id3_accuracy", "gain"), ("id3_accuracy_by_ratio", "gain_ratio")):
        model = ID3Classifier(criterion=criterion)
        run.metric(metric, list(cross_val_score(model, table, labels, cv=parts)))


def draw_tree(axes: Any, X: NDArray, y: NDArray, names: list[str]) -> None:
    model = DecisionTreeClassifier(max_leaf_nodes=6, random_state=0).fit(X, y)
    draw(outline(model, feature_names=names, class_names=["malignant", "benign"]), axes)
    title = "CART on 569 cell nuclei, six leaves"
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")


def draw_trace(run: Run, axes: Any, X: NDArray, y: NDArray, names: list[str]) -> None:
    """Each threshold of the root's column and its gain, from the definition."""
    differs = 0.0
    column = int(DecisionTreeClassifier(max_depth=1, random_state=0).fit(X, y).tree_.feature[0])
    for criterion in ("gini", "entropy"):
        root = DecisionTreeClassifier(criterion=criterion, max_depth=1).fit(X[:, [column]], y).tree_
        splits = trace_splits(X[:, column], y, criterion)
        best = max(splits, key=lambda split: split["gain"])
        differs = max(differs, abs(best["gain"] - root.gains()[0]))
        gains = [split["gain"] for split in splits]
        (line,) = axes.plot([split["threshold"] for split in splits], gains, label=criterion)
        axes.axvline(best["threshold"], color=line.get_color(), linewidth=0.8, linestyle=":")
        rows = splits[:: max(1, len(splits) // 20)]
        run.table(f"trace_{criterion}", rows, caption=f"Splits of {names[column]} by {criterion}")
    run.metric("gain_differs_from_trace", differs)
    axes.set(title="Every threshold, traced", xlabel=names[column], ylabel="gain")
    axes.legend()


def draw_pruning(run: Run, axes: Any, seeds: int) -> None:
    """Held-out error along the pruning path, and the tree that cross-validation picks."""
    for name, Tree, label in (
        ("breast_cancer", DecisionTreeClassifier, "classes: breast cancer"),
        ("diabetes", DecisionTreeRegressor, "values: diabetes"),
    ):
        X, y = tables.matrix(name, run.data)
        won, kept, curves = [], [], []
        for seed in run.seeds(seeds):
            X_fit, X_test, y_fit, y_test = train_test_split(X, y, test_size=0.3, random_state=seed)
            whole = Tree(random_state=0).fit(X_fit, y_fit)
            alphas = whole.cost_complexity_pruning_path(X_fit, y_fit).ccp_alphas
            tried = np.quantile(alphas[:-1], QUANTILES)
            search = GridSearchCV(Tree(random_state=0), {"ccp_alpha": tried}, cv=5)
            pruned = search.fit(X_fit, y_fit).best_estimator_
            won.append(pruned.score(X_test, y_test) - whole.score(X_test, y_test))
            kept.append(pruned.get_n_leaves() / whole.get_n_leaves())
            pruned_trees = [Tree(random_state=0, ccp_alpha=a).fit(X_fit, y_fit) for a in tried]
            curves.append([1 - tree.score(X_test, y_test) for tree in pruned_trees])
        if Tree is DecisionTreeClassifier:
            run.metric("cart_accuracy", list(cross_val_score(Tree(random_state=0), X, y, cv=5)))
            run.metric("leaves_kept", kept)
            run.metric("accuracy_lost_to_pruning", [-value for value in won])
        else:
            run.metric("r2_won_by_pruning", won)
        axes.plot(QUANTILES, np.mean(curves, axis=0), label=label)
    axes.set(
        title="Pruned by cost-complexity",
        xlabel="alpha, as a quantile of the path",
        ylabel="error (1 - accuracy, 1 - R²)",
        ylim=(0, None),
    )
    axes.legend()


def compare_with_library(run: Run) -> None:
    """Nodes whose column, threshold or rows are not those of scikit-learn's tree, over tables."""
    differ = 0
    for name in ("iris", "wine", "breast_cancer", "digits"):
        X, y = tables.matrix(name, run.data)
        ours = DecisionTreeClassifier(random_state=run.seed).fit(X, y).tree_
        theirs = reference.DecisionTreeClassifier(random_state=run.seed).fit(X, y).tree_
        if ours.node_count != theirs.node_count:
            differ += abs(ours.node_count - theirs.node_count)
            continue
        same = (ours.feature == theirs.feature) & (ours.threshold == theirs.threshold)
        differ += int(np.count_nonzero(~same | (ours.n_node_samples != theirs.n_node_samples)))
    run.metric("nodes_that_differ", differ)


def two_values(X: NDArray) -> NDArray:
    """Whether each entry of a standardized table lies above the mean."""
    return (X > 0).astype(np.float64)


def made_two_values(n: int, seed: int) -> tuple[NDArray, NDArray]:
    """Made rows of 0 and 1: X (n, 20), y (n,)."""
    X, y = make_classification(
        n, 20, n_informative=10, n_redundant=4, flip_y=0.05, random_state=seed
    )
    return two_values(X), y
