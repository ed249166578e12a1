"""Handwritten digits from the file to a network that reads them, every part built and measured."""

from mnist_labs.images import Images, load_images
from mnist_labs.training import History, accuracy, fit

__all__ = ["History", "Images", "accuracy", "fit", "load_images"]
