"""Files of questions in every format, whole and broken."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.batch import inputs
from dnc_edge.errors import InputError, UsageError
from dnc_edge.types import Question


def test_every_format_gives_the_same_questions(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"key": "a", "prompt": "How many?\nReally?", "text": "A passage."}, {"key": "b", "prompt": 'Why "x"?'}]
    (tmp_path / "q.jsonl").write_text("\ufeff" + "".join(json.dumps(row) + "\r\n\n" for row in rows), encoding="utf-8")
    with (tmp_path / "q.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["key", "prompt", "text"], lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "q.parquet")
    (tmp_path / "q.jsonl.gz").write_bytes(gzip.compress((tmp_path / "q.jsonl").read_bytes()))
    columns = inputs.column_map(["question=prompt", "id=key", "context=text"])
    wanted = [Question(row["prompt"], row.get("text"), row["key"]) for row in rows]
    for name in ("q.jsonl", "q.csv", "q.parquet", "q.jsonl.gz"):
        assert list(inputs.read(str(tmp_path / name), columns=columns)) == wanted, name
    (tmp_path / "q.txt").write_bytes(b"One?\r\n\r\n  Two? \n")
    assert list(inputs.read(str(tmp_path / "q.txt"))) == [Question("One?"), Question("Two?")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"question": "a?"}\n{oops\n', "line 2: not JSON"),
        (b'{"question": "a?"}\n[1]\n', "line 2: not a JSON object"),
        (b'{"question": "a?"}\n{"text": "b?"}\n', "line 2: no text in 'question'"),
        (b'{"question": "a?"}\n{"question": " "}\n', "line 2: no text in 'question'"),
        (b'{"question": "a?"}\n{"question": "caf\xe9"}\n', "line 2: not UTF-8 .byte 1"),
        (b'{"question": "a?"}\n{"question": "' + b"x" * 70_000 + b'"}\n', "line 2: the question has 70,000 characters"),
        (b'{"question": "a?"}\n{"question": "' + b"x" * 10_000_000 + b'"}\n', "line 2: longer than"),
        (b'{"question": "a?"}\n{"question": "b?", "context": 7}\n', "line 2: 'context' is no text"),
        (b'{"question": "a?"}\n' + b"[" * 100_000 + b"\n", "line 2: (not JSON|nested)"),
    ],
)
def test_a_bad_line_is_named_and_passed_over_if_wished(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(content + b'{"question": "last?"}\n')
    with pytest.raises(InputError, match=complaint):
        list(inputs.read(str(path)))
    told: list[InputError] = []
    assert [q.text for q in inputs.read(str(path), bad=told.append)] == ["a?", "last?"]
    assert len(told) == 1


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl.gz").write_bytes(gzip.compress(b'{"question": "a?"}\n' * 50_000)[:-200])
    (tmp_path / "q.parquet").write_bytes(b"PAR1 not")
    (tmp_path / "q.csv").write_text('question\n"never closed\n', encoding="utf-8")
    for name in ("q.jsonl.gz", "q.parquet", "q.csv", "missing.jsonl"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            list(inputs.read(str(tmp_path / name)))
    with pytest.raises(UsageError, match="cannot tell the format"):
        list(inputs.read(str(tmp_path / "q.xml")))
    with pytest.raises(UsageError, match="write one of question"):
        inputs.column_map(["prompt"])


@given(st.binary(max_size=400))
def test_any_bytes_are_questions_or_bad_lines_and_never_a_crash(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name in ("q.jsonl", "q.txt", "q.csv", "q.jsonl.gz", "q.parquet"):
            Path(folder, name).write_bytes(data)
            try:
                for question in inputs.read(f"{folder}/{name}", bad=lambda _: None):
                    assert question.text.strip()
            except InputError:
                pass
