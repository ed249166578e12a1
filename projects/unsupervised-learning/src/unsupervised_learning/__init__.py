"""Clusters, maps, rules and outliers from the ground up, as good as the libraries' own.

Every estimator can be imported from here; its module is loaded when it is asked for.

>>> from unsupervised_learning import HDBSCAN
"""

from groundwork.lazy import on_demand

#: What each module offers.
_MODULES = {
    "baskets": "make_baskets",
    "dbscan": "DBSCAN",
    "dendrogram": "draw_dendrogram",
    "embedding_scores": "continuity neighbor_preservation shepard_correlation trustworthiness",
    "fp_growth": "fpgrowth",
    "frequent_itemsets": "apriori",
    "hdbscan": "HDBSCAN",
    "hierarchical": "AgglomerativeClustering linkage_matrix",
    "isolation_forest": "IsolationForest",
    "kmeans": "KMeans",
    "local_outlier_factor": "LocalOutlierFactor",
    "minibatch_kmeans": "MiniBatchKMeans",
    "mixture": "GaussianMixture",
    "pam": "KMedoids",
    "pca": "PCA",
    "robust_covariance": "EllipticEnvelope MinCovDet",
    "rules": "association_rules",
    "scores": "adjusted_mutual_info_score adjusted_rand_score calinski_harabasz_score "
    "davies_bouldin_score silhouette_samples silhouette_score v_measure_score",
    "tsne": "TSNE",
    "umap": "UMAP",
}
__getattr__, __dir__ = on_demand(__name__, _MODULES)

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
    "adjusted_mutual_info_score",
    "adjusted_rand_score",
    "apriori",
    "association_rules",
    "calinski_harabasz_score",
    "continuity",
    "davies_bouldin_score",
    "draw_dendrogram",
    "fpgrowth",
    "linkage_matrix",
    "make_baskets",
    "neighbor_preservation",
    "shepard_correlation",
    "silhouette_samples",
    "silhouette_score",
    "trustworthiness",
    "v_measure_score",
]
