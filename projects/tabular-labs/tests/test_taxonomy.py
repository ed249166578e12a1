import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.naive_bayes import MultinomialNB

from groundwork.errors import UsageError
from groundwork.testing import run_lab
from tabular_labs.fasta import write_fasta
from tabular_labs.fasta_streams import peak_bytes, write_random
from tabular_labs.kmer_bayes import KmerBayes, Pool, PooledBayes, leak, score_columns
from tabular_labs.kmers import KmerIndex, count_file, count_matrix
from tabular_labs.species import make_world
from tabular_labs.taxonomy import catalog, draw_reads, nearest_training, species_of


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    path = tmp_path_factory.mktemp("world") / "world.fasta"
    made = make_world(
        np.random.default_rng(0), species=3, individuals=4, length=3000, depth=0.2, within=0.01
    )
    write_fasta(path, made.records())
    known = catalog(path, np.random.default_rng(0))
    reads = draw_reads(
        path, known, np.random.default_rng(1), lengths=(60, 90), errors=(0.0, 0.05), count=6
    )
    return path, made, known, reads


def test_one_individual_of_each_species_is_held_out_and_the_others_are_dealt_to_folds(world):
    _, made, known, _ = world
    assert known.names == made.names
    for s in range(3):
        assert sorted(known.part[known.species == s]) == [0, 1, 2, 3]
    assert known.lengths.tolist() == [len(g) for genomes in made.genomes for g in genomes]
    everything = [known.rows(part) for part in range(4)]
    assert len({header for rows in everything for header in rows}) == 12


def test_reads_keep_the_part_and_the_species_of_their_genome(world):
    _, made, known, reads = world
    assert len(reads) == 12 * 2 * 2 * 6
    index = KmerIndex(12)
    clean = reads.take((reads.error == 0) & (reads.part == 0))
    for i in range(len(clean)):
        columns = set(index.columns(clean.batch.record(i))[0].tolist())
        shared = []
        for s in range(3):
            own = np.flatnonzero((known.species == s) & (known.part == 0))[0] % 4
            genome = set(index.columns(made.genomes[s][own])[0].tolist())
            shared.append(len(columns & genome))
        assert int(np.argmax(shared)) == clean.species[i]


def test_held_out_genomes_are_nearest_to_their_own_species_and_not_the_same(world):
    path, _, known, _ = world
    for own, other in nearest_training(path, known):
        assert 0 < own < other


def test_scores_are_those_of_scikit_learn_on_dense_counts(world):
    path, _, known, reads = world
    index = KmerIndex(4)
    counts = count_file(path, index, known.rows(1, 2, 3))
    ours = KmerBayes(index, 0.5).fit(counts).scores(reads.batch)
    theirs = MultinomialNB(alpha=0.5, fit_prior=False).fit(counts, range(3))
    dense = count_matrix(reads.batch, index).toarray()
    apart = log_softmax(ours, axis=1) - theirs.predict_log_proba(dense)
    assert np.abs(apart).max() < 1e-6


def test_the_pool_prefers_the_score_that_knows_and_ignores_noise(rng):
    y = rng.integers(0, 3, 400)
    knows = 5 * (np.eye(3)[y] + 0.5 * rng.standard_normal((400, 3)))
    noise = 5 * rng.standard_normal((400, 3))
    pool = Pool().fit([noise, knows], y)
    assert pool.weights_[1] > 5 * pool.weights_[0]
    said = pool.predict_proba([noise, knows])
    assert said.sum(axis=1) == pytest.approx(np.ones(400))
    loss = -np.log(said[np.arange(400), y]).mean()
    assert loss == pytest.approx(pool.loss_, rel=1e-9)
    for other in ([0.0, 1.0], pool.weights_ * 1.1, pool.weights_ * 0.9):
        pool.weights_ = np.array(other)
        worse = pool.predict_proba([noise, knows])
        assert -np.log(worse[np.arange(400), y]).mean() >= loss - 1e-6


def test_pooled_bayes_beats_one_short_k_on_genomes_never_counted(world):
    path, _, known, reads = world
    train, test = reads.take(reads.part > 0), reads.take(reads.part == 0)
    pooled = PooledBayes((3, 8), trials=2).fit(path, known, train)
    said = pooled.predict_proba(test.batch)
    assert said.shape == (len(test), 3)
    short = KmerBayes(KmerIndex(3)).fit(count_file(path, KmerIndex(3), known.rows(1, 2, 3)))
    right = np.mean(said.argmax(1) == test.species)
    assert right > np.mean(short.scores(test.batch).argmax(1) == test.species)
    assert right > 0.8
    inputs = score_columns(pooled.scores(test.batch), test)
    assert inputs.shape == (len(test), 2 * 3 + 1)
    assert (inputs.iloc[:, :-1].to_numpy() <= 0).all()
    counted, held_out = leak(path, known, test, k=8)
    assert counted >= held_out - 0.02


@pytest.mark.parametrize(
    "content,message",
    [
        (">a X y\nACGT\n>a X y\nACGT\n", "two records have the header"),
        (">a\nACGT\n", "tells no species"),
        (">a X y\nACGT\n>b X z\nACGT\n", "0 species have three records"),
    ],
)
def test_files_that_cannot_be_split_are_refused(tmp_path, rng, content, message):
    (tmp_path / "a.fasta").write_text(content)
    with pytest.raises(ValueError, match=message):
        catalog(tmp_path / "a.fasta", rng)


def test_a_species_is_so_many_words_of_the_header():
    assert species_of("NC_1.1 Escherichia coli str. K-12", 2) == "Escherichia coli"
    assert species_of("NC_1.1 Escherichia coli", 0) == "Escherichia coli"
    assert species_of("NC_1.1", 2) == ""


def test_the_memory_of_counting_does_not_grow_with_the_file(tmp_path, rng):
    index, peaks = KmerIndex(6), []
    index.columns(np.zeros(6, np.uint8))
    for letters in (400_000, 1_600_000):
        write_random(tmp_path / "a.fasta", letters, rng)
        peaks.append(peak_bytes(lambda: count_file(tmp_path / "a.fasta", index, block=1 << 16)))
    assert peaks[1] < 1.1 * peaks[0]


def test_a_users_file_that_is_wrong_is_told_in_one_line(tmp_path):
    path = tmp_path / "mine.fasta"
    path.write_text(">a X y\nACGT\nAC!T\n")
    with pytest.raises(UsageError, match=r"--fasta: .*mine\.fasta, line 3, column 3"):
        run_lab("tabular-labs/dna-taxonomy", tmp_path / "run", fasta=str(path))
