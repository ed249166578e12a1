"""Is the table honest? Four questions before a model is trained.

- *Twins*: rows that stand there more than once put test rows into training. Twins of different
  targets bound the accuracy of any model.
- *Single columns*: one that tells the target by itself is either the answer written down under
  another name, or known only afterwards.
- *Names*: a category with a level for almost every row names rows; a model that learns it has
  learnt nothing.
- *Drift*: can a model tell training rows from test rows? At an area of 0.5 it cannot. Near 1 the
  split is not one of like rows, and its score is no promise.

Shachar Kaufman, Saharon Rosset and Claudia Perlich, Leakage in data mining: formulation, detection,
and avoidance, 2011.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import label_binarize
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tabular_labs.encoding import Coded
from tabular_labs.schema import Schema

#: A column that alone gets this far is worth a question.
SUSPICIOUS = 0.95


def twins(X: pd.DataFrame, y: NDArray[Any]) -> tuple[float, float]:
    """The share of rows with a twin, and the share whose twins differ in the target."""
    groups = X.groupby(list(X.columns), dropna=False, sort=False).ngroup().to_numpy()
    counts = np.bincount(groups)
    targets = pd.Series(y).groupby(groups).nunique().to_numpy()
    return float((counts[groups] > 1).mean()), float((targets[groups] > 1).mean())


def column_strengths(
    X: pd.DataFrame, y: NDArray[Any], schema: Schema, *, regression: bool = False, seed: int = 0
) -> dict[str, float]:
    """How well each column tells the target by itself, the strongest first.

    For classes the area under the curve (the mean over classes, each against the rest), for a
    number R², both of a tree of eight leaves on rows that it was not grown on (5 folds).
    """
    codes = Coded(schema).fit(X).transform(X)
    codes = np.where(np.isnan(codes), -1e9, codes)
    found = {}
    for k, name in enumerate(schema.names):
        column = codes[:, [k]]
        if regression:
            tree = DecisionTreeRegressor(max_leaf_nodes=8, random_state=seed)
            found[name] = float(r2_score(y, cross_val_predict(tree, column, y, cv=5)))
            continue
        classifier = DecisionTreeClassifier(max_leaf_nodes=8, random_state=seed)
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        said = cross_val_predict(classifier, column, y, cv=folds, method="predict_proba")
        if said.shape[1] == 2:
            found[name] = float(roc_auc_score(y, said[:, 1]))
        else:
            found[name] = float(roc_auc_score(label_binarize(y, classes=np.unique(y)), said))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def naming_columns(X: pd.DataFrame, schema: Schema, share: float = 0.5) -> list[str]:
    """The categories that have a level for more than this share of the rows."""
    return [name for name in schema.categories if X[name].nunique() > share * len(X)]


def drift(train: pd.DataFrame, test: pd.DataFrame, schema: Schema, seed: int = 0) -> float:
    """The area under the curve of a model that tells training rows from test rows; 0.5 is none."""
    both = pd.concat([train, test], ignore_index=True)
    part = np.repeat([0, 1], [len(train), len(test)])
    model = HistGradientBoostingClassifier(max_iter=50, random_state=seed)
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    codes = Coded(schema).fit(both).transform(both)
    said = cross_val_predict(model, codes, part, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(part, said))


def check(
    X: pd.DataFrame,
    y: NDArray[Any],
    schema: Schema,
    *,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    regression: bool = False,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """All four questions as rows of a table: what was asked, what was found, whether it is well.

    train, test : the rows of one split, for drift.
    """
    same, apart = twins(X, y)
    strengths = column_strengths(X, y, schema, regression=regression, seed=seed)
    strongest, strength = next(iter(strengths.items()))
    names = naming_columns(X, schema)
    area = drift(X.iloc[train], X.iloc[test], schema, seed)
    measure = "R²" if regression else "AUC"
    return [
        {"question": "rows with a twin", "found": f"{same:.2%}", "worth a look": _yes(same > 0.01)},
        {
            "question": "twins of different targets",
            "found": f"{apart:.2%}",
            "worth a look": _yes(apart > 0.01),
        },
        {
            "question": "the strongest column alone",
            "found": f"{strongest}: {measure} {strength:.3f}",
            "worth a look": _yes(strength > SUSPICIOUS),
        },
        {
            "question": "columns that name rows",
            "found": ", ".join(names) or "none",
            "worth a look": _yes(bool(names)),
        },
        {
            "question": "training rows told from test rows",
            "found": f"AUC {area:.3f}",
            "worth a look": _yes(area > 0.6),
        },
    ]


def _yes(worth: bool) -> str:
    return "yes" if worth else "no"
