"""Networks made small: quantizers, pruning and distillation, held against the libraries' own.

>>> from quantized_cnn import fold_norms, post_training, trace

A name's module is loaded when it is asked for: PyTorch takes its time.
"""

from groundwork.lazy import on_demand

#: What each module offers.
_MODULES = {
    "affine": "ACTIVATIONS WEIGHTS Quantizer Scheme",
    "calibration": "calibrate post_training",
    "channels": "channel_groups multiplications prune_channels",
    "distillation": "Distillation",
    "dynamic": "quantize_dynamically",
    "equalization": "correct_biases equalize",
    "graph": "Graph fold_norms trace",
    "networks": "MobileNet ResNet make_network",
    "pruning": "apply_masks magnitude masks_of n_of_m",
    "qat": "QuantizationAware train_aware",
    "quantized": "QuantizedGraph quantize",
    "rounding": "adaround",
    "training": "accuracy fit predict",
}
__getattr__, __dir__ = on_demand(__name__, _MODULES)

__all__ = [
    "ACTIVATIONS",
    "WEIGHTS",
    "Distillation",
    "Graph",
    "MobileNet",
    "QuantizationAware",
    "QuantizedGraph",
    "Quantizer",
    "ResNet",
    "Scheme",
    "accuracy",
    "adaround",
    "apply_masks",
    "calibrate",
    "channel_groups",
    "correct_biases",
    "equalize",
    "fit",
    "fold_norms",
    "magnitude",
    "make_network",
    "masks_of",
    "multiplications",
    "n_of_m",
    "post_training",
    "predict",
    "prune_channels",
    "quantize",
    "quantize_dynamically",
    "trace",
    "train_aware",
]
