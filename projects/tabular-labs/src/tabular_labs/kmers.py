r"""Count the words of length k of DNA: k-mers, as numbers to the base 4.

With A C G T as 0 to 3, a k-mer is a number of 2k bits. The numbers of all windows come from those
of half the length: $v_{a+b}(i) = v_a(i) \cdot 4^b + v_b(i + a)$, so that $\log_2 k$ passes over an
array replace a loop over letters. A window with an ambiguous letter, or across two records, does
not count.

DNA is read from either strand, and nobody knows from which. The reverse complement of a k-mer is
the same word on the other strand; the smaller of the two numbers stands for both (canonical
k-mers), which makes the counts blind to the strand. An even k has $(4^k + 4^{k/2}) / 2$ of them, as
some words are their own reverse complement; an odd k has $4^k / 2$.

Up to k = 12 a k-mer's number is the place of its count. Beyond that, numbers are hashed into
$2^b$ places by multiplication (M. Dietzfelbinger and others, A reliable randomized algorithm for
the closest-pair problem, 1997). D. E. Wood and S. L. Salzberg, Kraken: ultrafast metagenomic
sequence classification using exact alignments, 2014, has k-mers at work.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tabular_labs.fasta import END, Batch, read_batches

#: The largest k whose numbers index an array of counts, and the largest that 64 bits hold.
LARGEST_DENSE, LARGEST = 12, 31


def windows(
    codes: NDArray[np.uint8], k: int, *, canonical: bool = True
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.bool_]]:
    """The number of each window of k letters, and whether it counts.

    Parameters
    ----------
    codes : uint8 (n,), A C G T as 0 to 3; any other code spoils the windows that hold it.
    k : 1 to 31.
    canonical : whether a k-mer and its reverse complement share the smaller of their numbers.

    Returns two arrays of shape (max(n - k + 1, 0),): uint32 for k up to 16, else uint64; and bool.
    """
    if not 1 <= k <= LARGEST:
        raise ValueError(f"k={k}: 1 to {LARGEST} is taken")
    kind = np.uint32 if k <= 16 else np.uint64
    if len(codes) < k:
        return np.empty(0, kind), np.empty(0, bool)
    spoilt = codes > 3
    letters = np.where(spoilt, np.uint8(0), codes).astype(kind)
    forward: NDArray[Any] = letters
    backward: NDArray[Any] = 3 - letters
    whole: list[NDArray[Any]] | None = None
    width, done, rest = 1, 0, k
    while True:  # k in binary: `whole` joins the widths of its bits, from the lowest on
        if rest & 1:
            if whole is None:
                whole = [forward, backward, spoilt]
            else:
                n = len(codes) - done - width + 1
                shift: Any = kind(2 * width)
                ahead: Any = kind(2 * done)
                whole = [
                    (whole[0][:n] << shift) | forward[done : done + n],
                    whole[1][:n] | (backward[done : done + n] << ahead),
                    whole[2][:n] | spoilt[done : done + n],
                ]
            done += width
        rest >>= 1
        if not rest:
            break
        n, shift = len(forward) - width, kind(2 * width)
        forward, backward, spoilt = (
            (forward[:n] << shift) | forward[width:],
            backward[:n] | (backward[width:] << shift),
            spoilt[:n] | spoilt[width:],
        )
        width *= 2
    assert whole is not None
    numbers = np.minimum(whole[0], whole[1]) if canonical else whole[0]
    return numbers, ~whole[2]


def reverse_complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The other strand, in its own reading direction; codes above 3 stay what they are."""
    turned = codes[::-1]
    return np.where(turned < 4, 3 - turned, turned)


def spell(number: int, k: int) -> str:
    """The letters of a k-mer's number."""
    return "".join("ACGT"[(int(number) >> 2 * (k - 1 - i)) & 3] for i in range(k))


def n_kmers(k: int, *, canonical: bool = True) -> int:
    """How many k-mers there are."""
    if not canonical:
        return 4**k
    return (4**k + (4 ** (k // 2) if k % 2 == 0 else 0)) // 2


@lru_cache(maxsize=4)
def _places(k: int) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """The place of each number among the canonical ones, -1 for others; and the numbers."""
    every = np.arange(4**k, dtype=np.uint32)
    turned = np.zeros_like(every)
    for i in range(k):
        turned = (turned << np.uint32(2)) | (3 - ((every >> np.uint32(2 * i)) & np.uint32(3)))
    numbers = np.flatnonzero(every <= turned).astype(np.uint32)
    places = np.full(4**k, -1, np.int32)
    places[numbers] = np.arange(len(numbers), dtype=np.int32)
    return places, numbers


class KmerIndex:
    """Where the count of a k-mer stands: columns 0 to `size` - 1.

    Parameters
    ----------
    k : 1 to 12 with a column for each k-mer, up to 31 with `bits`.
    canonical : whether both strands share a column.
    bits : None, or hash all k-mers into 2^bits columns, 1 to 28.

    Raises ValueError for a k or bits out of range.

    Examples
    --------
    >>> index = KmerIndex(2)
    >>> index.size, index.names()[:3]
    (10, ['AA', 'AC', 'AG'])
    """

    def __init__(self, k: int, *, canonical: bool = True, bits: int | None = None) -> None:
        if bits is None and not 1 <= k <= LARGEST_DENSE:
            raise ValueError(
                f"k={k}: 1 to {LARGEST_DENSE} is taken without hashing; give bits for more"
            )
        if not 1 <= k <= LARGEST:
            raise ValueError(f"k={k}: 1 to {LARGEST} is taken")
        if bits is not None and not 1 <= bits <= 28:
            raise ValueError(f"bits={bits}: 1 to 28 is taken")
        self.k, self.canonical, self.bits = k, canonical, bits
        self.size = n_kmers(k, canonical=canonical) if bits is None else 2**bits

    def columns(self, codes: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The columns of the windows that count, and where each begins in `codes`."""
        numbers, counts = windows(codes, self.k, canonical=self.canonical)
        at = np.flatnonzero(counts)
        numbers = numbers[at]
        if self.bits is not None:
            mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            return (mixed >> np.uint64(64 - self.bits)).astype(np.int32), at
        if self.canonical:
            return _places(self.k)[0][numbers], at
        return numbers.astype(np.int32), at

    def names(self) -> list[str]:
        """The k-mer of each column; ValueError with hashing, where a column has many."""
        if self.bits is not None:
            raise ValueError("hashed columns have no names")
        numbers = _places(self.k)[1] if self.canonical else range(self.size)
        return [spell(number, self.k) for number in numbers]


def count_matrix(batch: Batch, index: KmerIndex) -> sparse.csr_matrix:
    """The k-mers of each record of a batch, in the order in which they come.

    Returns a CSR matrix (records, index.size) of ones, float32, in which a k-mer that comes twice
    in a record stands twice: products and sums are those of the counts, and `sum_duplicates()`
    makes them explicit.
    """
    columns, at = index.columns(batch.codes)
    ends = np.searchsorted(at, batch.starts)
    shape = (len(batch.headers), index.size)
    ones = np.ones(len(columns), np.float32)
    return sparse.csr_matrix((ones, columns, ends.astype(np.int32)), shape=shape)


def count_file(
    path: str | Path,
    index: KmerIndex,
    groups: dict[str, int] | None = None,
    *,
    block: int = 1 << 20,
) -> NDArray[np.int64]:
    """Count the k-mers of a FASTA file, or of groups of its records, in bounded memory.

    Parameters
    ----------
    path : the file; see `tabular_labs.fasta`.
    index : which column a k-mer has.
    groups : header → row; records with other headers are passed over. None: one row for all.
    block : bytes of the file that are held at once.

    Returns counts of shape (rows, index.size).
    """
    rows = 1 if groups is None else max(groups.values(), default=-1) + 1
    totals = np.zeros((rows, index.size), np.int64)
    tail = np.empty(0, np.uint8)
    for batch in read_batches(path, block=block):
        codes, starts = batch.codes, batch.starts
        if batch.continued:  # windows that begin in the batch before
            codes, starts = np.concatenate([tail, codes]), starts + len(tail)
            starts[0] = 0
        if groups is None:
            totals[0] += np.bincount(index.columns(codes)[0], minlength=index.size)
        else:
            for row, joined in _by_row(batch.headers, codes, starts, groups):
                totals[row] += np.bincount(index.columns(joined)[0], minlength=index.size)
        last = codes[starts[-2] : -1]
        tail = last[len(last) - min(index.k - 1, len(last)) :]
    return totals


def _by_row(
    headers: list[str], codes: NDArray[np.uint8], starts: NDArray, groups: dict[str, int]
) -> Iterable[tuple[int, NDArray[np.uint8]]]:
    """The records of each row next to each other, each with its end."""
    rows = np.array([groups.get(header, -1) for header in headers])
    for row in np.unique(rows[rows >= 0]):
        parts = [codes[starts[i] : starts[i + 1]] for i in np.flatnonzero(rows == row)]
        yield int(row), np.concatenate(parts)


def sketch(codes: NDArray[np.uint8], k: int = 16, size: int = 2000) -> NDArray[np.uint64]:
    """The `size` least hashes of the distinct canonical k-mers, sorted: a random sample of them.

    Two sequences' samples are comparable, because each k-mer's hash is the same everywhere.
    B. D. Ondov and others, Mash: fast genome and metagenome distance estimation, 2016.
    """
    numbers, counts = windows(codes, k)
    mixed = np.unique(numbers[counts]).astype(np.uint64)
    for shift, odd in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53), (33, 1)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(odd)
    return np.sort(mixed)[:size]


def mash_distance(a: NDArray[np.uint64], b: NDArray[np.uint64], k: int = 16) -> float:
    r"""Substitutions per site between two sequences, from their sketches: 0 to 1.

    $j$ is the share of common k-mers among the least hashes of both; a k-mer survives a divergence
    of $d$ with probability $e^{-kd}$, from which $d = -\frac1k \ln \frac{2j}{1+j}$.
    """
    size = min(len(a), len(b))
    if not size:
        raise ValueError(f"a sequence without a whole word of {k} letters has no distance")
    union = np.union1d(a, b)[:size]
    shared = np.isin(union, a, assume_unique=True) & np.isin(union, b, assume_unique=True)
    jaccard = float(shared.mean())
    return min(1.0, -np.log(2 * jaccard / (1 + jaccard)) / k) if jaccard else 1.0


def join_records(records: list[NDArray[np.uint8]], headers: list[str] | None = None) -> Batch:
    """Records that are held already, as a batch; headers are numbers from 0 if not given."""
    end = np.array([END], np.uint8)
    parts = [part for record in records for part in (record, end)]
    codes = np.concatenate(parts) if parts else np.empty(0, np.uint8)
    starts = np.concatenate([[0], np.cumsum([len(record) + 1 for record in records])])
    names = [str(i) for i in range(len(records))] if headers is None else headers
    return Batch(names, codes, starts.astype(np.int64), False)
