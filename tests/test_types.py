"""Records keep one shape, and their keys tell apart what must be answered anew."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.errors import InputError, SolverError
from dnc_edge.types import RECORD_FIELDS, Record, RecordError, Usage, record_key

USAGES = st.builds(
    Usage,
    requests=st.integers(0, 9),
    input_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
    estimated=st.booleans(),
    seconds=st.floats(0, 1e6),
    cost_usd=st.none() | st.floats(0, 1e3),
)
STRINGS = st.lists(st.text(), max_size=4).map(tuple)
RECORDS = st.builds(
    Record,
    id=st.text(min_size=1),
    question=st.text(min_size=1).filter(str.strip),
    key=st.just("sha256:0"),
    strategy=st.sampled_from(["single", "static", "dynamic"]),
    prompt_version=st.just("1"),
    context=st.none() | st.text(),
    subquestions=st.none() | STRINGS,
    subanswers=st.none() | STRINGS,
    answer=st.none() | st.text(),
    usage=st.dictionaries(st.sampled_from(["decompose", "solve"]), USAGES),
    cost_usd=st.none() | st.floats(0, 10),
    error=st.none() | st.builds(RecordError, st.text(), st.none() | st.text(), st.text(), st.booleans()),
)


@given(RECORDS)
def test_a_record_survives_its_json(record: Record) -> None:
    line = record.to_json()
    assert "\n" not in line
    assert Record.from_json(line) == record


def test_a_record_has_the_documented_fields() -> None:
    record = Record(id="q-17", question="How many?", key="sha256:0", strategy="static", prompt_version="1")
    values = json.loads(record.with_error(SolverError("late", code="solver_timeout", retryable=True)).to_json())
    assert tuple(values) == RECORD_FIELDS
    assert {field.name for field in fields(Record)} == set(RECORD_FIELDS)
    assert values["error"] == {"code": "solver_timeout", "stage": None, "message": "late", "retryable": True}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "not a dnc-edge record"),
        ('{"schema": 2, "question": "x"}', "not a dnc-edge record"),
        ('{"schema": 1, "id": "a", "question": "x"}', "missing"),
        (
            '{"schema": 1, "id": "a", "question": " ", "key": "k", "strategy": "s", "prompt_version": "1"}',
            "no question",
        ),
        (
            '{"schema": 1, "id": "a", "question": "x", "key": "k", "strategy": "s", "prompt_version": "1", '
            '"subquestions": "How?"}',
            "not a list of strings",
        ),
    ],
)
def test_what_is_no_record_is_said_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        Record.from_json(text, where="plan.json, line 3")
    assert caught.value.message.startswith("plan.json, line 3: ")


def test_unknown_cost_stays_unknown_in_sums() -> None:
    assert (Usage(requests=1, cost_usd=0.5) + Usage(requests=1, cost_usd=0.25)).cost_usd == 0.75
    assert (Usage(requests=1, cost_usd=0.5) + Usage(requests=1, cost_usd=None)).cost_usd is None


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=5))
def test_a_key_depends_on_content_alone_not_on_order(settings: dict[str, object]) -> None:
    backwards = dict(reversed(settings.items()))
    assert record_key(settings) == record_key(backwards)
    assert record_key(settings) != record_key({**settings, "another": 1})
