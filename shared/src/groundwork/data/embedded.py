"""Data sets that need no download: what scikit-learn carries, and generators with a seed."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from groundwork.data.registry import Bunch, DataError, lacking
from groundwork.suggest import unknown


@dataclass(frozen=True)
class Embedded:
    """A data set made in memory: what it is, and the function that makes it."""

    make: Callable[..., Bunch]
    about: dict[str, str]

    @property
    def kind(self) -> str:
        """`generated` where there are options, a seed among them; else `embedded`."""
        return "generated" if inspect.signature(self.make).parameters else "embedded"


EMBEDDED: dict[str, Embedded] = {}


def generate(name: str, options: dict[str, Any]) -> Bunch:
    """Make an embedded data set; a DataError names the option that is wrong."""
    make = EMBEDDED[name].make
    taken = list(inspect.signature(make).parameters)
    for option in options:
        if option not in taken:
            raise DataError(unknown(f"option of {name} called", option, taken))
    try:
        return make(**options)
    except ModuleNotFoundError as error:
        raise lacking(name, error) from error
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} with {options}: {' '.join(str(error).split())}") from error


def _embedded(
    title: str, task: str, rows: str, citation: str, licence: str = "BSD-3-Clause (scikit-learn)"
) -> Callable[[Callable[..., Bunch]], Callable[..., Bunch]]:
    about = {
        "title": title,
        "task": task,
        "rows": rows,
        "licence": licence,
        "citation": citation,
    }

    def register(make: Callable[..., Bunch]) -> Callable[..., Bunch]:
        about["notes"] = " ".join((make.__doc__ or "").split())
        EMBEDDED[make.__name__] = Embedded(make, about)
        return make

    return register


@_embedded("Handwritten digits, 8×8", "image classification, 10 classes", "1797", "Alpaydin 1998")
def digits() -> Bunch:
    """x float64 (1797, 8, 8) with values 0 to 16; y int64 (1797,)."""
    from sklearn import datasets

    loaded = datasets.load_digits()
    return Bunch(x=loaded.images, y=loaded.target.astype("int64"))


def _table(loader: str) -> Bunch:
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{loader}")()
    names = getattr(loaded, "target_names", [])
    return Bunch(
        x=loaded.data,
        y=loaded.target,
        features=list(loaded.feature_names),
        targets=[str(name) for name in names],
    )


@_embedded("Iris", "tabular classification, 3 classes", "150 x 4", "Fisher 1936")
def iris() -> Bunch:
    """x float64 (150, 4); y int64 (150,); features and targets: names."""
    return _table("iris")


@_embedded("Wine", "tabular classification, 3 classes", "178 x 13", "Aeberhard 1991")
def wine() -> Bunch:
    """x float64 (178, 13); y int64 (178,); features and targets: names."""
    return _table("wine")


@_embedded(
    "Breast cancer Wisconsin (diagnostic)", "tabular classification, 2 classes", "569 x 30",
    "Street, Wolberg, Mangasarian 1993",
)  # fmt: skip
def breast_cancer() -> Bunch:
    """x float64 (569, 30); y int64 (569,), 1 is benign; features and targets: names."""
    return _table("breast_cancer")


@_embedded("Diabetes progression", "tabular regression", "442 x 10", "Efron et al. 2004")
def diabetes() -> Bunch:
    """x float64 (442, 10), scaled; y float64 (442,); features: names."""
    return _table("diabetes")


@_embedded("Linnerud", "multi-output regression", "20 x 3 to 3", "Tenenhaus 1998")
def linnerud() -> Bunch:
    """x float64 (20, 3), exercises; y float64 (20, 3), body; features and targets: names."""
    return _table("linnerud")


@_embedded("Photograph of a temple", "image", "427 x 640 RGB", "scikit-learn", "CC BY 3.0")
def china() -> Bunch:
    """image uint8 (427, 640, 3)."""
    from sklearn import datasets

    return Bunch(image=datasets.load_sample_image("china.jpg"))


@_embedded("Photograph of a flower", "image", "427 x 640 RGB", "scikit-learn", "CC BY 3.0")
def flower() -> Bunch:
    """image uint8 (427, 640, 3)."""
    from sklearn import datasets

    return Bunch(image=datasets.load_sample_image("flower.jpg"))


def _made(maker: str, **options: Any) -> Bunch:
    from sklearn import datasets

    x, y = getattr(datasets, f"make_{maker}")(**options)
    return Bunch(x=x, y=y)


@_embedded("Two moons", "classification, 2 classes", "n x 2", "scikit-learn")
def moons(n: int = 500, noise: float = 0.1, seed: int = 0) -> Bunch:
    """x float64 (n, 2); y int64 (n,)."""
    return _made("moons", n_samples=n, noise=noise, random_state=seed)


@_embedded("Two circles", "classification, 2 classes", "n x 2", "scikit-learn")
def circles(n: int = 500, noise: float = 0.05, factor: float = 0.5, seed: int = 0) -> Bunch:
    """x float64 (n, 2); y int64 (n,)."""
    return _made("circles", n_samples=n, noise=noise, factor=factor, random_state=seed)


@_embedded("Gaussian blobs", "clustering", "n x features", "scikit-learn")
def blobs(
    n: int = 500, features: int = 2, centers: int = 3, spread: float = 1.0, seed: int = 0
) -> Bunch:
    """x float64 (n, features); y int64 (n,), the blob of each point."""
    return _made(
        "blobs",
        n_samples=n, n_features=features, centers=centers, cluster_std=spread, random_state=seed,
    )  # fmt: skip


@_embedded("Swiss roll", "manifold learning", "n x 3", "Marsland 2009")
def swiss_roll(n: int = 1000, noise: float = 0.0, seed: int = 0) -> Bunch:
    """x float64 (n, 3); y float64 (n,), the place along the roll."""
    return _made("swiss_roll", n_samples=n, noise=noise, random_state=seed)


@_embedded("S curve", "manifold learning", "n x 3", "scikit-learn")
def s_curve(n: int = 1000, noise: float = 0.0, seed: int = 0) -> Bunch:
    """x float64 (n, 3); y float64 (n,), the place along the curve."""
    return _made("s_curve", n_samples=n, noise=noise, random_state=seed)


@_embedded("Friedman 1", "regression with interactions", "n x features", "Friedman 1991")
def friedman1(n: int = 500, features: int = 10, noise: float = 1.0, seed: int = 0) -> Bunch:
    """x float64 (n, features) in [0, 1]; y float64 (n,); only the first five features matter."""
    return _made("friedman1", n_samples=n, n_features=features, noise=noise, random_state=seed)


@_embedded("Linear regression", "regression", "n x features", "scikit-learn")
def regression(
    n: int = 500, features: int = 20, informative: int = 10, noise: float = 1.0, seed: int = 0
) -> Bunch:
    """x float64 (n, features); y float64 (n,), linear in the informative features."""
    return _made(
        "regression",
        n_samples=n, n_features=features, n_informative=informative, noise=noise,
        random_state=seed,
    )  # fmt: skip


@_embedded("Clusters on a hypercube", "classification", "n x features", "Guyon 2003")
def classification(
    n: int = 500, features: int = 20, informative: int = 10, classes: int = 2, seed: int = 0
) -> Bunch:
    """x float64 (n, features); y int64 (n,)."""
    return _made(
        "classification",
        n_samples=n, n_features=features, n_informative=informative, n_classes=classes,
        random_state=seed,
    )  # fmt: skip


@_embedded("Interleaved spirals", "classification", "n x 2", "Lang and Witbrock 1988", "MIT")
def spirals(
    n: int = 500, arms: int = 2, turns: float = 1.5, noise: float = 0.1, seed: int = 0
) -> Bunch:
    """x float64 (n, 2); y int64 (n,), the arm of each point."""
    import numpy as np

    if n < 1 or arms < 1:
        raise ValueError("n and arms are 1 or more")
    rng = np.random.default_rng(seed)
    y = np.arange(n) % arms
    along = np.sqrt(rng.random(n))
    angle = 2 * np.pi * (along * turns + y / arms)
    x = np.column_stack([along * np.cos(angle), along * np.sin(angle)])
    return Bunch(x=x + noise * 0.2 * rng.standard_normal((n, 2)), y=y.astype(np.int64))
