"""Decision trees: criteria, growth on sorted columns, pruning and drawing."""

from supervised_learning.tree.estimators import DecisionTreeClassifier, DecisionTreeRegressor

__all__ = ["DecisionTreeClassifier", "DecisionTreeRegressor"]
