"""The classical learners from the ground up, as right and as quick as the libraries' own.

Every estimator can be imported from here; its module is loaded when it is asked for.

>>> from supervised_learning import LGBMClassifier
"""

from groundwork.lazy import on_demand

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
__getattr__, __dir__ = on_demand(__name__, _MODULES)

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
