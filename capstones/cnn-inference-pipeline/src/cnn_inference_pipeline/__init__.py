"""A model and a data set to a deployable bundle: train, distil, prune, quantise, export, measure.

>>> from cnn_inference_pipeline import Bundle
>>> Bundle.open("bundle").predict(images)

A name's module is loaded when it is asked for: PyTorch takes its time.
"""

from groundwork.lazy import on_demand

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
__getattr__, __dir__ = on_demand(__name__, _MODULES)

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
