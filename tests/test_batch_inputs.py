"""Files of questions in every format, whole and broken."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.batch import inputs
from dnc_edge.errors import InputError, UsageError
from dnc_edge.types import Question
from tests.fakes import Reports


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
    reports = Reports()
    assert [q.text for q in inputs.read(str(path), skip_bad=True, progress=reports)] == ["a?", "last?"]
    assert len(reports.errors) == 1


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


def _read(path: Path, **settings: Any) -> tuple[list[str | None], list[str]]:
    """(the ids that were read, what was said of the rows that were not)."""
    reports = Reports()
    ids = [question.id for question in inputs.read(str(path), skip_bad=True, progress=reports, **settings)]
    return ids, [error.message for error in reports.errors]


LONG = b"7" * 5000
LAST = b'{"id": "last", "question": "Why?"}\n'


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (b'{"id": ' + LONG + b', "question": "How many?"}', "'id' is neither text nor a number"),
        (b'{"id": "a", "question": ' + LONG + b"}", "'question' is no text"),
        (b'{"id": "' + LONG + b'", "question": "How many?"}', "the id has 5,000 characters"),
        (b'{"id": "a", "question": 12}', "'question' is no text"),
        (b'{"id": "a", "question": ["How many?"]}', "'question' is no text"),
        (b'{"id": {"n": 1}, "question": "How many?"}', "'id' is neither text nor a number"),
        (b'{"id": "a", "question": "How many \\ud83d?"}', "the question holds what is no text at character 10"),
        (b'{"id": "\\udc80x", "question": "How many?"}', "the id holds what is no text"),
        (b'{"id": "a", "question": "How many?", "context": "\\ud83d"}', "the context holds what is no text"),
        (b'{"id": "a", "context": "caf\xe9", "question": "How many?"}', "not UTF-8 (byte 27)"),
    ],
)
def test_a_row_that_is_no_question_is_passed_over(row: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(row + b"\n" + LAST)
    ids, said = _read(path)
    assert ids == ["last"]
    assert len(said) == 1 and said[0].startswith("q.jsonl, line 1: ") and complaint in said[0]
    with pytest.raises(InputError, match="line 1"):
        list(inputs.read(str(path)))


@pytest.mark.parametrize(
    "row",
    [
        b'{"id": "a", "weight": ' + LONG + b', "question": "How many?"}',
        b'{"id": "a", "note": "caf\xe9 \\ud83d", "question": "How many?"}',
        b'{"id": "a", "x": 1e999, "y": NaN, "question": "How many?"}',
        b'{" ID ": "a", "Question": "How many?"}',
        b'\xef\xbb\xbf{"id": "a", "question": "How many?"}\r',
    ],
)
def test_columns_that_nobody_needs_harm_nobody(row: bytes, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(row + b"\n" + LAST)
    assert _read(path) == (["a", "last"], [])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", b"id,question\n1,How many?\n2,Why?\n"),
        ("q.csv", b"id, Question \n1,How many?\n2,Why?\n"),
        ("q.csv", b"\xef\xbb\xbfID;QUESTION\r\n1;How many?\r\n2;Why?\r\n"),
        ("q.csv", b"sep=;\r\nid;question\r\n1;How many?\r\n2;Why?\r\n"),
        ("q.csv", b"sep=|\nid|question\n1|How many?\n2|Why?\n"),
        ("q.csv", b"id\tquestion\n1\tHow many?\n2\tWhy?\n"),
        ("q.tsv", b"id\tquestion\n1\tHow many?\n2\tWhy?\n"),
        ("q.tsv.gz", gzip.compress(b"id\tquestion\n1\tHow many?\n2\tWhy?\n")),
        ("q.csv", gzip.compress(b"id,question\n1,How many?\n2,Why?\n")),
        ("q.csv", b'id,question,notes\n1,How many?,"' + b"n" * 300_000 + b'"\n2,Why?,\n'),
        ("q.csv", b"id,question,notes\n1,How many?,caf\xe9\n2,Why?,\n"),
        ("q.csv", b'id,question,notes\n\n1,How many?,"two\nlines"\n2,Why?,\n\n'),
        ("q.json", b'[\n  {"id": 1, "question": "How many?"},\n  {"id": 2, "question": "Why?"}\n]\n'),
        ("q.jsonl", b'[{"id": 1, "question": "How many?"}, {"id": 2, "question": "Why?"}]'),
    ],
)
def test_tables_and_lists_as_programs_write_them(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert list(inputs.read(str(tmp_path / name))) == [Question("How many?", id="1"), Question("Why?", id="2")]


@pytest.mark.parametrize(
    ("content", "ids", "complaint"),
    [
        (b"id,question\n1,How many?,x\n2,Why?\n", ["2"], "line 2: more fields than the header has"),
        (b"id,question\n1,caf\xe9?\n2,Why?\n", ["2"], "line 2: not UTF-8 (byte 5)"),
        (b"id,question\n1\n2,Why?\n", ["2"], "line 2: no text in 'question'"),
        (b'id,question\n1,"a" b?\n2,Why?\n', ["2"], "line 2: not CSV"),
        (b'id,question\n1,Why?\n2,"never closed\n', ["1"], "line 3: not CSV"),
        (b'id,question\n1,"two\nlines",x\n2,Why?\n', ["2"], "line 2: more fields"),
    ],
)
def test_a_bad_row_of_a_table_is_named_by_its_line(
    content: bytes, ids: list[str], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "q.csv").write_bytes(content)
    found, said = _read(tmp_path / "q.csv")
    assert found == ids and len(said) == 1 and complaint in said[0]


def test_a_table_without_questions_or_with_two_columns_of_them_cannot_be_passed_over(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_bytes(b"id,prompt\n1,How many?\n")
    (tmp_path / "two.csv").write_bytes(b"Question,question ,id\nHow many?,Why?,1\n")
    with pytest.raises(InputError, match="q.csv: no column 'question'") as raised:
        _read(tmp_path / "q.csv")
    assert "id, prompt" in (raised.value.hint or "")
    with pytest.raises(InputError, match="2 columns are called 'question'"):
        _read(tmp_path / "two.csv")
    assert _read(tmp_path / "two.csv", columns=inputs.column_map(["question=Question"])) == (["1"], [])


def test_only_the_needed_columns_of_parquet_are_read(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    far = pyarrow.array([2**40, 0], pyarrow.int64())
    table = pyarrow.table(
        {
            "ID": pyarrow.array([1, 2]),
            "question": ["How many?", "Why?"],
            "day": pyarrow.array([2**30, 0], pyarrow.int32()).cast(pyarrow.date32()),
            "at": far.cast(pyarrow.timestamp("s")),
            "time": pyarrow.array([123_456_789, 0], pyarrow.int64()).cast(pyarrow.time64("ns")),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "q.parquet")
    assert _read(tmp_path / "q.parquet") == (["1", "2"], [])
    # An id may be any of them.
    for column in ("day", "at", "time"):
        ids, said = _read(tmp_path / "q.parquet", columns=inputs.column_map([f"id={column}"]))
        assert len(set(ids)) == 2 and not said
    with pytest.raises(InputError, match="no column 'prompt'"):
        _read(tmp_path / "q.parquet", columns=inputs.column_map(["question=prompt"]))
    with pytest.raises(UsageError, match="compressed by itself"):
        _read(tmp_path / "q.parquet.gz")


def test_a_list_of_json_that_is_broken_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_bytes(b'[\n  {"question": "How many?"},\n')
    with pytest.raises(InputError, match="q.json: not JSON"):
        _read(tmp_path / "q.json")
    (tmp_path / "q.json").write_bytes(b'[{"question": "How many?", "id": 1}, 7]')
    assert _read(tmp_path / "q.json") == (["1"], ["q.json, item 2: not a JSON object"])


@given(st.binary(max_size=400))
def test_any_bytes_are_questions_or_bad_lines_and_never_a_crash(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name in ("q.jsonl", "q.txt", "q.csv", "q.tsv", "q.jsonl.gz", "q.parquet"):
            Path(folder, name).write_bytes(data)
            try:
                for question in inputs.read(f"{folder}/{name}", skip_bad=True):
                    assert question.text.strip()
            except InputError:
                pass
