"""The idx format, in which MNIST and its relatives come.

A file is two zero bytes, a byte for the type of the values, a byte for the number of dimensions,
each dimension as a big-endian 32-bit number, and then the values, the last dimension running
fastest (LeCun, Cortes, Burges, "The MNIST database", 1998). It may be compressed by gzip.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundwork import UsageError

#: The byte for the type of the values → the type, as it lies in the file.
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class IdxError(UsageError):
    """A file is not what an idx file should be."""


def read_idx(path: Path | str) -> NDArray:
    """Read an idx file, plain or compressed.

    Returns an array of the file's shape, in the machine's own byte order. Raises IdxError, with the
    file's name, what was found and what is taken: for a bad magic number, an unknown type, a file
    that is too short or too long for its dimensions, or a broken gzip.
    """
    path = Path(path)
    content = _read(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise IdxError(f"{path}: begins with {content[:4].hex(' ') or 'nothing'}; an idx file "
                       f"begins with 00 00, a type and the number of dimensions")  # fmt: skip
    kind, dimensions = content[2], content[3]
    if kind not in TYPES:
        known = ", ".join(f"{key:02x}" for key in TYPES)
        raise IdxError(f"{path}: values of the type {kind:02x}; {known} are taken")
    start = 4 + 4 * dimensions
    if dimensions == 0 or len(content) < start:
        raise IdxError(f"{path}: ends within its header of {start} bytes")
    shape = [int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4)]
    dtype = np.dtype(TYPES[kind])
    expected = start + math.prod(shape) * dtype.itemsize  # whole numbers: it cannot overflow
    if len(content) != expected:
        what = "cut short" if len(content) < expected else "too long"
        raise IdxError(
            f"{path}: {what}: {len(content):,} bytes where the shape "
            f"{' × '.join(map(str, shape))} takes {expected:,}"
        )
    try:
        values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    except ValueError as error:  # no values, but more or larger dimensions than an array can have
        raise IdxError(f"{path}: no array has the shape {' × '.join(map(str, shape))}") from error
    return values.astype(dtype.newbyteorder("="))


def write_idx(path: Path | str, values: NDArray) -> None:
    """Write an array as an idx file, compressed where the name ends in `.gz`.

    Raises IdxError for a type that idx does not know.
    """
    path = Path(path)
    for key, name in TYPES.items():
        if np.dtype(name).newbyteorder("=") == values.dtype.newbyteorder("="):
            header = bytes([0, 0, key, values.ndim])
            header += np.array(values.shape, ">u4").tobytes()
            content = header + np.ascontiguousarray(values, dtype=name).tobytes()
            path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
            return
    known = ", ".join(str(np.dtype(name).newbyteorder("=")) for name in TYPES.values())
    raise IdxError(f"{path}: values of the type {values.dtype}; {known} are taken")


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IdxError(f"{path}: cannot be read: {error.strerror}") from error
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        # One call on the whole is quicker than a stream; MNIST inflates to 47 MB.
        inflated = zlib.decompressobj(wbits=31)
        result = inflated.decompress(content)
    except zlib.error as error:
        raise IdxError(f"{path}: a broken gzip file ({error})") from error
    if not inflated.eof:
        raise IdxError(f"{path}: a gzip file that is cut short")
    if inflated.unused_data:
        extra = len(inflated.unused_data)
        raise IdxError(f"{path}: {extra:,} bytes after the end of the gzip; none are taken")
    return result
