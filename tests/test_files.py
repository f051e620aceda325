"""Reading lines, and writing files that appear whole."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge import files
from dnc_edge.errors import InputError


@given(st.lists(st.dictionaries(st.text(), st.text())), st.booleans(), st.booleans(), st.sampled_from([b"\n", b"\r\n"]))
def test_every_record_comes_back_with_its_line(
    records: list[dict[str, Any]], packed: bool, marked: bool, ending: bytes
) -> None:
    import tempfile

    text = b"\xef\xbb\xbf" * marked + b"".join(
        json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + ending * 2 for record in records
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records")
        path.write_bytes(gzip.compress(text) if packed else text)
        found = list(files.lines(path))
    assert [json.loads(line.decode("utf-8", "surrogatepass")) for _, line in found] == records
    assert [where for where, _ in found] == [f"{path}, line {2 * n + 1}" for n in range(len(records))]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b"{}\n" * 5000)[:-9])
    wrong = tmp_path / "wrong.gz"
    wrong.write_bytes(b"\x1f\x8b" + b"x" * 40)
    flipped = tmp_path / "flipped.gz"
    data = bytearray(gzip.compress(os.urandom(3000)))
    data[1500] ^= 0xFF
    flipped.write_bytes(data)
    for path in (cut, wrong, flipped, tmp_path, tmp_path / "none", tmp_path / ("n" * 300)):
        with pytest.raises(InputError, match=path.name):
            list(files.lines(path))


@pytest.mark.parametrize("line", [b"[1]", b"{", b"7" * 5000, b"[" * 100_000])
def test_a_line_that_is_no_object_is_named(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a": "\xe2\x80\xa8"}\n' + line + b"\n")
    with pytest.raises(InputError, match="line 2: not"):
        list(files.objects(tmp_path / "x.jsonl"))


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(tmp_path: Path) -> None:
    real = tmp_path / "results" / "real.json"
    real.parent.mkdir()
    real.write_text("old", encoding="utf-8")
    real.chmod(0o664)
    link = tmp_path / "out.json"
    link.symlink_to(real)
    files.write_json(link, {"a": 1})
    assert link.is_symlink() and json.loads(real.read_text("utf-8")) == {"a": 1}
    assert real.stat().st_mode & 0o777 == 0o664
    assert sorted(path.name for path in real.parent.iterdir()) == ["real.json"]


def test_a_link_to_nothing_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out.json").symlink_to("real.json")
    files.write_json(tmp_path / "out.json", [])
    assert (tmp_path / "out.json").is_symlink() and (tmp_path / "real.json").read_text("utf-8") == "[]\n"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.txt.gz"
    path.write_bytes(b"old")
    with contextlib.suppress(RuntimeError), files.writing(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".json")
    files.write_json(path, 1)
    assert path.read_text("utf-8") == "1\n"


def test_a_device_is_written_to_and_not_replaced() -> None:
    files.write_json(Path("/dev/null"), 1)
    assert Path("/dev/null").is_char_device()
