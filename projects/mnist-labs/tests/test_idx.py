import gzip

import numpy as np
import pytest

from mnist_labs.idx import IdxError, read_idx, write_idx


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("name", ["values", "values.gz"])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (3, 0), (1, 2, 1, 2)])
def test_what_is_written_is_read(tmp_path, kind, name, shape):
    values = np.random.default_rng(0).integers(-90, 90, shape).astype(kind)
    write_idx(tmp_path / name, values)
    read = read_idx(tmp_path / name)
    assert read.dtype == values.dtype
    assert read.flags.writeable
    np.testing.assert_array_equal(read, values)


def test_bytes_are_as_the_format_says(tmp_path):
    write_idx(tmp_path / "x", np.array([[1, -2]], dtype=np.int16))
    expected = bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0xFF, 0xFE])
    assert (tmp_path / "x").read_bytes() == expected


GOOD = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "begins with nothing"),
        (b"\0\0\x08", "begins with 00 00 08"),
        (b"PNG!" + GOOD, "begins with 50 4e 47 21"),
        (b"\0\0\x0a\x01" + GOOD[4:], "type 0a"),
        (GOOD[:6], "header of 8 bytes"),
        (b"\0\0\x08\0", "header"),
        (GOOD[:-1], "cut short: 10 bytes where the shape 3 takes 11"),
        (GOOD + b"!", "too long: 12 bytes where the shape 3 takes 11"),
        (b"\0\0\x0e\x04" + b"\xff" * 16, "cut short"),
        (b"\0\0\x08\x03" + b"\xff" * 8 + b"\0" * 4, "no array has the shape"),
        (b"\0\0\x08\x50" + b"\0" * 320, "no array has the shape"),
        (gzip.compress(GOOD)[:-9], "gzip file that is cut short"),
        (gzip.compress(GOOD)[:-6] + b"\0" * 6, "broken gzip"),
        (gzip.compress(GOOD) + b"more", "4 bytes after the end of the gzip"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path, content, says):
    (tmp_path / "broken").write_bytes(content)
    with pytest.raises(IdxError) as caught:
        read_idx(tmp_path / "broken")
    assert says in str(caught.value)
    assert str(tmp_path / "broken") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_a_type_that_idx_lacks_are_refused(tmp_path):
    with pytest.raises(IdxError, match="cannot be read"):
        read_idx(tmp_path / "nothing")
    with pytest.raises(IdxError, match="int64"):
        write_idx(tmp_path / "x", np.zeros(3, dtype=np.int64))
