"""Nearest neighbors: a scan of all points, two trees, and the classifier and regressor on them."""

from supervised_learning.neighbors.ball_tree import BallTree
from supervised_learning.neighbors.brute import brute_kneighbors
from supervised_learning.neighbors.estimators import KNeighborsClassifier, KNeighborsRegressor
from supervised_learning.neighbors.kd_tree import KDTree

__all__ = [
    "BallTree",
    "KDTree",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "brute_kneighbors",
]
