"""What the labs of maps share: digits as rows of numbers, and a map drawn by class."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from unsupervised_learning.pca import PCA

DigitName = Literal["digits", "mnist"]


def digit_rows(
    load: Callable[[str], Any], name: DigitName, n: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """At most n images of digits, drawn at random: X (n, features), and the digits y (n,).

    The features are the pixels from 0 to 1; of MNIST the first 50 principal components, which drop
    noise and save time (L. van der Maaten and G. Hinton, "Visualizing Data Using t-SNE", 2008, take
    30). `load` is the function that loads a data set by name.
    """
    bunch = load(name)
    images, y = (
        (bunch["x"], bunch["y"]) if name == "digits" else (bunch["x_train"], bunch["y_train"])
    )
    chosen = np.sort(np.random.default_rng(seed).permutation(len(y))[:n])
    X = np.asarray(images)[chosen].reshape(len(chosen), -1).astype(np.float64)
    X /= X.max()
    if X.shape[1] > 64:
        X = PCA(50, random_state=0).fit_transform(X)
    return X, np.asarray(y)[chosen].astype(np.int64)


def draw_map(
    axes: Any, embedding: NDArray, y: ArrayLike, title: str, *, names: bool = True
) -> None:
    """The points of a map (n, 2 or 3) in the colors of their classes, without ticks.

    At most 2,000 are drawn, so that the file stays small. With `names` each class has its number at
    its median point (in two dimensions).
    """
    y = np.asarray(y)
    drawn = slice(None, None, -(-len(y) // 2000))
    size = max(2.0, min(8.0, 4000.0 / len(y)))
    axes.scatter(
        *embedding[drawn].T, c=y[drawn] % 10, s=size, cmap="tab10", vmin=0, vmax=9, linewidths=0
    )
    axes.set_title(title)
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    if embedding.shape[1] == 3:
        axes.set(zticks=[])
    elif names:
        for label in np.unique(y):
            x, height = np.median(embedding[y == label], axis=0)
            axes.text(
                x,
                height,
                str(label),
                ha="center",
                va="center",
                fontsize=8,
                fontweight="bold",
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )
