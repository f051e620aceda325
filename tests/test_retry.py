"""How long servers ask to wait, in every spelling; when a request is sent again."""

from __future__ import annotations

import random
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.errors import SolverQuota, SolverRateLimited, SolverServerError, SolverWait
from dnc_edge.remote.retry import Retry, asked_wait, duration

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0), ("0.5", 0.5), (" 12 ", 12.0), ("1m30s", 90.0), ("1h", 3600.0), ("120ms", 0.12), ("2 minutes", 120.0),
        ("1 hour 5 min", 3900.0), ("6m0s", 360.0), ("34.07s", 34.07), ("1d", 86_400.0), (formatdate(NOW + 5, usegmt=True), 5.0),
        ("2023-11-14T22:13:30Z", 10.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), (str(NOW + 9), 9.0), (str((NOW + 9) * 1000), 9.0),
        ("nan", None), ("inf", None), ("-5", None), ("soon", None), ("", None), ("1x", None), ("9" * 400, None),
    ],
)  # fmt: skip
def test_a_wait_is_read_in_every_spelling(text: str, seconds: float | None) -> None:
    assert duration(text, NOW) == (None if seconds is None else pytest.approx(seconds, abs=1e-3))


@pytest.mark.parametrize(
    ("headers", "error", "words", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "7"}, None, "", 1.5),
        ({"retry-after": "soon"}, None, "", None),
        ({}, {"details": [{"retryDelay": "34s"}]}, "", 34.0),
        ({}, {"metadata": {"retry_after": 3}}, "", 3.0),
        ({}, None, "Rate limit reached. Please try again in 7m12s. Visit us", 432.0),
        ({}, None, "Please retry after 20 seconds.", 20.0),
        ({}, None, "there are 3 requests in 5 queues", None),
    ],
)
def test_a_wait_is_found_wherever_it_stands(
    headers: dict[str, str], error: Any, words: str, seconds: float | None
) -> None:
    assert asked_wait(headers, error, words, now=NOW) == seconds


@given(st.text(max_size=40) | st.from_regex(r"[-+]?\d{1,20}(\.\d{1,3})?\s?(ms|s|m|h|d)?", fullmatch=True))
def test_no_spelling_raises_or_gives_what_cannot_be_slept(text: str) -> None:
    wait = duration(text, NOW)
    assert wait is None or 0 <= wait < float("inf")


def test_a_wait_beyond_patience_ends_the_run_and_says_until_when() -> None:
    error = SolverRateLimited("m is rate limited")
    error.retry_after = 61.0
    longer = Retry().checked(error, "m")
    assert isinstance(longer, SolverWait) and longer.fatal and "until" in longer.message
    assert Retry().pause(1, longer) is None
    assert Retry(patience=100).checked(error, "m") is error and Retry(patience=100).pause(1, error) == 61.0


def test_a_no_is_asked_once_and_trouble_again() -> None:
    policy = Retry(jitter=0, rng=random.Random(0))
    assert policy.pause(1, SolverQuota("no")) is None
    assert [policy.pause(n, SolverServerError("x")) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, None]
