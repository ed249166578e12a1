"""Store sales with entity embeddings: tables, features, the network, its rivals and intervals.

>>> from rossmann_embeddings import generate_chain
>>> table, truth = generate_chain(stores=6, departments=8, weeks=60)

A name's module is loaded when it is asked for: PyTorch takes its time.
"""

from groundwork.lazy import on_demand

#: What each module offers.
_MODULES = {
    "baselines": "forecast_with represent same_week_last_year",
    "boosting": "Boosting tune",
    "conformal": "ConformalIntervals coverage_of",
    "embedding_network": "EmbeddingNetwork OneHotNetwork",
    "ensemble": "Ensemble",
    "evaluation": "mape rmspe wmae",
    "features": "Encoder Features make_features",
    "forecasting": "forecast",
    "generator": "generate_chain",
    "rossmann": "read_rossmann",
    "tables": "SalesTable Split split_by_time split_last split_shuffled",
    "training": "Forecaster Recipe",
    "walmart": "make_walmart",
}
__getattr__, __dir__ = on_demand(__name__, _MODULES)

__all__ = [
    "Boosting",
    "ConformalIntervals",
    "EmbeddingNetwork",
    "Encoder",
    "Ensemble",
    "Features",
    "Forecaster",
    "OneHotNetwork",
    "Recipe",
    "SalesTable",
    "Split",
    "coverage_of",
    "forecast",
    "forecast_with",
    "generate_chain",
    "make_features",
    "make_walmart",
    "mape",
    "read_rossmann",
    "represent",
    "rmspe",
    "same_week_last_year",
    "split_by_time",
    "split_last",
    "split_shuffled",
    "tune",
    "wmae",
]
