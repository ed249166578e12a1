from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from tabular_labs.fasta import write_fasta
from tabular_labs.kmers import (
    KmerIndex,
    count_file,
    count_matrix,
    join_records,
    mash_distance,
    n_kmers,
    reverse_complement,
    sketch,
    spell,
    windows,
)
from tabular_labs.species import mutate

LETTERS = np.array(list("ACGTN"))
TURN = str.maketrans("ACGTN", "TGCAN")


def text(codes: np.ndarray) -> str:
    return "".join(LETTERS[codes])


@pytest.mark.parametrize("k", [1, 2, 3, 5, 7, 8, 13, 16, 17, 31])
def test_windows_are_the_words_of_the_text(rng, k):
    codes = rng.integers(0, 4, 80, np.uint8)
    codes[40] = 4
    numbers, counts = windows(codes, k, canonical=False)
    words = [text(codes[i : i + k]) for i in range(len(codes) - k + 1)]
    assert counts.tolist() == ["N" not in word for word in words]
    told = [spell(number, k) for number in numbers[counts]]
    assert told == [word for word in words if "N" not in word]


@pytest.mark.parametrize("k", [1, 2, 3, 6, 11, 16, 21, 31])
def test_canonical_words_are_the_lesser_of_both_strands(rng, k):
    codes = rng.integers(0, 4, 100, np.uint8)
    numbers, _ = windows(codes, k)
    for i, number in enumerate(numbers):
        word = text(codes[i : i + k])
        assert spell(number, k) == min(word, word[::-1].translate(TURN))


@pytest.mark.parametrize("k", [1, 4, 5, 9])
def test_both_strands_have_the_same_counts(rng, k):
    codes = rng.integers(0, 5, 300, np.uint8)
    index = KmerIndex(k)
    forward, backward = (
        np.bincount(index.columns(c)[0], minlength=index.size)
        for c in (codes, reverse_complement(codes))
    )
    assert np.array_equal(forward, backward)
    assert forward.any()


def test_reverse_complement_turns_twice_into_itself(rng):
    codes = rng.integers(0, 5, 50, np.uint8)
    assert text(reverse_complement(codes)) == text(codes)[::-1].translate(TURN)
    assert np.array_equal(reverse_complement(reverse_complement(codes)), codes)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_there_are_as_many_canonical_kmers_as_the_formula_says(k):
    words = [spell(number, k) for number in range(4**k)]
    canonical = sorted({min(word, word[::-1].translate(TURN)) for word in words})
    assert n_kmers(k) == len(canonical)
    assert KmerIndex(k).names() == canonical


def test_a_matrix_has_the_counts_of_the_vectorizer_of_scikit_learn(rng):
    records = [rng.integers(0, 5, n, np.uint8) for n in (3, 4, 50, 200)]
    matrix = count_matrix(join_records(records), KmerIndex(4, canonical=False))
    names = [spell(number, 4) for number in range(256)]
    theirs = CountVectorizer(
        analyzer="char", ngram_range=(4, 4), lowercase=False, vocabulary=names
    ).transform([text(record) for record in records])
    assert np.array_equal(matrix.toarray(), theirs.toarray())
    assert not matrix.toarray()[0].any()  # too short for a word


@pytest.mark.parametrize("block", [16, 33, 1 << 20])
def test_a_file_has_the_same_counts_in_blocks_of_any_size(tmp_path, rng, block):
    records = [(f"r{n}", rng.integers(0, 5, n, np.uint8)) for n in (2, 5, 90, 333)]
    write_fasta(tmp_path / "a.fasta", records, width=13)
    index = KmerIndex(5)
    wanted = [np.bincount(index.columns(c)[0], minlength=index.size) for _, c in records]
    whole = count_file(tmp_path / "a.fasta", index, block=block)
    assert np.array_equal(whole[0], np.sum(wanted, axis=0))
    groups = {"r333": 1, "r5": 0, "r2": 0}
    parts = count_file(tmp_path / "a.fasta", index, groups, block=block)
    assert np.array_equal(parts, [wanted[0] + wanted[1], wanted[3]])


def test_hashing_keeps_the_number_of_words_and_gives_equal_words_one_column(rng):
    codes = np.tile(rng.integers(0, 4, 40, np.uint8), 2)
    index = KmerIndex(21, bits=10)
    columns, at = index.columns(codes)
    assert len(columns) == 60
    assert columns.min() >= 0
    assert columns.max() < index.size == 1024
    assert np.array_equal(columns[:20], columns[at >= 40])
    spread = Counter(index.columns(rng.integers(0, 4, 20_000, np.uint8))[0].tolist())
    assert max(spread.values()) < 60  # 20 are expected
    with pytest.raises(ValueError, match="no names"):
        index.names()


@pytest.mark.parametrize("given", [{"k": 0}, {"k": 13}, {"k": 32, "bits": 9}, {"k": 4, "bits": 0}])
def test_an_index_out_of_range_is_refused(given):
    with pytest.raises(ValueError, match="is taken"):
        KmerIndex(**given)


def test_windows_longer_than_the_text_are_none():
    numbers, counts = windows(np.zeros(3, np.uint8), 4)
    assert len(numbers) == len(counts) == 0


def test_the_distance_from_sketches_is_the_share_of_changed_letters(rng):
    codes = rng.integers(0, 4, 40_000, np.uint8)
    assert mash_distance(sketch(codes), sketch(reverse_complement(codes))) == 0
    for share in (0.01, 0.05):
        changed, _ = mutate(rng, codes, share)
        assert mash_distance(sketch(codes), sketch(changed)) == pytest.approx(share, rel=0.2)
    other = rng.integers(0, 4, 40_000, np.uint8)
    assert mash_distance(sketch(codes), sketch(other)) > 0.3
    with pytest.raises(ValueError, match="without a whole word"):
        mash_distance(sketch(codes), sketch(codes[:5]))
