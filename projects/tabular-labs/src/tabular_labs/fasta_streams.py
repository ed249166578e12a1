"""How quick and how small is counting? A FASTA file of any size, its speed, its peak of memory."""

import csv
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from groundwork import Run
from tabular_labs.fasta import read_records, write_fasta
from tabular_labs.kmer_bayes import PooledBayes
from tabular_labs.kmers import KmerIndex, count_file, count_matrix, spell
from tabular_labs.taxonomy import Catalog, Reads

_PIECE = 1_000_000


def write_random(path: Path, letters: int, rng: np.random.Generator) -> None:
    """A FASTA file of about so many letters: random chromosomes of a million, some letters N."""

    def chromosomes() -> Iterator[tuple[str, NDArray[np.uint8]]]:
        for place in range(-(-letters // _PIECE)):
            codes = rng.integers(0, 4, min(_PIECE, letters - place * _PIECE), np.uint8)
            codes[rng.integers(0, len(codes), len(codes) // 1000)] = 4
            yield f"chromosome{place}", codes

    write_fasta(path, chromosomes())


def peak_bytes(call: Callable[[], object]) -> int:
    """The most bytes that Python and NumPy held at once, beyond those before the call."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def measure_stream(run: Run, folder: Path, megabytes: int, k: int = 8) -> None:
    """Count a large file: letters a second, and the peak of memory against a tenth of the file."""
    index, peaks, seconds = KmerIndex(k), [], 0.0
    index.columns(np.zeros(k, np.uint8))  # its table belongs to no file
    for size in run.progress((megabytes * 100_000, megabytes * 1_000_000), label="large file"):
        path = folder / "large.fasta"
        write_random(path, size, np.random.default_rng(run.seed))
        start = time.perf_counter()
        counts = count_file(path, index)
        seconds = time.perf_counter() - start
        del counts
        peaks.append(_peak_of_counting(path, index))
        path.unlink()
    run.metric("stream_size", megabytes, "million letters")
    run.metric("stream_speed", megabytes / seconds, "million letters/s")
    run.metric("stream_memory", peaks[1] / 1e6, "MB")
    run.metric("stream_memory_growth", peaks[1] / peaks[0])


def _peak_of_counting(path: Path, index: KmerIndex) -> int:
    return peak_bytes(lambda: count_file(path, index))


def hold_counting(run: Run, folder: Path, drawn: Reads, k: int = 6) -> None:
    """Reads counted from a file, against scikit-learn on strings in memory: values and time."""
    some = drawn.take(np.arange(min(len(drawn), 3000)))
    path, index = folder / "reads.fasta", KmerIndex(k, canonical=False)
    records = [(f"r{i}", some.batch.record(i)) for i in range(len(some))]
    write_fasta(path, records)
    letters = np.array(list("ACGTN"))
    texts = ["".join(letters[codes]) for _, codes in records]
    theirs = CountVectorizer(
        analyzer="char", ngram_range=(k, k), lowercase=False,
        vocabulary=[spell(number, k) for number in range(4**k)],
    )  # fmt: skip

    def ours() -> list[Any]:
        tables = [count_matrix(batch, index) for batch in read_records(path)]
        for table in tables:
            table.sum_duplicates()
        return tables

    counted = np.vstack([table.toarray() for table in ours()])
    apart = np.abs(counted - theirs.transform(texts).toarray()).max()
    run.metric("difference.vectorizer", float(apart))
    run.compare(
        "count", ours, lambda: theirs.transform(texts), library="scikit-learn (CountVectorizer)"
    )


def name_reads(run: Run, reads: str, model: PooledBayes, known: Catalog) -> None:
    """Write the species of each read of a file with its probability, as a stream.

    Raises ValueError for a file that is no FASTA, OSError for one that is not to be read.
    """
    with run.artifact("predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["read", "species", "probability"])
        for batch in read_records(reads):
            said = model.predict_proba(batch)
            for header, shares in zip(batch.headers, said, strict=True):
                best = int(shares.argmax())
                writer.writerow([header.split()[0], known.names[best], f"{shares[best]:.4f}"])
