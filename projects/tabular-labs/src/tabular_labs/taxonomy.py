"""A labelled FASTA file as a data set: which species, which part of the split, and reads of it.

A record is an individual, and its header tells the species: `>name Genus species`. One individual
of each species is held out for the test; the others are dealt to folds, on which models are tuned.
Reads are drawn from the records afterwards, so that no genome lends reads to two parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tabular_labs.fasta import Batch, read_batches, read_records
from tabular_labs.kmers import join_records, mash_distance, sketch
from tabular_labs.species import sample_reads


@dataclass(frozen=True)
class Catalog:
    """What a labelled FASTA file holds.

    headers : of each record. names : the species. species : of each record, its place in `names`.
    part : of each record, 0 for the test, 1 and up for a fold of the training, -1 for not used.
    lengths, gc : letters of each record, and the share of G and C among its A, C, G, T.
    """

    headers: list[str]
    names: list[str]
    species: NDArray[np.int64]
    part: NDArray[np.int64]
    lengths: NDArray[np.int64]
    gc: NDArray[np.float64]

    @property
    def folds(self) -> int:
        """Of the training part."""
        return int(self.part.max())

    def rows(self, *parts: int) -> dict[str, int]:
        """Header → species, for the records of these parts."""
        chosen = np.flatnonzero(np.isin(self.part, parts))
        return {self.headers[i]: int(self.species[i]) for i in chosen}


@dataclass(frozen=True)
class Reads:
    """Reads with what is known of them: each an array (reads,)."""

    batch: Batch
    species: NDArray[np.int64]
    part: NDArray[np.int64]
    length: NDArray[np.int64]
    error: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.species)

    def take(self, chosen: NDArray) -> "Reads":
        """Some of the reads, by a mask or by numbers."""
        rows = np.arange(len(self))[chosen]
        batch = join_records([self.batch.record(int(i)) for i in rows])
        return Reads(
            batch, self.species[rows], self.part[rows], self.length[rows], self.error[rows]
        )


def species_of(header: str, words: int) -> str:
    """The words of a header after its first one, so many of them; 0 takes them all."""
    found = header.split()[1:]
    return " ".join(found[:words] if words else found)


def catalog(
    path: str | Path, rng: np.random.Generator, *, words: int = 2, folds: int = 3
) -> Catalog:
    """Read which records there are, and hold one individual of each species out.

    A record is an individual. Species of fewer than three are left out: one is needed to test on,
    and two to tune on.

    Raises ValueError for a header without a species, two records of one header, or fewer than two
    species.
    """
    sizes: dict[str, NDArray[np.int64]] = {}
    for batch in read_batches(path):
        for i, header in enumerate(batch.headers):
            if header in sizes and not (i == 0 and batch.continued):
                raise ValueError(f"{path}: two records have the header {header!r}")
            found = np.bincount(batch.record(i), minlength=5)[:5]
            sizes[header] = sizes[header] + found if header in sizes else found
    headers = list(sizes)
    labels = [species_of(header, words) for header in headers]
    if "" in labels:
        raise ValueError(
            f"{path}: the header {headers[labels.index('')]!r} tells no species; "
            ">name Genus species is taken"
        )
    counts = {name: labels.count(name) for name in dict.fromkeys(labels)}
    names = [name for name, count in counts.items() if count >= 3]
    if len(names) < 2:
        raise ValueError(
            f"{path}: {len(names)} species have three records or more, and two are needed; "
            f"it has {len(counts)} species in {len(labels)} records"
        )
    species = np.array([names.index(label) if label in names else -1 for label in labels])
    part = np.full(len(headers), -1)
    for s in range(len(names)):
        own = rng.permutation(np.flatnonzero(species == s))
        part[own] = [0, *(1 + np.arange(len(own) - 1) % folds)]
    table = np.array(list(sizes.values()))
    gc = table[:, 1:3].sum(1) / np.maximum(table[:, :4].sum(1), 1)
    return Catalog(headers, names, species, part, table.sum(1), gc)


def nearest_training(path: str | Path, known: Catalog, k: int = 16) -> list[tuple[float, float]]:
    """Of each species' test record, the distance to its training records and to other species'.

    In substitutions per site, estimated from sketches; 0 to its own is the same genome twice.
    """
    sketches = {}
    for batch in read_records(path):
        for i, header in enumerate(batch.headers):
            sketches[header] = sketch(batch.record(i), k)
    found = []
    for s in range(len(known.names)):
        test = next(iter(h for h, row in known.rows(0).items() if row == s))
        own: list[float] = []
        other: list[float] = []
        for header, row in known.rows(*range(1, known.folds + 1)).items():
            far = mash_distance(sketches[test], sketches[header], k)
            (own if row == s else other).append(far)
        found.append((min(own), min(other)))
    return found


def draw_reads(
    path: str | Path,
    known: Catalog,
    rng: np.random.Generator,
    *,
    lengths: Sequence[int],
    errors: Sequence[float],
    count: int,
) -> Reads:
    """`count` reads of each record, length and error rate, from all records that are used.

    Raises ValueError for a record that is shorter than a read.
    """
    place = {header: i for i, header in enumerate(known.headers)}
    reads: list[NDArray[np.uint8]] = []
    notes: list[tuple[int, int, int, float]] = []
    for batch in read_records(path):
        for i, header in enumerate(batch.headers):
            at = place[header]
            if known.part[at] < 0:
                continue
            for length in lengths:
                for error in errors:
                    drawn, _ = sample_reads(rng, batch.record(i), count, length, error=error)
                    reads += drawn
                    notes += [(known.species[at], known.part[at], length, error)] * count
    table = np.array(notes)
    whole = table[:, :3].astype(np.int64)
    return Reads(join_records(reads), whole[:, 0], whole[:, 1], whole[:, 2], table[:, 3])
