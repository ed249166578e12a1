"""The paper's other methods, on three ways to write categories as numbers.

*Codes* are the integers of `Encoder`, each column scaled to 0 to 1; *one-hot* is a column of 0 and
1 for each value; *embeddings* are the vectors that a trained network has for each value. The
network is trained on the rows that the method learns from, and on no others. The methods learn the
logarithm of the sales, as the network does, and see categories only, as in the paper. Nearest
neighbors and the forest are this workspace's own, gradient boosting is LightGBM on plain numbers.

C. Guo and F. Berkhahn, Entity embeddings of categorical variables, 2016.
"""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from rossmann_embeddings.embedding_network import EmbeddingNetwork
from rossmann_embeddings.features import Features, anchor_of, log_sales, sales_of
from rossmann_embeddings.tables import SalesTable
from rossmann_embeddings.training import Forecaster

Method = Literal["kNN", "random forest", "gradient boosting"]
Representation = Literal["codes", "one-hot", "embeddings"]
METHODS: tuple[Method, ...] = ("kNN", "random forest", "gradient boosting")
REPRESENTATIONS: tuple[Representation, ...] = ("codes", "one-hot", "embeddings")


def represent(
    kind: Representation, forecaster: Forecaster, features: Features, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The categories of some rows as columns of numbers (n, columns).

    `forecaster` is trained: its encoder gives the codes, its network the embeddings. Raises
    TypeError for the embeddings of a network that has none.
    """
    encoder = forecaster.encoder_
    codes = encoder.transform(features, rows).codes
    sizes = encoder.cardinalities_
    if kind == "codes":
        most = np.maximum(np.array(sizes) - 1, 1)
        return np.ascontiguousarray(codes / most, dtype=np.float32)
    if kind == "one-hot":
        columns = np.zeros((len(codes), sum(sizes)), np.float32)
        places = codes + np.concatenate([[0], np.cumsum(sizes)[:-1]])
        np.put_along_axis(columns, places, 1.0, axis=1)
        return columns
    if not isinstance(forecaster.network_, EmbeddingNetwork):
        raise TypeError("a network with one-hot columns has no embeddings")
    with torch.no_grad():
        return forecaster.network_.embed(torch.from_numpy(codes)).numpy()


def make_method(name: Method, seed: int = 0, trees: int = 50) -> Any:
    """An estimator with `fit` and `predict`."""
    if name == "kNN":
        from supervised_learning import KNeighborsRegressor

        return KNeighborsRegressor(n_neighbors=10, weights="distance")
    if name == "random forest":
        from supervised_learning import RandomForestRegressor

        return RandomForestRegressor(
            n_estimators=trees, max_features=0.4, min_samples_leaf=2, random_state=seed, n_jobs=2
        )
    from lightgbm import LGBMRegressor

    return LGBMRegressor(
        n_estimators=300, num_leaves=63, random_state=seed, n_jobs=0, verbose=-1,
        deterministic=True,
    )  # fmt: skip


def forecast_with(
    method: Method,
    kind: Representation,
    forecaster: Forecaster,
    features: Features,
    sales: NDArray[np.float64],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    *,
    seed: int = 0,
    trees: int = 50,
) -> NDArray[np.float64]:
    """Fit a method on one way to write the categories; the sales of the rows `test` (n,)."""
    X = represent(kind, forecaster, features, train)
    model = make_method(method, seed, trees).fit(X, log_sales(sales[train]))
    found = model.predict(represent(kind, forecaster, features, test))
    return sales_of(found)


def same_week_last_year(table: SalesTable, features: Features) -> NDArray[np.float64]:
    """What needs no learning: the sales of the same week a year ago, else the latest mean (n,).

    `features` are those with history; where a series has no past, the median of all sales.
    """
    middle = float(np.median(log_sales(table.sales)))
    return sales_of(anchor_of(features, np.arange(len(features.numbers)), middle))
