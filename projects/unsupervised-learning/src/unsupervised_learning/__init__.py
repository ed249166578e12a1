"""Clusters, maps, rules and outliers from the ground up, as good as the libraries' own.

Every estimator can be imported from here; its module is loaded when it is asked for.

>>> from unsupervised_learning import HDBSCAN
"""

from importlib import import_module
from typing import Any

#: What each module offers.
_MODULES = {
    "dbscan": "DBSCAN",
    "fp_growth": "fpgrowth",
    "frequent_itemsets": "apriori",
    "hdbscan": "HDBSCAN",
    "hierarchical": "AgglomerativeClustering",
    "isolation_forest": "IsolationForest",
    "kmeans": "KMeans",
    "local_outlier_factor": "LocalOutlierFactor",
    "minibatch_kmeans": "MiniBatchKMeans",
    "mixture": "GaussianMixture",
    "pam": "KMedoids",
    "pca": "PCA",
    "robust_covariance": "EllipticEnvelope MinCovDet",
    "rules": "association_rules",
    "tsne": "TSNE",
    "umap": "UMAP",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "DBSCAN",
    "HDBSCAN",
    "PCA",
    "TSNE",
    "UMAP",
    "AgglomerativeClustering",
    "EllipticEnvelope",
    "GaussianMixture",
    "IsolationForest",
    "KMeans",
    "KMedoids",
    "LocalOutlierFactor",
    "MinCovDet",
    "MiniBatchKMeans",
    "apriori",
    "association_rules",
    "fpgrowth",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
