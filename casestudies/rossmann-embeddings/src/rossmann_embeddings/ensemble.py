r"""Several networks, trained apart, whose mean is the forecast.

Training ends in another place for every seed. What lies in the data is the same in all of those
places; what came from the seed differs. With errors $b + \epsilon_k$, of which $\epsilon_k$ is the
seed's, the mean of $K$ networks keeps $b$ and has the variance of $\epsilon$ divided by $K$. The
members of one network (`rossmann_embeddings.embedding_network`) cost less, but they share vectors
and batches, and with them a part of $\epsilon$.

B. Lakshminarayanan and others, Simple and scalable predictive uncertainty estimation using deep
ensembles, 2017.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from rossmann_embeddings.features import Features
from rossmann_embeddings.training import Forecaster, Recipe


class Ensemble:
    """Forecasters that share the rows to learn from and nothing else.

    Parameters
    ----------
    recipe : of each. networks : how many, 1 or more.
    seed : each forecaster's own follows from it.

    Attributes after `fit`: `forecasters_`, `seconds_` of training them all, and `error_`, the mean
    of the forecasters' errors after each epoch where they were watched.

    Raises ValueError for fewer than one network.
    """

    forecasters_: list[Forecaster]

    def __init__(self, recipe: Recipe | None = None, seed: int = 0, networks: int = 1) -> None:
        if networks < 1:
            raise ValueError(f"networks={networks}: 1 or more are taken")
        self.recipe, self.seed, self.networks = recipe, seed, networks

    def fit(
        self,
        features: Features,
        sales: NDArray[np.float64],
        rows: NDArray[np.int64],
        weight: NDArray[np.float64] | None = None,
        *,
        watch: Callable[[Forecaster], float] | None = None,
        progress: Callable[[Iterable[int]], Iterator[int]] = iter,
    ) -> "Ensemble":
        """Train one after the other; parameters and errors are those of `Forecaster.fit`."""
        seeds = np.random.SeedSequence(self.seed).generate_state(self.networks)
        self.forecasters_ = [
            Forecaster(self.recipe, int(seed)).fit(
                features, sales, rows, weight, watch=watch, progress=progress
            )
            for seed in seeds
        ]
        histories = [forecaster.history_ for forecaster in self.forecasters_]
        self.seconds_ = sum(history.seconds for history in histories)
        self.error_ = [float(x) for x in np.mean([history.error for history in histories], axis=0)]
        return self

    def predict(self, features: Features, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The mean of the forecasters' sales of some rows (n,), 0 or more."""
        return np.mean([model.predict(features, rows) for model in self.forecasters_], axis=0)
