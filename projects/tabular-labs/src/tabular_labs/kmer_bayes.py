r"""Naive Bayes over k-mers, learnt and asked as a stream, and a pool of several k.

To the multinomial model a species is one row of counts, so that learning is one pass over a FASTA
file in bounded memory. A read's log-likelihood is the sum of its k-mers' weights. Neighboring
k-mers share all letters but one, and naive Bayes counts what they say each time anew: it is too
sure by about a factor of k. A weighted sum of the scores at several k, through a softmax, mends
that, and uses long words where they were seen before and short ones where they were not:

$$\log P(s \mid r) = \sum_k w_k \log P_k(r \mid s) - \log Z(r), \qquad w_k \ge 0.$$

The weights minimize a convex loss, on reads of individuals that were not counted.

Q. Wang and others, Naive Bayesian classifier for rapid assignment of rRNA sequences into the new
bacterial taxonomy, 2007; G. E. Hinton, Products of experts, 1999.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from supervised_learning import MultinomialNB
from tabular_labs.fasta import Batch
from tabular_labs.kmers import KmerIndex, count_file, count_matrix
from tabular_labs.taxonomy import Catalog, Reads


def index_for(k: int, bits: int = 20) -> KmerIndex:
    """A column for each canonical k-mer up to k = 10, beyond that hashed."""
    return KmerIndex(k) if k <= 10 else KmerIndex(k, bits=bits)


class KmerBayes:
    """Our `MultinomialNB` over k-mers, for reads as a batch.

    Parameters
    ----------
    index : which column a k-mer has.
    alpha : how often each k-mer counts as seen beforehand.

    Attributes
    ----------
    model_ : the fitted `MultinomialNB`, one row of counts for each species, equal priors.
    """

    def __init__(self, index: KmerIndex, alpha: float = 1.0) -> None:
        self.index, self.alpha = index, alpha

    def fit(self, counts: NDArray) -> Self:
        """Learn from counts (species, index.size)."""
        self.model_ = MultinomialNB(alpha=self.alpha, fit_prior=False)
        self.model_.fit(counts, np.arange(len(counts)))
        self._weights = np.ascontiguousarray(self.model_.feature_log_prob_.T)
        return self

    def scores(self, batch: Batch) -> NDArray[np.float64]:
        """log P(read | species) of each record: shape (records, species)."""
        return np.asarray(count_matrix(batch, self.index) @ self._weights)


class Pool:
    """A weighted sum of scores at several k through a softmax; see the module's text.

    Attributes
    ----------
    weights_ : array of shape (scores,), 0 or more.
    loss_ : the mean log loss in training, in nats.
    """

    def fit(self, scores: Sequence[NDArray], y: NDArray[np.int64]) -> Self:
        """Learn from scores, each (reads, species), and the reads' species (reads,)."""
        stack = np.stack([s - s.mean(axis=1, keepdims=True) for s in scores])
        rows = np.arange(len(y))

        def loss(w: NDArray) -> tuple[float, NDArray]:
            logs = log_softmax(np.tensordot(w, stack, 1), axis=1)
            expected = np.einsum("rs,krs->k", np.exp(logs), stack)
            slope = (expected - stack[:, rows, y].sum(axis=1)) / len(y)
            return -float(logs[rows, y].mean()), slope

        start = np.full(len(stack), 0.1 / len(stack))
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(stack))
        self.weights_, self.loss_ = found.x, float(found.fun)
        return self

    def predict_proba(self, scores: Sequence[NDArray]) -> NDArray[np.float64]:
        """Probabilities (reads, species)."""
        total = sum(w * s for w, s in zip(self.weights_, scores, strict=True))
        return np.asarray(softmax(total, axis=1))


class PooledBayes:
    """Naive Bayes at several k, each with a smoothing of its own, and their pool.

    Parameters
    ----------
    ks : word lengths.
    trials : of smoothings, proposed by Optuna and judged by the pool's loss on reads of
        individuals that were not counted.
    seed : of the proposals.

    Attributes
    ----------
    alphas_ : of each k. pool_ : the `Pool`. models_ : a `KmerBayes` for each k, on all training
    records. held_ : scores of the training reads at each k, each from counts without their fold.
    """

    def __init__(self, ks: Sequence[int], *, trials: int = 10, seed: int = 0) -> None:
        self.ks, self.trials, self.seed = tuple(ks), trials, seed

    def fit(self, path: str | Path, known: Catalog, reads: Reads) -> Self:
        """Count the training folds of a FASTA file, tune on the training reads, and pool."""
        import optuna

        indices = [index_for(k) for k in self.ks]
        counts = [
            [count_file(path, index, known.rows(fold)) for fold in range(1, known.folds + 1)]
            for index in indices
        ]
        counts = [[_padded(fold, len(known.names)) for fold in folds] for folds in counts]
        totals = [np.sum(folds, axis=0) for folds in counts]
        memo: dict[tuple[int, float], NDArray] = {}

        def held(place: int, alpha: float) -> NDArray:
            key = place, alpha
            if key not in memo:
                out = np.empty((len(reads), len(known.names)))
                for fold, own in enumerate(counts[place], 1):
                    model = KmerBayes(indices[place], alpha).fit(totals[place] - own)
                    mask = reads.part == fold
                    out[mask] = model.scores(reads.take(mask).batch)
                memo[key] = out
            return memo[key]

        def judge(trial: "optuna.Trial") -> float:
            alphas = [10 ** trial.suggest_float(f"{k}", -4, 0, step=0.5) for k in self.ks]
            scores = [held(place, alpha) for place, alpha in enumerate(alphas)]
            return Pool().fit(scores, reads.species).loss_

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.seed))
        study.enqueue_trial({f"{k}": 0.0 for k in self.ks})
        study.optimize(judge, n_trials=self.trials)
        self.alphas_ = [10 ** study.best_params[f"{k}"] for k in self.ks]
        self.held_ = [held(place, alpha) for place, alpha in enumerate(self.alphas_)]
        self.pool_ = Pool().fit(self.held_, reads.species)
        self.models_ = [
            KmerBayes(index, alpha).fit(total)
            for index, alpha, total in zip(indices, self.alphas_, totals, strict=True)
        ]
        return self

    def scores(self, batch: Batch) -> list[NDArray[np.float64]]:
        """At each k, (records, species)."""
        return [model.scores(batch) for model in self.models_]

    def predict_proba(self, batch: Batch) -> NDArray[np.float64]:
        """Probabilities (records, species)."""
        return self.pool_.predict_proba(self.scores(batch))


def _padded(counts: NDArray, rows: int) -> NDArray:
    """Rows of 0 for the species that come after the last one of a fold."""
    return np.vstack([counts, np.zeros((rows - len(counts), counts.shape[1]), counts.dtype)])


def leak(
    path: str | Path, known: Catalog, reads: Reads, *, k: int = 10, alpha: float = 0.01
) -> tuple[float, float]:
    """The accuracy on test reads where their own genomes were counted, and where they were not.

    Counted are as many individuals both times: the test's take the place of the first fold's.
    """
    index, found = index_for(k), []
    for first in (0, 1):
        parts = (first, *range(2, known.folds + 1))
        counts = _padded(count_file(path, index, known.rows(*parts)), len(known.names))
        said = KmerBayes(index, alpha).fit(counts).scores(reads.batch).argmax(axis=1)
        found.append(float(np.mean(said == reads.species)))
    return found[0], found[1]


def score_columns(scores: Sequence[NDArray], reads: Reads) -> pd.DataFrame:
    """What boosted trees are given: each species' score below the best, at each k; the length."""
    made = {
        f"{place}-{s}": column
        for place, table in enumerate(scores)
        for s, column in enumerate((table - table.max(axis=1, keepdims=True)).T)
    }
    return pd.DataFrame(made | {"letters": reads.batch.lengths.astype(float)})
