"""Names of a package whose modules are loaded when they are asked for.

A package's `__init__.py` says which module offers what, so that a command's help does not wait for
PyTorch:

    __getattr__, __dir__ = on_demand(__name__, {"graph": "Graph", "training": "fit train_network"})
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_demand(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The package's `__getattr__` and `__dir__`.

    modules : a module's name within the package → the names that it offers, with spaces between.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return find, lambda: sorted(homes)
