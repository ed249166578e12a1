import gzip
from pathlib import Path

import numpy as np
import pytest

from tabular_labs.fasta import (
    AMBIGUOUS,
    END,
    FastaError,
    read_batches,
    read_records,
    write_fasta,
)

PLAIN = b">one first of two\nACGT\nacgu\n>two\nNNRY-\nTT\n"
BLOCKS = [16, 17, 23, 1 << 20]


def put(folder: Path, content: bytes, name: str = "a.fasta") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def gathered(path: Path, block: int) -> list[tuple[str, list[int]]]:
    """Whatever the blocks, header and codes of each record."""
    found: list[tuple[str, list[int]]] = []
    for batch in read_batches(path, block=block):
        assert batch.codes[batch.starts[1:] - 1].tolist() == [END] * len(batch.headers)
        for i, header in enumerate(batch.headers):
            if i == 0 and batch.continued:
                found[-1][1].extend(batch.record(i).tolist())
            else:
                found.append((header, batch.record(i).tolist()))
    return found


WANTED = [
    ("one first of two", [0, 1, 2, 3, 0, 1, 2, 3]),
    ("two", [AMBIGUOUS] * 5 + [3, 3]),
]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN[:-1],
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b"\n", b"\n\n"),
        b"\n\n" + PLAIN,
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.replace(b"ACGT\n", b"A C\tG\nT\n"),
        gzip.compress(PLAIN),
        gzip.compress(PLAIN[:20]) + gzip.compress(PLAIN[20:]),
    ],
    ids=["plain", "no last break", "windows", "blank lines", "blank start", "byte order mark",
         "spaces", "gzip", "gzip in parts"],
)  # fmt: skip
def test_what_people_have_gives_the_same_records_in_blocks_of_any_size(tmp_path, content, block):
    path = put(tmp_path, content)
    assert gathered(path, block) == WANTED
    whole = [
        (header, batch.record(i).tolist())
        for batch in read_records(path, block=block)
        for i, header in enumerate(batch.headers)
    ]
    assert whole == WANTED


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    "content,message",
    [
        (b"", "holds no record"),
        (b"\n \n", "holds no record"),
        (b"\nACGT\n>a\nA\n", "line 2: letters before the first header"),
        (b">a\nACGT\nACJT\n", r"line 3, column 3: 'J' is no nucleotide"),
        (b">a\nACGTACGTACGTACGTACGTACGTACGT*\n", r"line 2, column 29: '\*'"),
        (b">a\nACGT\n>\nAC\n", "line 3: a header without a name"),
        (b">a\n>b\nAC\n", "line 1: record 'a' has no letters"),
        (b">a\nAC\n>b\n\n\n", "record 'b' has no letters"),
        (b">a\nAC\x00GT\n", "line 2, column 3"),
        (b"@read\nACGT\n+\nIIII\n", "FASTQ"),
        (gzip.compress(PLAIN)[:-12], "cut off"),
    ],
)
def test_what_is_wrong_is_told_by_file_and_line(tmp_path, content, message, block):
    path = put(tmp_path, content)
    with pytest.raises(FastaError, match=message) as told:
        list(read_batches(path, block=block))
    assert "a.fasta" in str(told.value)


def test_a_broken_gzip_file_is_told(tmp_path):
    packed = bytearray(gzip.compress(PLAIN * 50))
    packed[20:30] = b"0123456789"
    with pytest.raises(FastaError, match=r"broken|cut off"):
        list(read_batches(put(tmp_path, bytes(packed))))


def test_a_record_that_is_too_long_to_hold_is_refused(tmp_path):
    path = put(tmp_path, b">a\n" + b"ACGT\n" * 100)
    with pytest.raises(FastaError, match="'a' has more than 50"):
        list(read_records(path, block=64, longest=50))
    assert sum(len(batch.record(0)) for batch in read_batches(path, block=64)) == 400


@pytest.mark.parametrize("name", ["a.fasta", "a.fasta.gz"])
def test_what_is_written_is_read_again(tmp_path, rng, name):
    records = [(f"r{n} some words", rng.integers(0, 5, n, np.uint8)) for n in (1, 79, 80, 81, 1000)]
    assert write_fasta(tmp_path / name, records) == 1241
    found = gathered(tmp_path / name, 1 << 20)
    assert [header for header, _ in found] == [header for header, _ in records]
    for (_, codes), (_, wanted) in zip(found, records, strict=True):
        assert codes == wanted.tolist()


def test_a_block_of_no_use_is_refused(tmp_path):
    with pytest.raises(ValueError, match="block=1"):
        list(read_batches(put(tmp_path, PLAIN), block=1))
