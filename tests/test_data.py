"""Data sets by name: downloaded when asked for, checked, and found by the tasks."""

from __future__ import annotations

import functools
import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dnc_edge import data as datasets
from dnc_edge.data import DataFile, DataSet
from dnc_edge.errors import DataMissing, MissingError, UsageError
from dnc_edge.tasks import files as taken
from tests.test_cli import dnc_edge, refused

TEXT = b'{"question": "How many?"}\n'


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is served in GitHub's place, a data set of one file in it, and an empty folder of data sets."""
    folder = tmp_path / "github"
    served = folder / "someone" / "eggs" / "c0ffee" / "data"
    served.mkdir(parents=True)
    (served / "eggs.jsonl").write_bytes(TEXT)
    file = DataFile("eggs/test.jsonl", "data/eggs.jsonl", len(TEXT), hashlib.sha256(TEXT).hexdigest())
    known = {"eggs": DataSet("eggs", "questions about eggs", "someone/eggs", "c0ffee", "MIT", (file,))}
    monkeypatch.setattr(datasets, "datasets", lambda: known)
    monkeypatch.setenv("DNC_EDGE_DATA", str(tmp_path / "data"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    monkeypatch.setattr(datasets, "GITHUB", f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield served / "eggs.jsonl"
    server.shutdown()
    server.server_close()


def test_what_is_pulled_is_found_by_the_tasks(github: Path) -> None:
    with pytest.raises(DataMissing) as caught:
        taken.data_path("eggs/test.jsonl")
    assert caught.value.hint == "dnc-edge data pull eggs"
    assert not datasets.datasets()["eggs"].is_here
    folder = datasets.pull("eggs")
    assert taken.data_path("eggs/test.jsonl") == folder / "eggs" / "test.jsonl"
    assert datasets.datasets()["eggs"].is_here
    github.unlink()
    datasets.pull("eggs")  # nothing is fetched twice


def test_a_file_that_is_here_compressed_is_not_fetched(github: Path) -> None:
    target = datasets.root() / "eggs" / "test.jsonl.gz"
    target.parent.mkdir(parents=True)
    target.write_bytes(gzip.compress(TEXT))
    github.unlink()
    datasets.pull("eggs")
    assert list(taken.read_jsonl("eggs/test.jsonl")) == [{"question": "How many?"}]


def test_another_file_is_refused_and_not_kept(github: Path) -> None:
    github.write_bytes(TEXT + b"\n")
    with pytest.raises(MissingError, match="is not the file that is known here"):
        datasets.pull("eggs")
    assert [path for path in datasets.root().rglob("*") if path.is_file()] == []


def test_what_cannot_be_had_is_named(github: Path) -> None:
    github.unlink()
    with pytest.raises(MissingError, match=r"cannot fetch eggs\.jsonl"):
        datasets.pull("eggs")
    with pytest.raises(UsageError, match="no data set egs") as caught:
        datasets.pull("egs")
    assert caught.value.hint == "did you mean eggs?"


def test_every_known_file_is_the_one_in_the_folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNC_EDGE_DATA", str(data))
    for one in datasets.datasets().values():
        for file in one.files:
            path = taken.data_path(file.file)
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256), file.file


def test_the_list_says_licence_and_source() -> None:
    listed = dnc_edge("data", "list", DNC_EDGE_DATA="none-such").stdout.decode()
    (line,) = [line for line in listed.splitlines() if line.startswith("gsm8k ")]
    assert "MIT" in line and "openai/grade-school-math" in line and "here" not in line
    assert dnc_edge("data", "path", DNC_EDGE_DATA="none-such").stdout == b"none-such\n"


def test_the_command_names_a_data_set_that_is_not_known_and_reaches_nothing_offline(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    refused(dnc_edge("data", "pull", "gsm8", DNC_EDGE_DATA=folder), 2, "did you mean gsm8k?")
    offline = dnc_edge("data", "pull", "gsm8k", "--offline", DNC_EDGE_DATA=folder)
    assert offline.returncode == 4 and "--offline was given" in offline.stderr.decode()
