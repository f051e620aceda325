"""The property tests of what strangers send, with other examples for minutes. Run by `make test-long`."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import seed, settings

from tests import test_reply, test_retry, test_texts

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    "test",
    [
        test_reply.test_any_json_in_any_field_becomes_a_reply,
        test_reply.test_any_bytes_become_a_reply,
        test_reply.test_any_error_of_any_shape_is_one_line_and_one_class,
        test_retry.test_no_spelling_raises_or_gives_what_cannot_be_slept,
    ],
)
def test_the_reader_of_replies_for_five_minutes_in_all(test: Callable[[], None]) -> None:
    _run(test, seconds=75)


@pytest.mark.parametrize(
    "test",
    [
        test_texts.test_any_text_has_a_plan_or_none,
        test_texts.test_any_text_has_an_answer_or_none,
        test_texts.test_any_bytes_are_rows_or_bad_rows,
    ],
)
def test_parsers_and_rows_for_five_minutes_each(test: Callable[[], None]) -> None:
    _run(test, seconds=300)


def _run(test: Callable[[], None], *, seconds: float) -> None:
    longer = settings(max_examples=1000)(test)
    began, number = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        number += 1
        seed(number)(longer)()
