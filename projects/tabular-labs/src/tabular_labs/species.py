r"""Made species, their individuals, and reads of them: a world whose tree is known.

A random genome is the common ancestor. Along a random binary tree each branch changes it by
substitutions and by insertions and deletions; the leaves are species, the clades below a certain
age are genera. Each individual differs from its species a little more. A machine reads short
pieces, from either strand, and errs.

Substitutions hit each site with the same chance and lead to each of the other letters alike
(T. H. Jukes and C. R. Cantor, Evolution of protein molecules, 1969), by a factor that varies from
region to region: some parts of a genome hardly change, and reads from there say little of the
species. Branch lengths are in substitutions per site.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tabular_labs.fasta import AMBIGUOUS
from tabular_labs.kmers import reverse_complement

_FIRST = ("Alni", "Betu", "Cera", "Dian", "Eric", "Fago", "Geni", "Hede", "Iris", "Juni")
_LAST = ("prima", "secunda", "tertia", "quarta", "quinta", "sexta", "septima", "octava")
_REGION = 500


@dataclass(frozen=True)
class World:
    """Species and their individuals.

    names : "Genus epithet" of each species.
    genomes : for each species the codes of its individuals.
    distance : substitutions per site between the species, along the tree: (species, species).
    """

    names: list[str]
    genomes: list[list[NDArray[np.uint8]]]
    distance: NDArray[np.float64]

    def records(self) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """A header such as "s03i1 Genus epithet" and the codes of every individual."""
        for s, (name, genomes) in enumerate(zip(self.names, self.genomes, strict=True)):
            for i, genome in enumerate(genomes):
                yield f"s{s:02d}i{i} {name}", genome


def make_world(
    rng: np.random.Generator,
    *,
    species: int = 12,
    individuals: int = 4,
    length: int = 40_000,
    depth: float = 0.25,
    within: float = 0.02,
    indels: float = 0.05,
) -> World:
    """Let a random genome of `length` letters become `species` species.

    Parameters
    ----------
    individuals : of each species.
    depth : substitutions per site from the common ancestor to a species.
    within : the same from a species to an individual of it.
    indels : insertions and deletions for each substitution, of one to about ten letters.

    Raises ValueError for fewer than 2 species or 1 individual, or rates out of range.
    """
    if species < 2 or individuals < 1 or length < 1:
        raise ValueError("2 species, 1 individual and 1 letter are the least")
    if not 0 < depth < 1 or not 0 <= within < 1 or not 0 <= indels < 1:
        raise ValueError("depth, within and indels are shares below 1, and depth is not 0")
    ages = [depth, *sorted(rng.uniform(0.15, 1.0, species - 2) * depth)[::-1]]
    speed = rng.gamma(1.5, 1 / 1.5, -(-length // _REGION))
    # Each living lineage: its genome, and the speeds of its letters' regions.
    root = (rng.integers(0, 4, length, np.uint8), np.repeat(speed, _REGION)[:length])
    lineages, distance = [root], np.zeros((1, 1))
    now = depth
    for k, age in enumerate(ages):
        lineages = [_evolve(rng, *lineage, now - age, indels) for lineage in lineages]
        distance += 2 * (now - age) * (1 - np.eye(len(lineages)))
        now = age
        parent = int(rng.integers(len(lineages)))
        lineages.append(lineages[parent])
        grown = np.zeros((k + 2, k + 2))
        grown[:-1, :-1] = distance
        grown[-1, :-1] = grown[:-1, -1] = distance[parent]
        distance = grown
    lineages = [_evolve(rng, *lineage, now, indels) for lineage in lineages]
    distance += 2 * now * (1 - np.eye(species))
    order, names = _named(distance, depth)
    genomes = [
        [_evolve(rng, *lineages[s], within, indels)[0] for _ in range(individuals)] for s in order
    ]
    return World(names, genomes, distance[np.ix_(order, order)])


def mutate(
    rng: np.random.Generator,
    codes: NDArray[np.uint8],
    substitutions: NDArray[np.float64] | float,
    indels: float = 0.0,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Change letters, insert and delete.

    Parameters
    ----------
    codes : uint8 (n,).
    substitutions : the chance of each letter to become another: a number or (n,).
    indels : events of each kind, for each letter; their lengths are geometric with mean 2.

    Returns the new codes (m,) and the place that each came from (m,); what is inserted has the
    place of the letter before it.
    """
    n = len(codes)
    hit = (rng.random(n) < substitutions) & (codes < 4)
    changed = codes.copy()
    changed[hit] = (changed[hit] + rng.integers(1, 4, int(hit.sum()), np.uint8)) % 4
    copies = np.ones(n, np.int64)
    if indels > 0 and n:
        for place in np.flatnonzero(rng.random(n) < indels):
            copies[place : place + rng.geometric(0.5)] = 0
        longer = np.flatnonzero((rng.random(n) < indels) & (copies > 0))
        copies[longer] += rng.geometric(0.5, len(longer))
    origin = np.repeat(np.arange(n), copies)
    changed = changed[origin]
    new = np.concatenate([[False], origin[1:] == origin[:-1]]) if len(origin) else origin == -1
    changed[new] = rng.integers(0, 4, int(new.sum()), np.uint8)
    return changed, origin


def sample_reads(
    rng: np.random.Generator,
    genome: NDArray[np.uint8],
    count: int,
    length: int,
    *,
    error: float = 0.0,
    unknown: float = 0.001,
) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """Pieces of a genome as a machine reads them, from either strand, and where they begin.

    Parameters
    ----------
    genome : uint8 (n,), at least `length` letters.
    error : the chance of a letter to be misread; a tenth of it, to be left out or doubled.
    unknown : the chance of a letter to be read as N.

    Raises ValueError for a genome that is shorter than a read.
    """
    if len(genome) < length:
        raise ValueError(f"a genome of {len(genome)} letters has no reads of {length}")
    starts = rng.integers(0, len(genome) - length + 1, count)
    reads = []
    for start in starts:
        piece = genome[start : start + length]
        if rng.random() < 0.5:
            piece = reverse_complement(piece)
        read, _ = mutate(rng, piece, error, error / 10)
        read[rng.random(len(read)) < unknown] = AMBIGUOUS
        reads.append(read)
    return reads, starts


def _evolve(
    rng: np.random.Generator,
    codes: NDArray[np.uint8],
    speed: NDArray[np.float64],
    time: float,
    indels: float,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A lineage after `time` substitutions per site, as far as repeated hits let it differ."""
    chance = 0.75 * (1 - np.exp(-4 / 3 * time * speed))
    changed, origin = mutate(rng, codes, chance, time * indels / 2)
    return changed, speed[origin]


def _named(distance: NDArray[np.float64], depth: float) -> tuple[list[int], list[str]]:
    """An order that keeps relatives together, and names; a genus is a clade of half the age."""
    left, order = set(range(len(distance))), [0]
    left.remove(0)
    while left:  # the nearest to the last one, of all that are left
        last = order[-1]
        order.append(min(left, key=lambda s: (distance[last, s], s)))
        left.remove(order[-1])
    names: list[str] = []
    genus, epithet = 0, 0
    for place, s in enumerate(order):
        if place and distance[order[place - 1], s] > depth:
            genus, epithet = genus + 1, 0
        first = _FIRST[genus % len(_FIRST)] + ("" if genus < len(_FIRST) else str(genus))
        last_word = _LAST[epithet % len(_LAST)] + ("" if epithet < len(_LAST) else str(epithet))
        names.append(f"{first} {last_word}")
        epithet += 1
    return order, names
