"""The reader of replies: it never raises, loses no text, and calls nothing an answer that is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.errors import SolverCut, SolverEmpty, SolverError
from dnc_edge.remote.events import Events
from dnc_edge.remote.refusals import refusal, words
from dnc_edge.remote.reply import Reading, Reply
from dnc_edge.remote.thinking import CLOSING, OPENING, Visible, without_thinking
from tests.quirks import DONE, TEXT, chunk, encoded, reply

FIELDS = st.sampled_from(
    ["choices", "delta", "message", "content", "finish_reason", "usage", "error", "index", "type", "text", "thinking",
     "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cached_tokens", "refusal", "code",
     "tool_calls", "reasoning_content", "status", "detail", "metadata", "loc", "object", "x_groq"]
)  # fmt: skip
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["stop", "text", "thinking"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12) | FIELDS, inner, max_size=5),
    max_leaves=20,
)
CHOICE = st.fixed_dictionaries(
    {}, optional={"index": ANY_JSON, "delta": ANY_JSON, "message": ANY_JSON, "finish_reason": ANY_JSON}
)
PAYLOAD = st.fixed_dictionaries({}, optional={"choices": st.lists(CHOICE, max_size=3) | ANY_JSON, "usage": ANY_JSON, "error": ANY_JSON})  # fmt: skip


def read(data: bytes, sizes: list[int] | None = None) -> tuple[str, Reply]:
    """Read a body in pieces of some sizes; return what was shown, and the reply."""
    events, reading, shown = Events(), Reading("m", sent="question", limit=100), ""
    start = 0
    for size in [*(sizes or []), len(data)]:
        piece, start = data[start : start + size], start + size
        for value in events.feed(piece):
            shown += reading.feed(value)
    for value in events.feed(b"", final=True):
        shown += reading.feed(value)
    shown += reading.rest()
    return shown, reading.reply(done=events.done, broken=events.broken, instead=events.other)


def body(*events: Any) -> bytes:
    return b"".join(map(encoded, events))


@given(st.lists(PAYLOAD | ANY_JSON, max_size=6), st.booleans())
def test_any_json_in_any_field_becomes_a_reply(payloads: list[Any], done: bool) -> None:
    shown, result = read(body(*payloads, *([DONE] if done else [])))
    for text in (shown, result.text, result.finish_reason):
        text.encode("utf-8")
    usage = result.usage
    assert usage.input_tokens > 0 and usage.output_tokens >= 0
    assert 0 <= usage.cached_tokens <= usage.input_tokens and 0 <= usage.reasoning_tokens <= usage.output_tokens
    assert (result.error is None) <= bool(result.text.strip() and result.complete)
    if result.error:
        assert isinstance(result.error, SolverError) and "\n" not in result.error.message


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=8))
def test_any_bytes_become_a_reply(data: bytes, sizes: list[int]) -> None:
    assert read(data, sizes)[1].error is not None


@given(st.lists(st.integers(1, 60), max_size=30), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_how_a_stream_is_cut_into_packets_changes_nothing(sizes: list[int], ending: bytes) -> None:
    data = body(*reply("1. 60 € 🧁\nThe answer is: 120")).replace(b"\n", ending)
    shown, result = read(data, sizes)
    assert shown == result.text == "1. 60 € 🧁\nThe answer is: 120" and result.error is None


@given(st.text(min_size=1), st.data())
def test_no_text_is_lost_or_made_up(text: str, data: st.DataObject) -> None:
    """Whatever a model writes, without marks of thinking in it, is the answer, however it is cut into events."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    shown, result = read(body(*map(chunk, pieces), chunk(None, "stop"), DONE))
    if any(mark in text.lower() for mark in (*OPENING, *CLOSING)):
        return
    assert shown == result.text == text
    assert isinstance(result.error, SolverEmpty if not text.strip() else type(None))


@given(st.text(alphabet="abc <>/\n", max_size=40), st.text(alphabet="abc \n", max_size=20), st.data())
def test_thinking_is_never_shown_nor_kept(thought: str, answer: str, data: st.DataObject) -> None:
    text = f"<think>{thought}</think>{answer}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    visible = Visible()
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    shown = "".join(map(visible.feed, pieces)) + visible.rest()
    assert without_thinking(text) == (answer.lstrip(), True)
    assert shown == answer.lstrip()


def test_text_before_thinking_that_does_not_end_is_no_answer() -> None:
    assert without_thinking("Sure.\n<think>It is 7") == ("Sure.\n", False)
    _, result = read(body(*reply("<think>It is 7")))
    assert isinstance(result.error, SolverCut) and result.complete and result.text == ""


def test_a_bracket_is_no_thinking() -> None:
    for text in ("<thing> costs 5", "a < b", "<", "[THIRD] 3"):
        shown, result = read(body(*reply(text)))
        assert shown == result.text == text


def test_a_broken_event_in_the_middle_is_no_whole_reply() -> None:
    events = reply()
    _, result = read(body(*events[:2], b'data: {"choices": [{"delta": {"content": "60 \n\n', *events[2:]))
    assert result.error is not None and result.error.code == "solver_broken_reply" and not result.complete


@given(ANY_JSON, st.none() | st.integers(300, 599))
def test_any_error_of_any_shape_is_one_line_and_one_class(error: Any, status: int | None) -> None:
    made = refusal("m", error, status=status)
    assert "\n" not in made.message and len(made.message) < 450
    made.message.encode("utf-8")
    assert made.retry_after is None or 0 <= made.retry_after < float("inf")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"message": "a\n  b"}, "a b"),
        ({"detail": [{"loc": ["body", "n"], "msg": "too large"}]}, "body.n: too large"),
        ([{"error": {"message": "x"}}], "x"),
        ({"error": {"message": "failed", "metadata": {"raw": "why"}}}, "failed: why"),
        ("<html><h1>502</h1> Bad</html>", "502 Bad"),
        ({"code": "expired"}, "expired"),
        (7, ""),
        (None, ""),
    ],
)
def test_the_providers_words_are_found(error: Any, said: str) -> None:
    assert words(error) == said


def test_a_document_and_a_stream_are_read_alike() -> None:
    document = {"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}
    for data in (json.dumps(document).encode(), json.dumps(document, indent=1).encode(), body(document)):
        assert read(data)[1].text == TEXT
