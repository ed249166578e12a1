"""A model and a data set to a deployable bundle: train, distil, prune, quantise, export, measure.

>>> from cnn_inference_pipeline import Bundle
>>> Bundle.open("bundle").predict(images)

A name's module is loaded when it is asked for: PyTorch takes its time.
"""

from importlib import import_module
from typing import Any

#: What each module offers.
_MODULES = {
    "bundle": "Bundle",
    "dataset": "Dataset load_dataset",
    "deployment": "RUNTIMES Runtime deployable",
    "image_folder": "read_folder",
    "model_source": "load_model",
    "narrowing": "narrow",
    "pipeline": "Pipeline",
    "stages": "Stages",
    "student": "Student",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "RUNTIMES",
    "Bundle",
    "Dataset",
    "Pipeline",
    "Runtime",
    "Stages",
    "Student",
    "deployable",
    "load_dataset",
    "load_model",
    "narrow",
    "read_folder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
