r"""FASTA files of any size, plain or gzip, read in bounded memory.

A record is a header line, `>name description`, and lines of letters. A file is read in blocks of
about a million bytes, so that neither many records nor one long chromosome has to fit in memory,
and each block becomes one array of codes without a loop over letters or lines. What people's files
hold is taken: lower case (soft-masked repeats), Windows line ends, blank lines, lines of any
length, a byte order mark, U for T, the ambiguous letters of the IUPAC code and gaps. What is no
nucleotide is refused by file, line and column.

W. R. Pearson and D. J. Lipman, Improved tools for biological sequence comparison, 1988 (the
format); NC-IUB, Nomenclature for incompletely specified bases in nucleic acid sequences, 1985.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

#: The code of a letter that is not A, C, G or T, and of the end of a record.
AMBIGUOUS, END = 4, 5
_BAD = 255
_WHITE = b" \t\r\n\v\f"
_JOINT = b"\x00"
_IUPAC = "ACGTU RYSWKMBDHVN and -"

_table = bytearray([_BAD]) * 256
for _letters, _code in ((b"Aa", 0), (b"Cc", 1), (b"Gg", 2), (b"TtUu", 3), (_JOINT, END)):
    for _letter in _letters:
        _table[_letter] = _code
for _letter in b"RYSWKMBDHVNryswkmbdhvn-.":
    _table[_letter] = AMBIGUOUS
_TABLE = bytes(_table)


class FastaError(ValueError):
    """What is wrong with a FASTA file, by file and line."""


@dataclass(frozen=True)
class Batch:
    """Some records, or parts of long ones, that lie next to each other in a file.

    Parameters
    ----------
    headers : the header of each record, without `>`.
    codes : uint8 (n,), A C G T as 0 to 3, other letters as `AMBIGUOUS`; after each record `END`.
    starts : int64 (records + 1,); record i is `codes[starts[i] : starts[i + 1] - 1]`.
    continued : whether record 0 goes on where the last record of the batch before ended.
    """

    headers: list[str]
    codes: NDArray[np.uint8]
    starts: NDArray[np.int64]
    continued: bool

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Letters of each record in this batch: shape (records,)."""
        return np.diff(self.starts) - 1

    def record(self, i: int) -> NDArray[np.uint8]:
        """The codes of record i."""
        return self.codes[self.starts[i] : self.starts[i + 1] - 1]


def read_batches(path: str | Path, *, block: int = 1 << 20) -> Iterator[Batch]:
    """Read a FASTA file, plain or gzip, in batches of about `block` bytes.

    Raises FastaError (a ValueError) that names file and line: for a letter that is no nucleotide,
    letters before the first header, a header without a name, a record without letters, a file
    without records, a gzip file that is cut off or broken. Raises OSError where the file is not to
    be read.
    """
    if block < 16:
        raise ValueError(f"block={block}: at least 16 bytes are taken")
    path = Path(path)
    # A line break before the first line makes every header begin with one, and lines count from 1.
    held, line, column = b"\n", 0, 0
    header, letters = None, 0
    with _opened(path) as file:
        while True:
            fresh = _read(file, block, path)
            text = held + fresh
            if line == 0 and text.startswith(b"\n\xef\xbb\xbf"):
                text = b"\n" + text[4:]
            text, held = (text, b"") if not fresh else _cut(text)
            if text:
                batch, open_letters = _parse(text, path, line, column, header, letters)
                breaks = text.count(b"\n")
                column = len(text) - text.rfind(b"\n") - 1 if breaks else column + len(text)
                line += breaks
                if batch is not None:
                    header, letters = batch.headers[-1], open_letters
                    yield batch
            if not fresh:
                break
    if header is None:
        raise FastaError(f"{path}: holds no record; a record begins with a line >name")
    if not letters:
        raise FastaError(f"{path}, line {line}: record {_name(header)!r} has no letters")


def read_records(
    path: str | Path, *, block: int = 1 << 20, longest: int = 1 << 30
) -> Iterator[Batch]:
    """Like `read_batches`, with whole records only; memory is bounded by the longest one.

    Raises FastaError also for a record of more than `longest` letters.
    """
    open_header, size = "", 0
    parts: list[NDArray[np.uint8]] = []
    for batch in read_batches(path, block=block):
        headers, codes, starts = batch.headers, batch.codes, batch.starts
        if parts and batch.continued:
            headers = [open_header, *headers[1:]]
        elif parts:
            headers = [open_header, *headers]
        whole, cut = headers[:-1], int(starts[-2])
        if whole:
            if parts and not batch.continued:
                parts.append(np.array([END], np.uint8))
            joined = np.concatenate([*parts, codes[:cut]])
            ends = np.flatnonzero(joined == END)
            yield Batch(whole, joined, np.concatenate([[0], ends + 1]), False)
            parts, size = [], 0
        parts.append(codes[cut:-1])
        size += len(parts[-1])
        open_header = headers[-1]
        if size > longest:
            raise FastaError(
                f"{path}: record {_name(open_header)!r} has more than {longest} letters, which is "
                "more than can be held at once here"
            )
    codes = np.append(np.concatenate(parts), np.uint8(END))
    yield Batch([open_header], codes, np.array([0, len(codes)]), False)


def write_fasta(
    path: str | Path, records: Iterable[tuple[str, NDArray[np.uint8]]], *, width: int = 80
) -> int:
    """Write records (header, codes 0 to 4) with lines of `width` letters; returns the letters.

    A path that ends in `.gz` is compressed.
    """
    path, total = Path(path), 0
    alphabet = np.frombuffer(b"ACGTN", np.uint8)
    with gzip.open(path, "wb", 1) if path.suffix == ".gz" else path.open("wb") as file:
        for header, codes in records:
            file.write(b">" + header.encode() + b"\n")
            letters = alphabet[codes]
            whole = len(letters) // width * width
            lines = np.full((whole // width, width + 1), ord("\n"), np.uint8)
            lines[:, :-1] = letters[:whole].reshape(-1, width)
            file.write(lines.tobytes())
            if whole < len(letters):
                file.write(letters[whole:].tobytes() + b"\n")
            total += len(letters)
    return total


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The file's bytes, unpacked where it begins as a gzip file does."""
    with open(path, "rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:1] == b"@":
            raise FastaError(f"{path}, line 1: begins with '@' as FASTQ does; FASTA is taken")
        if start[:2] == b"\x1f\x8b":
            with gzip.open(file) as unpacked:
                yield unpacked
        else:
            yield file


def _read(file: IO[bytes] | gzip.GzipFile, block: int, path: Path) -> bytes:
    try:
        return file.read(block)
    except EOFError:
        raise FastaError(f"{path}: the gzip file is cut off; copy it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FastaError(f"{path}: the gzip file is broken ({error})") from None


def _cut(text: bytes) -> tuple[bytes, bytes]:
    """Split where it is safe: a header that may go on, or a break before one, waits."""
    last = text.rfind(b"\n")
    if last >= 0 and text[last + 1 : last + 2] in (b"", b">"):
        return text[:last], text[last:]
    return text, b""


def _parse(
    text: bytes, path: Path, line: int, column: int, header: str | None, letters: int
) -> tuple[Batch | None, int]:
    """The records in a text that begins in the record `header`, which has some letters so far.

    Returns the batch, None where there is none, and the letters of its last record so far.
    """
    pieces = text.split(b"\n>")
    bodies, headers = [pieces[0]], [] if header is None else [header]
    for piece in pieces[1:]:
        words, _, body = piece.partition(b"\n")
        headers.append(words.decode("utf-8", "replace").strip())
        bodies.append(body)
    packed = _JOINT.join(bodies).translate(_TABLE, _WHITE)
    codes = np.empty(len(packed) + 1, np.uint8)
    codes[:-1] = np.frombuffer(packed, np.uint8)
    codes[-1] = END
    starts = np.concatenate([[0], np.flatnonzero(codes == END) + 1])
    sizes = np.diff(starts) - 1
    if _BAD in packed or len(starts) != len(pieces) + 1:
        _refuse_letter(text, path, line, column)
    if header is None and sizes[0]:
        skipped = len(pieces[0]) - len(pieces[0].lstrip(_WHITE))
        at = line + pieces[0][:skipped].count(b"\n")
        raise FastaError(f"{path}, line {at}: letters before the first header, a line >name")
    so_far = sizes.copy()
    so_far[0] += letters
    nameless = [i for i, words in enumerate(headers) if not _name(words)]
    empty = np.flatnonzero(so_far[:-1] == 0)
    if header is None:
        empty = empty[empty > 0]
    if nameless or len(empty):
        first = min([*(i + (header is None) for i in nameless), *empty.tolist()])
        at = line + sum(piece.count(b"\n") + 1 for piece in pieces[:first])
        if first and not _name(headers[first - (header is None)]):
            raise FastaError(f"{path}, line {at}: a header without a name; >name is taken")
        name = _name(headers[first - (header is None)])
        raise FastaError(f"{path}, line {at}: record {name!r} has no letters")
    continued = header is not None and bool(sizes[0])
    if not continued:  # nothing is left of the record before
        if header is not None:
            headers = headers[1:]
        if not headers:
            return None, letters
        codes, starts = codes[starts[1] :], starts[1:] - starts[1]
    return Batch(headers, codes, starts, continued), int(so_far[-1])


def _refuse_letter(text: bytes, path: Path, line: int, column: int) -> None:
    """Raise the error for the first letter that is no nucleotide."""
    for number, content in enumerate(text.split(b"\n")):
        shift = column if number == 0 else 0
        if content.startswith(b">") and shift == 0:
            continue
        for place, byte in enumerate(content):
            if (_TABLE[byte] == _BAD and byte not in _WHITE) or byte == _JOINT[0]:
                raise FastaError(
                    f"{path}, line {line + number}, column {shift + place + 1}: {chr(byte)!r} is "
                    f"no nucleotide; {_IUPAC} are taken"
                )


def _name(header: str) -> str:
    """The first word of a header."""
    return header.split(None, 1)[0] if header.strip() else ""
