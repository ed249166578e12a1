"""The classical learners from the ground up, as right and as quick as the libraries' own.

Every estimator can be imported from here; its module is loaded when it is asked for.

>>> from supervised_learning import LGBMClassifier
"""

from importlib import import_module
from typing import Any

#: What each module offers.
_MODULES = {
    "adaboost": "AdaBoostClassifier AdaBoostRegressor",
    "bayesian": "BayesianRidge",
    "catboost": "CatBoostClassifier CatBoostRegressor",
    "coordinate_descent": "ElasticNet Lasso enet_path lasso_path",
    "discriminant": "LinearDiscriminantAnalysis",
    "forest": "RandomForestClassifier RandomForestRegressor",
    "gradient_boosting": "GradientBoostingClassifier GradientBoostingRegressor",
    "histogram_boosting": "HistGradientBoostingClassifier HistGradientBoostingRegressor",
    "id3": "ID3Classifier",
    "lightgbm": "LGBMClassifier LGBMRegressor",
    "linear": "LinearRegression",
    "logistic": "LogisticRegression",
    "mlp": "MLPClassifier MLPRegressor",
    "naive_bayes": "BernoulliNB CategoricalNB GaussianNB MultinomialNB",
    "neighbors": "KNeighborsClassifier KNeighborsRegressor",
    "perceptron": "Perceptron",
    "polynomial": "PolynomialFeatures",
    "quantum": "QuantumKernelClassifier",
    "ridge": "Ridge",
    "svm": "SVC SVR LinearSVC LinearSVR",
    "tree": "DecisionTreeClassifier DecisionTreeRegressor",
    "xgboost": "XGBClassifier XGBRegressor",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "SVC",
    "SVR",
    "AdaBoostClassifier",
    "AdaBoostRegressor",
    "BayesianRidge",
    "BernoulliNB",
    "CatBoostClassifier",
    "CatBoostRegressor",
    "CategoricalNB",
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ElasticNet",
    "GaussianNB",
    "GradientBoostingClassifier",
    "GradientBoostingRegressor",
    "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
    "ID3Classifier",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "LGBMClassifier",
    "LGBMRegressor",
    "Lasso",
    "LinearDiscriminantAnalysis",
    "LinearRegression",
    "LinearSVC",
    "LinearSVR",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "MultinomialNB",
    "Perceptron",
    "PolynomialFeatures",
    "QuantumKernelClassifier",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "Ridge",
    "XGBClassifier",
    "XGBRegressor",
    "enet_path",
    "lasso_path",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
