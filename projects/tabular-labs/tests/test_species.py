import numpy as np
import pytest

from tabular_labs.fasta import AMBIGUOUS
from tabular_labs.kmers import mash_distance, reverse_complement, sketch
from tabular_labs.species import make_world, mutate, sample_reads


def test_changed_letters_are_others_and_as_many_as_asked_for(rng):
    codes = rng.integers(0, 5, 20_000, np.uint8)
    changed, origin = mutate(rng, codes, 0.1)
    assert np.array_equal(origin, np.arange(20_000))
    known = codes < 4
    assert np.array_equal(changed[~known], codes[~known])
    assert np.mean(changed[known] != codes[known]) == pytest.approx(0.1, abs=0.01)
    assert changed[known].max() < 4


def test_indels_change_the_length_and_say_where_letters_came_from(rng):
    codes = rng.integers(0, 4, 20_000, np.uint8)
    changed, origin = mutate(rng, codes, 0.0, 0.01)
    kept = np.concatenate([[True], origin[1:] != origin[:-1]])
    assert np.array_equal(changed[kept], codes[origin[kept]])
    assert (~kept).sum() == pytest.approx(400, rel=0.3)  # insertions have a mean length of 2
    assert 20_000 - len(np.unique(origin)) == pytest.approx(400, rel=0.3)


def test_nothing_changes_at_a_rate_of_0(rng):
    codes = rng.integers(0, 4, 100, np.uint8)
    assert np.array_equal(mutate(rng, codes, 0.0)[0], codes)
    assert len(mutate(rng, codes[:0], 0.1, 0.1)[0]) == 0


def test_species_are_as_far_apart_as_the_tree_says():
    world = make_world(np.random.default_rng(3), species=5, individuals=2, length=30_000, depth=0.1)
    assert len(set(world.names)) == 5
    distance = world.distance
    assert np.array_equal(distance, distance.T)
    assert distance.max() == pytest.approx(0.2)
    i, j = np.triu_indices(5, 1)
    sketches = [sketch(genomes[0], k=11) for genomes in world.genomes]
    near = [mash_distance(sketches[a], sketches[b], 11) for a, b in zip(i, j, strict=True)]
    # Sketches see substitutions of both lineages and of both individuals; order is what counts.
    closest, farthest = distance[i, j].argmin(), distance[i, j].argmax()
    assert near[closest] < near[farthest]
    own = mash_distance(sketches[0], sketch(world.genomes[0][1], k=11), 11)
    assert own < min(near)


def test_genera_are_clades_of_half_the_age():
    world = make_world(np.random.default_rng(1), species=9, individuals=1, length=50, depth=0.4)
    genera = np.array([name.split()[0] for name in world.names])
    same = genera[:, None] == genera[None]
    assert np.array_equal(same, world.distance <= 0.4)


@pytest.mark.parametrize(
    "bad", [{"species": 1}, {"individuals": 0}, {"depth": 0.0}, {"depth": 1.2}, {"within": 1.0}]
)
def test_worlds_that_cannot_be_are_refused(rng, bad):
    with pytest.raises(ValueError):
        make_world(rng, length=50, **bad)


def test_clean_reads_are_pieces_of_either_strand(rng):
    genome = rng.integers(0, 4, 500, np.uint8)
    reads, starts = sample_reads(rng, genome, 40, 60, unknown=0.0)
    strands = set()
    for read, start in zip(reads, starts, strict=True):
        piece = genome[start : start + 60]
        forward = np.array_equal(read, piece)
        assert forward or np.array_equal(read, reverse_complement(piece))
        strands.add(forward)
    assert strands == {True, False}


def test_reads_of_a_machine_that_errs_have_errors_and_unknown_letters(rng):
    genome = np.zeros(1000, np.uint8)
    reads, _ = sample_reads(rng, genome, 200, 100, error=0.1, unknown=0.02)
    letters = np.concatenate(reads)
    assert np.mean(letters == AMBIGUOUS) == pytest.approx(0.02, abs=0.005)
    assert np.mean((letters != 0) & (letters != 3)) == pytest.approx(0.09, abs=0.02)


def test_a_genome_shorter_than_a_read_is_refused(rng):
    with pytest.raises(ValueError, match="5 letters has no reads of 6"):
        sample_reads(rng, np.zeros(5, np.uint8), 1, 6)
