import gzip
import hashlib
import http.server
import inspect
import io
import os
import pickle
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundwork import data
from groundwork.data import decoders, fetch
from groundwork.data.__main__ import main as check
from groundwork.data.decoders import Archive, decode
from groundwork.data.graphs import LOADERS, planetoid
from groundwork.data.registry import (
    DESCRIPTIONS,
    LOADED,
    Bunch,
    DataError,
    DataFile,
    DataSet,
    registry,
)

CONTENT = b"a,b\n" + b"1,2\n" * 5000


class Server:
    """A web server on this machine that counts what it is asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                content = outer.files.get(self.path)
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    thread = threading.Thread(target=served.server.serve_forever, daemon=True)
    thread.start()
    yield served
    served.server.shutdown()
    served.server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUNDWORK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GROUNDWORK_DATA", raising=False)
    return tmp_path / "cache"


def a_set(*urls: str, **changes: Any) -> tuple[DataSet, DataFile]:
    fields: dict[str, Any] = {
        "part": "frame",
        "name": "table.csv",
        "urls": urls,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "bytes": len(CONTENT),
        "local": "demo/table.csv.gz",
        "form": "gzip",
        "format": "csv",
    }
    file = DataFile(**{**fields, **changes})
    return DataSet("demo", "Demo", "", "", "", "", (file,)), file


class TestFetching:
    def test_a_file_is_fetched_once_and_then_kept(self, server: Server, cache: Path) -> None:
        server.files["/table.csv"] = CONTENT
        found = [fetch.locate(*a_set(f"{server.address}/table.csv")) for _ in range(3)]
        assert set(found) == {cache / "demo" / "table.csv"}
        assert found[0].read_bytes() == CONTENT
        assert server.asked == ["/table.csv"]

    def test_wrong_bytes_are_an_error_and_nothing_is_kept(
        self, server: Server, cache: Path
    ) -> None:
        server.files["/table.csv"] = CONTENT[:-10]
        with pytest.raises(DataError, match="sha256"):
            fetch.locate(*a_set(f"{server.address}/table.csv"))
        assert list((cache / "demo").iterdir()) == []

    @pytest.mark.parametrize("broken", [CONTENT[:100], b"", CONTENT[:-1] + b"x"])
    def test_a_broken_file_in_the_cache_is_kept_aside_and_fetched_again(
        self, server: Server, cache: Path, broken: bytes, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.files["/table.csv"] = CONTENT
        (cache / "demo").mkdir(parents=True)
        (cache / "demo" / "table.csv").write_bytes(broken)
        found = fetch.locate(*a_set(f"{server.address}/table.csv"))
        assert found.read_bytes() == CONTENT
        assert (cache / "demo" / "table.csv.corrupt-1").read_bytes() == broken
        assert "kept aside" in capsys.readouterr().err

    def test_the_next_address_is_tried(self, server: Server) -> None:
        server.files["/b.csv"] = CONTENT
        addresses = [f"{server.address}/{name}.csv" for name in "ab"]
        assert fetch.locate(*a_set(*addresses)).read_bytes() == CONTENT
        assert server.asked == ["/a.csv", "/b.csv"]

    def test_without_a_network_the_error_says_how_to_go_on(
        self, server: Server, cache: Path
    ) -> None:
        server.server.server_close()
        with pytest.raises(DataError) as caught:
            fetch.locate(*a_set(f"{server.address}/table.csv"))
        text = str(caught.value)
        for words in ("demo", "table.csv", server.address, str(cache), "GROUNDWORK_DATA"):
            assert words in text
        assert "\n" not in text

    def test_many_at_once_all_get_whole_files(self, server: Server, cache: Path) -> None:
        server.files["/table.csv"] = CONTENT

        def one(_: int) -> bytes:
            return fetch.locate(*a_set(f"{server.address}/table.csv")).read_bytes()

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(one, range(16))) == {CONTENT}
        assert [path.name for path in (cache / "demo").iterdir()] == ["table.csv"]

    def test_processes_at_once_all_get_whole_files(self, server: Server, cache: Path) -> None:
        server.files["/table.csv"] = CONTENT
        made, file = a_set(f"{server.address}/table.csv")
        script = (
            "import pickle, sys; from groundwork.data import fetch;"
            "print(fetch.sha256(fetch.locate(*pickle.load(sys.stdin.buffer))))"
        )
        started = [
            subprocess.Popen(
                [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        for process in started:
            assert process.stdin is not None
            process.stdin.write(pickle.dumps((made, file)))
            process.stdin.close()
            process.stdin = None
        assert [process.communicate()[0].decode().strip() for process in started] == [
            file.sha256
        ] * 2
        assert [path.name for path in (cache / "demo").iterdir()] == ["table.csv"]

    def test_a_cache_that_cannot_be_written_is_named(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("GROUNDWORK_CACHE", str(tmp_path / "file" / "cache"))
        with pytest.raises(DataError, match=str(tmp_path / "file")):
            fetch.locate(*a_set(f"{server.address}/table.csv"))

    def test_what_is_made_from_many_files_says_how(self) -> None:
        with pytest.raises(DataError, match="every second row"):
            fetch.locate(*a_set("https://example.org/tree", made="every second row", form=""))


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "data" / "demo").mkdir(parents=True)
        monkeypatch.setenv("GROUNDWORK_DATA", f"{tmp_path / 'none'}{os.pathsep}{tmp_path / 'data'}")
        return tmp_path / "data" / "demo"

    def test_a_compressed_copy_is_unpacked_once(self, folder: Path, cache: Path) -> None:
        (folder / "table.csv.gz").write_bytes(gzip.compress(CONTENT))
        for _ in range(2):
            assert fetch.locate(*a_set()).read_bytes() == CONTENT
        assert [path.name for path in (cache / "demo").iterdir()] == ["table.csv"]

    def test_a_broken_unpacked_copy_is_kept_aside(self, folder: Path, cache: Path) -> None:
        (folder / "table.csv.gz").write_bytes(gzip.compress(CONTENT))
        fetch.locate(*a_set()).write_bytes(b"broken")
        assert fetch.locate(*a_set()).read_bytes() == CONTENT
        assert (cache / "demo" / "table.csv.corrupt-1").read_bytes() == b"broken"

    def test_a_copy_as_it_is_at_the_address(self, folder: Path) -> None:
        (folder / "table.csv").write_bytes(CONTENT)
        assert fetch.locate(*a_set()) == folder / "table.csv"

    def test_a_copy_with_chosen_columns(self, folder: Path) -> None:
        reduced = gzip.compress(b"a\n1\n")
        (folder / "table.csv.gz").write_bytes(reduced)
        changes = {"form": "columns", "local_sha256": hashlib.sha256(reduced).hexdigest()}
        made, file = a_set(**changes, options={"columns": ["a"]})
        frame = decode(file, fetch.locate(made, file), file.name)
        assert list(frame.columns) == ["a"]

    @pytest.mark.parametrize("broken", [b"not a gzip", gzip.compress(CONTENT)[:-20], b"\x1f\x8b"])
    def test_a_broken_copy_is_refused_untouched_and_the_address_is_asked(
        self, folder: Path, server: Server, broken: bytes, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "table.csv.gz").write_bytes(broken)
        server.files["/table.csv"] = CONTENT
        assert fetch.locate(*a_set(f"{server.address}/table.csv")).read_bytes() == CONTENT
        assert (folder / "table.csv.gz").read_bytes() == broken
        assert str(folder / "table.csv.gz") in capsys.readouterr().err


class TestRegistry:
    def test_every_entry_is_complete(self) -> None:
        assert len(registry()) == 95
        for name, entry in registry().items():
            assert entry.title, name
            assert entry.task, name
            assert entry.licence, name
            assert entry.citation, name
            assert len({file.part for file in entry.files}) == len(entry.files) > 0
            for file in entry.files:
                assert re.fullmatch(r"[0-9a-f]{64}", file.sha256), name
                assert all(url.startswith("https://") for url in file.urls), name
                assert file.bytes > 0
                assert file.format in DESCRIPTIONS
                assert file.form in ("", "gzip", "columns")
                assert file.local, name
                assert (file.form == "columns") == bool(file.local_sha256)
                decoder = Archive if file.format == "zip" else decoders._DECODERS[file.format]
                inspect.signature(decoder).bind(b"", **file.options)
            assert entry.loader in ("", *LOADERS)
        assert set(LOADERS) == set(LOADED)

    def test_the_label_is_the_target_where_it_is_not_the_last_column(self) -> None:
        for name, place in (("lightgbm_binary", 0), ("jb_horse_colic", 23)):
            for file in data.info(name).files:
                assert file.options["names"].index("target") == place

    def test_the_import_is_light(self) -> None:
        heavy = ("numpy", "pandas", "sklearn", "scipy", "pooch", "torch", "PIL")
        script = f"import sys, groundwork.data; print([m for m in {heavy} if m in sys.modules])"
        assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"

    def test_an_unknown_name_gets_the_nearest(self) -> None:
        with pytest.raises(DataError, match="fashion_mnist"):
            data.load("fashon_mnist")

    def test_every_part_is_described(self) -> None:
        assert data.info("mnist").parts()["x_train"].startswith("an array")
        assert "(1797, 8, 8)" in data.info("digits").notes
        kinds = [data.info(name).kind for name in ("mnist", "digits", "moons")]
        assert kinds == ["files", "embedded", "generated"]


class TestCheck:
    def test_what_is_not_at_hand_is_neither_ok_nor_fetched(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert check(["--check", "concrete", "spirals"]) == 0
        out = capsys.readouterr().out
        assert "concrete: not at hand: concrete.csv" in out
        assert "spirals: ok: x 500×2, y 500" in out
        assert "1 ok, 1 not at hand, 0 FAILED" in out

    def test_what_is_broken_fails(self, capsys: pytest.CaptureFixture[str], cache: Path) -> None:
        (cache / "cifar10_subset").mkdir(parents=True)
        (cache / "cifar10_subset" / "cifar10_10k_2k.npz").write_bytes(b"PK")
        assert check(["cifar10_subset"]) == 1
        assert "cifar10_subset: FAILED: DataError" in capsys.readouterr().out

    def test_an_unknown_name_is_an_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert check(["mnsit"]) == 2
        assert "mnist" in capsys.readouterr().err


SHAPES = {
    "digits": {"x": (1797, 8, 8), "y": (1797,)},
    "iris": {"x": (150, 4), "y": (150,)},
    "wine": {"x": (178, 13), "y": (178,)},
    "breast_cancer": {"x": (569, 30), "y": (569,)},
    "diabetes": {"x": (442, 10), "y": (442,)},
    "linnerud": {"x": (20, 3), "y": (20, 3)},
    "moons": {"x": (500, 2), "y": (500,)},
    "circles": {"x": (500, 2), "y": (500,)},
    "blobs": {"x": (500, 2), "y": (500,)},
    "swiss_roll": {"x": (1000, 3), "y": (1000,)},
    "s_curve": {"x": (1000, 3), "y": (1000,)},
    "friedman1": {"x": (500, 10), "y": (500,)},
    "regression": {"x": (500, 20), "y": (500,)},
    "classification": {"x": (500, 20), "y": (500,)},
    "spirals": {"x": (500, 2), "y": (500,)},
}


class TestEmbedded:
    @pytest.mark.parametrize("name", SHAPES)
    def test_they_have_the_documented_shapes(self, name: str) -> None:
        loaded = data.load(name)
        assert {part: loaded[part].shape for part in SHAPES[name]} == SHAPES[name]
        assert loaded.x is loaded["x"]

    def test_photographs(self) -> None:
        for name in ("china", "flower"):
            image = data.load(name).image
            assert (image.shape, image.dtype) == ((427, 640, 3), np.uint8)

    def test_a_seed_decides_a_generator_and_its_checksum(self) -> None:
        a, b, c = (data.load("moons", n=50, seed=seed).x for seed in (0, 0, 1))
        assert (a == b).all()
        assert (a != c).any()
        sums = [data.checksums("moons", n=50, seed=seed) for seed in (0, 0, 1)]
        assert sums[0] == sums[1] != sums[2]

    def test_an_option_that_is_not_taken_is_named(self) -> None:
        with pytest.raises(DataError, match="noise"):
            data.load("moons", nois=0.1)

    @pytest.mark.parametrize("name, value", [("moons", -1), ("moons", "x"), ("spirals", 0)])
    def test_an_option_out_of_range_is_one_line(self, name: str, value: Any) -> None:
        with pytest.raises(DataError, match=rf"^{name} with .*[^\n]*$"):
            data.load(name, n=value)

    def test_a_package_that_is_lacking_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sklearn", None)
        with pytest.raises(DataError, match="add scikit-learn"):
            data.load("moons")


def as_file(format: str, **options: Any) -> DataFile:
    return a_set(format=format, options=options)[1]


class TestDecoders:
    @pytest.fixture
    def read(self, tmp_path: Path) -> Callable[..., Any]:
        def read(content: bytes, format: str, **options: Any) -> Any:
            path = tmp_path / "file"
            path.write_bytes(content)
            return decode(as_file(format, **options), path, "file")

        return read

    def test_tables_without_a_header(self, read: Callable[..., Any]) -> None:
        frame = read(b"1, ?\n2, 3\n", "csv", header=False, missing="?", skip_blank=True)
        assert list(frame.columns) == ["c0", "target"]
        assert frame.isna().sum().tolist() == [0, 1]

    def test_endings_and_cells_that_are_no_number(self, read: Callable[..., Any]) -> None:
        content = b'n,label\nlots,yes.\n"1,200",no\n'
        frame = read(content, "csv", strip={"label": "."}, numeric=["n"], thousands=",")
        assert frame.label.tolist() == ["yes", "no"]
        assert np.isnan(frame.n[0])

    def test_grades(self, read: Callable[..., Any]) -> None:
        content = b"1 184 2 \n2 9  -1\n"
        assert read(content, "qrels").tolist() == [[1, 184], [2, 9]]
        assert read(content, "qrels", graded=True).tolist() == [[1, 184, 2], [2, 9, -1]]

    def test_smart_documents(self, read: Callable[..., Any]) -> None:
        text = b".I 1\n.T\nA title\n.W\nsome\n.words\n.I 7\n.W\nmore\n"
        assert read(text, "smart") == {1: {"T": "A title", "W": "some\n.words"}, 2: {"W": "more"}}

    def test_sentences(self, read: Callable[..., Any]) -> None:
        text = b"-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\n. . O O\n\nPeter NNP I-NP I-PER\n"
        assert [len(sentence) for sentence in read(text, "conll")] == [2, 1]

    def test_series(self, read: Callable[..., Any]) -> None:
        loaded = read(b"@relation x\n@data\n1,2:3,4:left\n5,6:7,8:right\n", "ts")
        assert loaded.x.shape == (2, 2, 2)
        assert loaded.y.tolist() == ["left", "right"]

    def test_idx(self, write_idx_file: Callable[..., Path]) -> None:
        images = np.arange(2 * 3 * 4).reshape(2, 3, 4)
        path = write_idx_file("images", images)
        assert (decode(as_file("idx"), path, "images") == images).all()
        labels = decode(as_file("idx"), write_idx_file("labels", np.array([3, 1])), "labels")
        assert (labels.dtype, labels.tolist()) == (np.int64, [3, 1])

    def test_a_pickle_that_would_run_something_is_refused(self, read: Callable[..., Any]) -> None:
        with pytest.raises(DataError, match=r"os\.system"):
            read(b"cos\nsystem\n(S'true'\ntR.", "pickle")

    @pytest.fixture
    def archive(self, tmp_path: Path) -> Archive:
        from PIL import Image

        picture = io.BytesIO()
        Image.fromarray(np.array([[True, False, True]])).save(picture, "png")
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as written:
            written.writestr("x/one.json", '{"a": 1}')
            written.writestr("x/two.csv", "1,2\n")
            written.writestr("three.png", picture.getvalue())
        return Archive(tmp_path / "a.zip", names=["a", "b"])

    def test_archives_decode_a_member_when_asked(self, archive: Archive) -> None:
        assert list(archive) == ["x/one.json", "x/two.csv", "three.png"]
        assert archive["x/one.json"] == {"a": 1}
        assert archive["x/two.csv"].b.tolist() == [2]
        assert "x/two.csv" in archive
        assert "two.csv" not in archive
        with pytest.raises(KeyError):
            archive["two.csv"]

    def test_black_and_white_images_are_bytes(self, archive: Archive) -> None:
        image = archive["three.png"]
        assert (image.dtype, image.tolist()) == (np.uint8, [[255, 0, 255]])

    def test_an_archive_goes_to_other_processes(self, archive: Archive) -> None:
        copied = pickle.loads(pickle.dumps(archive))
        assert dict.fromkeys(copied) == dict.fromkeys(archive)
        assert copied["x/two.csv"].columns.tolist() == ["a", "b"]


class TestPlanetoid:
    def test_rows_go_to_their_nodes_and_a_lonely_node_is_empty(self) -> None:
        from scipy import sparse

        def one_hot(*classes: int) -> Any:
            return np.eye(3, dtype=np.int32)[list(classes)]

        parts = Bunch(
            y=one_hot(2),
            allx=sparse.csr_matrix([[1.0, 0.0], [0.0, 1.0]]),
            ally=one_hot(2, 0),
            tx=sparse.csr_matrix([[5.0, 0.0], [0.0, 7.0]]),
            ty=one_hot(1, 2),
            test_index=np.array([4, 2]),
            graph={0: [1, 1, 4], 1: [0], 2: [2], 3: [], 4: [0]},
        )
        graph = planetoid(parts)
        assert graph.x.toarray().tolist() == [[1, 0], [0, 1], [0, 7], [0, 0], [5, 0]]
        assert graph.y.tolist() == [2, 0, 2, -1, 1]
        assert graph.edges.T.tolist() == [[0, 1], [0, 4], [1, 0], [4, 0]]
        assert (graph.train.tolist(), graph.test.tolist()) == ([0], [2, 4])
        assert set(LOADED["planetoid"]) == set(graph)
