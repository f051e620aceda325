"""llama.cpp's converter comes from a source distribution of which nothing runs before its hash is known to hold."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnc_edge.convert import source
from dnc_edge.errors import MissingError

NAME = "llama_cpp_python-0.3.36"
# pip asks a source distribution for its metadata, even to download it: this code runs then.
BACKEND = """
import pathlib
pathlib.Path({marker!r}).touch()

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    folder = pathlib.Path(directory, "llama_cpp_python-0.3.36.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: llama-cpp-python\\nVersion: 0.3.36\\n")
    return folder.name
"""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A source distribution on a package index of our own, which is the only one that pip knows."""
    folder = tmp_path / "index" / "llama-cpp-python"
    folder.mkdir(parents=True)
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.format(marker=str(tmp_path / "marker")),
        "vendor/llama.cpp/convert_hf_to_gguf.py": "print('converter')\n",
        "vendor/llama.cpp/conversion/base.py": "",
        "vendor/llama.cpp/README.md": "not wanted",
    }
    path = folder / f"{NAME}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{NAME}/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    (folder / "index.html").write_text(f'<a href="{path.name}">{path.name}</a>', encoding="utf-8")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "index"))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield path
        server.shutdown()


def test_the_converter_alone_is_kept_of_the_known_distribution(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "SHA256", {"0.3.36": hashlib.sha256(archive.read_bytes()).hexdigest()})
    folder = source.converter()
    kept = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert kept == {"convert_hf_to_gguf.py", "conversion/base.py"}
    assert (tmp_path / "marker").exists()  # which shows that the next test can fail
    archive.unlink()
    assert source.converter() == folder


def test_nothing_of_an_unknown_distribution_runs(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="not the known source distribution") as caught:
        source.converter()
    assert "nothing of it was run" in str(caught.value.hint) and "\n" not in str(caught.value)
    assert not (tmp_path / "marker").exists()
    assert not list((tmp_path / "cache" / "dnc-edge").iterdir())


def test_an_index_without_it_and_a_folder_without_a_converter_are_one_line(archive: Path, tmp_path: Path) -> None:
    archive.unlink()
    archive.with_name("index.html").write_text("", encoding="utf-8")
    with pytest.raises(MissingError, match="cannot fetch the source distribution") as caught:
        source.converter()
    assert "--llama-cpp" in str(caught.value.hint) and "\n" not in str(caught.value)
    with pytest.raises(MissingError, match="not a llama.cpp checkout"):
        source.converter(tmp_path)
