"""The parsers and the readers of rows on texts made of what breaks them: see test_fuzz.py too."""

from __future__ import annotations

import contextlib
import gzip
import math
import tempfile
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dnc_edge import parse
from dnc_edge.batch import inputs
from dnc_edge.errors import InputError
from tests.fakes import Reports

_PIECES = (
    "1. |2) |(a) |B. |ii. |- |* |• |Step 1: |Q2: |**|__|`|```json\\n|#### |### Sub-question 1\\n|> |<br>|<think>|</think>|<b>"
    "|How many? |Why? |多少？|كم؟|No decomposition|None|The answer is: |Final answer|Answer: |\\\\boxed{|\\\\frac{1}{2}|\\\\text{|}|{|$|\\\\("
    '|[|]|(|)|"|\'|"question": |"answer": |, |: |; |\\n|\\n\\n|    |\\t|\\r\\n|\\u2028|| --- |:-:|1,234.5|1.234,5|½|10³|−5|12:30|50%|= |'
    "x 10^|/0|e999|3 1/2|twenty-five|million|999999999999999999999|\\x00|\\ud800|Q: |A: 5|, since |D.J. |I. M. Pei"
).split("|")
TEXTS = st.lists(
    st.sampled_from([piece.encode().decode("unicode_escape") if "\\" in piece else piece for piece in _PIECES])
    | st.text(max_size=8),
    max_size=40,
).map("".join)

_BYTES = [
    b'{"id": "a", "question": "How many?"}', b"id,question\n", b"a,How many?\n", b'{"question": ', b'"', b"'", b"\n", b"\r\n",
    b",", b";", b"\t", b"sep=;\n", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"7" * 5000, b"[", b"]", b"{", b"}",
    b"null", b"1e999", b"NaN", b"\x00", "\u2028".encode(), b"question", b" ID ", b'"context": ', b"\x1f\x8b", b"PAR1",
]  # fmt: skip
ROWS = st.lists(st.sampled_from(_BYTES) | st.binary(max_size=6), max_size=30).map(b"".join)


@given(TEXTS)
def test_any_text_has_a_plan_or_none(text: str) -> None:
    plan = parse.plan(text, cap=6)
    assert len(plan.subquestions) <= 6 and plan.repaired >= 0
    assert plan.found or not plan.subquestions
    assert len({parse.fold(question) for question in plan.subquestions}) == len(plan.subquestions)
    assert all(question == " ".join(question.split()) != "" for question in plan.subquestions)
    for line in text.splitlines():
        parse.without_marker(line)


@given(TEXTS)
def test_any_text_has_an_answer_or_none(text: str) -> None:
    answer = parse.final_answer(text)
    assert answer is None or answer == answer.strip()
    value = parse.number(text)
    assert value is None or math.isfinite(value)
    parse.subanswers(text)
    parse.own_part(text)


@given(ROWS, st.booleans())
def test_any_bytes_are_rows_or_bad_rows(data: bytes, packed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("q.jsonl", "q.csv", "q.tsv", "q.txt"):
            path = Path(folder, name)
            path.write_bytes(gzip.compress(data) if packed else data)
            reports = Reports()
            with contextlib.suppress(InputError):
                for question in inputs.read(str(path), skip_bad=True, progress=reports):
                    assert question.text.strip()
                    f"{question.text}{question.context}{question.id}".encode()
            assert all(name in error.message for error in reports.errors)


def test_no_text_takes_long() -> None:
    """Patterns that go back and forth would take hours over these."""
    started = time.process_time()
    for piece in (
        "1,",
        "1 ",
        "(1+",
        "\\boxed{",
        "\\frac{",
        "$1",
        "**a",
        "a. ",
        "| a ",
        "1. a? ",
        "<think>",
        "[{",
        "x = ",
        "'a', ",
    ):
        text = piece * 20_000
        parse.plan(text)
        parse.final_answer(text)
        parse.number(text)
        parse.subanswers(text)
    assert time.process_time() - started < 60
