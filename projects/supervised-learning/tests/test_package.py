import importlib
import pkgutil
from inspect import isclass

import pytest
from sklearn.base import BaseEstimator

import supervised_learning as package

#: What estimators are built on; of no use alone.
SHARED = {
    "KernelMachine",
    "BoostedClassifier",
    "BoostedRegressor",
    "BoostedTrees",
    "LinearClassifier",
    "LinearPredictor",
}


@pytest.mark.parametrize("name", package.__all__)
def test_what_is_offered_is_there(name: str) -> None:
    assert getattr(package, name).__name__ == name


def test_every_estimator_is_offered() -> None:
    found = set()
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".labs" in module.name or module.name.endswith("__main__"):
            continue
        for name, thing in vars(importlib.import_module(module.name)).items():
            own = isclass(thing) and thing.__module__.startswith(package.__name__)
            if own and issubclass(thing, BaseEstimator) and name[0].isupper():
                found.add(name)
    assert {name for name in found if not name.startswith("Base")} - SHARED <= set(package.__all__)


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Regression'"):
        _ = package.Regression
