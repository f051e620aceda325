"""No segment of a sequence repeats, and nothing that was passed on is taken back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.engines import Request
from dnc_edge.engines.distinct import DistinctSegments
from dnc_edge.students.student import Student

NEWLINE, END = 0, 1
VOCABULARY = 12


def decode(table: np.ndarray, length: int) -> list[int]:
    """Drive a watcher as an engine does, with a model whose next token depends on the last one alone."""
    watch = DistinctSegments(frozenset({NEWLINE}), frozenset({END}))
    tokens, held = [NEWLINE], 0
    passed_on: list[int] = []
    for _ in range(length):
        logits = table[tokens[-1]]
        token = int(logits.argmax())
        if rewind := watch.add(token, float(logits[token]), logits):
            assert rewind.drop <= held, "a token that was passed on is taken back"
            del tokens[len(tokens) - rewind.drop :]
            held -= rewind.drop
            token = rewind.token
        tokens.append(token)
        held += 1
        if token == END or not watch.holding:
            passed_on = list(tokens)
            held = 0
        if token == END:
            break
    return passed_on


@given(st.integers(0, 10_000), st.floats(0.5, 8))
def test_segments_never_repeat_whatever_the_model_wants(seed: int, sharpness: float) -> None:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(VOCABULARY, VOCABULARY)).astype(np.float32) * sharpness
    table = table - np.log(np.exp(table).sum(axis=1, keepdims=True))
    tokens = decode(table, 200)
    text = "".join("|" if token in (NEWLINE, END) else chr(97 + token) for token in tokens)
    whole = [segment for segment in text.rstrip("|").split("|")[:-1] if segment]
    assert len(set(whole)) == len(whole)


def test_a_model_that_loops_goes_another_way_at_its_weakest_point() -> None:
    # Wants "a b" for ever; after "a" the next best is "c", with more probability than any other first token.
    a, b, c = 2, 3, 4
    table = np.full((VOCABULARY, VOCABULARY), -20.0, np.float32)
    table[NEWLINE, a], table[NEWLINE, b] = -0.1, -5.0
    table[a, b], table[a, c] = -0.5, -1.0
    table[b, NEWLINE] = table[c, END] = -0.01
    assert decode(table, 50) == [NEWLINE, a, b, NEWLINE, a, c, END]


def test_a_model_that_can_only_loop_ends() -> None:
    table = np.full((VOCABULARY, VOCABULARY), -20.0, np.float32)
    table[:, 2] = -1.0
    table[2, NEWLINE] = -0.1
    table[2, 2] = -30.0
    assert decode(table, 500)[-1] == END


def test_a_real_student_made_to_loop_does_not(student: Student) -> None:
    """Greedy, with and without, on a prompt that already repeats itself."""
    tokens = student.prompt("decompose", "Tom has 3 eggs, 4 eggs and 5 eggs. How many eggs does Tom have?")
    line = student.tokenizer.encode("How many eggs does Tom have?\n")
    newline = frozenset(student.tokenizer.encode("\n"))
    end = frozenset({student.tokenizer.control("<|end|>")})

    def lines(distinct: frozenset[int]) -> list[str]:
        steps = student.engine.run([Request("r", tokens + line * 3, 120, end, distinct=distinct)])
        ids = [step.token for step in steps if step.token is not None and step.finish != "stop"]
        return b"".join(map(student.tokenizer.bytes_of, ids)).decode("utf-8", "replace").split("\n")

    assert len(set(lines(newline))) == len(lines(newline))
