"""Token counts that a provider claims are taken only if they can be true."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.remote.usage import counted, least_tokens
from dnc_edge.types import Usage

SENT = "Solve step by step. How many muffins are there in 5 trays of 12?"
RECEIVED = "1. Each tray holds 12 muffins.\n2. 5 x 12 = 60.\nThe answer is: 60"
GOOD = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def read(claim: Any, received: str = RECEIVED) -> Usage:
    return counted(claim, sent=SENT, received=received)


def test_counts_that_can_be_true_are_taken() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 8}}
    usage = read(GOOD | details)
    assert usage == Usage(
        requests=1, input_tokens=100, cached_tokens=64, output_tokens=20, reasoning_tokens=8, estimated=False
    )
    assert read(SimpleNamespace(**GOOD)) == read(GOOD) == Usage(requests=1, input_tokens=100, output_tokens=20)


@pytest.mark.parametrize(
    "claim",
    [
        GOOD | {"prompt_tokens_details": [], "completion_tokens_details": "none"},
        GOOD | {"prompt_tokens_details": None, "completion_tokens_details": {}},
        {"prompt_tokens": "100", "completion_tokens": "20"},
        {"prompt_tokens": 100.0, "completion_tokens": 20.0, "total_tokens": 120.0},
        GOOD | {"total_tokens": 7},
    ],
)
def test_odd_spellings_of_good_counts_are_read(claim: Any) -> None:
    assert read(claim) == Usage(requests=1, input_tokens=100, output_tokens=20)


@pytest.mark.parametrize(
    "claim",
    [
        None, {}, [], [GOOD], "120", 120,
        {"total_tokens": 120}, {"completion_tokens": 20}, {"prompt_tokens": 100},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": -1, "completion_tokens": -1, "total_tokens": -2},
        {"prompt_tokens": 100, "completion_tokens": 0},
        {"prompt_tokens": 100, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": 20},
        {"prompt_tokens": True, "completion_tokens": True},
        {"prompt_tokens": 100.5, "completion_tokens": 20},
        {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        {"prompt_tokens": 10**30, "completion_tokens": 20},
        GOOD | {"prompt_tokens_details": {"cached_tokens": 5000}},
        GOOD | {"completion_tokens_details": {"reasoning_tokens": 5000}},
    ],
)  # fmt: skip
def test_counts_that_cannot_be_true_are_an_estimate_and_marked(claim: Any) -> None:
    usage = read(claim)
    assert (
        usage.estimated and usage.input_tokens == -(-len(SENT) // 4) and usage.output_tokens == -(-len(RECEIVED) // 4)
    )


def test_reasoning_that_is_billed_beside_the_completion_counts() -> None:
    """Gemini and Grok leave it out of completion_tokens; the total holds it."""
    usage = read(GOOD | {"total_tokens": 420, "completion_tokens_details": {"reasoning_tokens": 300}})
    assert (usage.output_tokens, usage.reasoning_tokens, usage.estimated) == (320, 300, False)


def test_reasoning_that_was_sent_counts_as_received() -> None:
    assert read(GOOD, received="thinking " * 50).estimated
    assert not read(GOOD, received="thinking " * 20).estimated


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "prompt_tokens",
                        "completion_tokens",
                        "total_tokens",
                        "prompt_tokens_details",
                        "cached_tokens",
                        "reasoning_tokens",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_any_claim_gives_counts_that_are_not_below_what_was_seen(claim: Any) -> None:
    usage = read(claim)
    assert usage.input_tokens >= least_tokens(SENT) and usage.output_tokens >= least_tokens(RECEIVED)
    assert 0 <= usage.cached_tokens <= usage.input_tokens and 0 <= usage.reasoning_tokens <= usage.output_tokens
    json.dumps(vars(usage))


@pytest.mark.parametrize("text", ["", "How many?", "120", "世界" * 50, "a" * 400, " " * 100])
def test_the_least_of_tokens_is_less_than_any_tokenizer_counts(text: str) -> None:
    assert least_tokens(text) <= max(len(text) // 4, len(text.split()))
