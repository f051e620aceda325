"""Files of one JSON object a line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge import jsonl
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
        found = list(jsonl.lines(path))
    assert [json.loads(line.decode("utf-8", "surrogatepass")) for _, line in found] == records
    assert [where for where, _ in found] == [f"{path}, line {2 * n + 1}" for n in range(len(records))]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b"{}\n" * 5000)[:-9])
    wrong = tmp_path / "wrong.gz"
    wrong.write_bytes(b"\x1f\x8b" + b"x" * 40)
    for path in (cut, wrong, tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=path.name):
            list(jsonl.lines(path))
