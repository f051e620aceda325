"""A remote model over real HTTP: what it sends, what goes wrong, what is tried again, what it costs."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from dnc_edge.errors import SolverError
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.reply import Reply
from dnc_edge.remote.retry import Retry
from dnc_edge.remote.transport import Deadlines
from dnc_edge.streams import mapped, result_of
from dnc_edge.types import Usage
from tests.servers import Misbehaving

MESSAGES = [{"role": "system", "content": "Solve."}, {"role": "user", "content": "How many?"}]


class Clock:
    """Sleeps in no time and remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def endpoint(server: Misbehaving, clock: Clock | None = None, **settings: Any) -> Endpoint:
    retry = Retry(sleep=(clock or Clock()).sleep, rng=random.Random(0))
    settings.setdefault("deadlines", Deadlines(connect=2, read=0.5, total=8))
    return Endpoint("m", server.address, retry=retry, **settings)


def drained(remote: Endpoint) -> tuple[list[str], Reply]:
    pieces: list[str] = []
    reply = result_of(mapped(remote.stream(MESSAGES), pieces.append))
    return pieces, reply


def test_text_streams_and_the_provider_counts_the_tokens() -> None:
    with Misbehaving("usage") as server:
        pieces, reply = drained(endpoint(server))
    assert len(pieces) > 3 and "".join(pieces) == reply.text
    usage = reply.usage
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens) == (50, 30, 20, 8)
    assert (usage.estimated, usage.requests) == (False, 1)
    assert 0 < (usage.first_token_seconds or 0) <= usage.seconds


def test_without_the_providers_counts_they_are_estimated_and_marked() -> None:
    with Misbehaving("good") as server:
        _, reply = drained(endpoint(server))
    assert reply.usage.estimated
    assert reply.usage.input_tokens == -(-len("Solve.How many?") // 4)
    assert reply.usage.output_tokens > 0


def test_options_are_merged_into_the_request_and_none_leaves_a_field_out() -> None:
    options = {"max_completion_tokens": 50, "reasoning_effort": "low", "temperature": None}
    with Misbehaving("good") as server:
        drained(endpoint(server, options=options))
        (body,) = server.requests
    assert body["max_completion_tokens"] == 50 and body["reasoning_effort"] == "low"
    assert "max_tokens" not in body and "temperature" not in body
    assert body["stream"] is True and body["messages"] == MESSAGES


@pytest.mark.parametrize(
    ("behaviour", "code", "attempts"),
    [
        (401, "solver_auth", 1),
        (404, "solver_not_found", 1),
        (400, "solver_rejected", 1),
        (429, "solver_rate_limited", 4),
        (500, "solver_server", 4),
        ("hang", "solver_timeout", 4),
        ("html", "solver_bad_reply", 1),
        ("json", "solver_bad_reply", 1),
        ("garbage", "solver_broken_reply", 4),
        ("empty", "solver_empty", 1),
        ("refusal", "solver_refused", 1),
        ("length", "solver_cut", 1),
        ("content_filter", "solver_filtered", 1),
        ("half", "solver_timeout", 1),
        ("torn", "solver_broken_reply", 1),
    ],
)
def test_every_failure_has_its_code_and_only_what_may_help_is_tried_again(
    behaviour: str | int, code: str, attempts: int
) -> None:
    with Misbehaving(behaviour) as server:
        with pytest.raises(SolverError) as caught:
            drained(endpoint(server))
        assert (caught.value.code, len(server.requests)) == (code, attempts)
    assert "\n" not in caught.value.message


def test_a_failure_before_any_text_is_repeated_until_it_works() -> None:
    clock = Clock()
    with Misbehaving(500, 429, "usage") as server:
        _, reply = drained(endpoint(server, clock))
    assert reply.usage.requests == 3
    assert len(clock.slept) == 2 and 0.3 < clock.slept[0] <= 0.5 < clock.slept[1] <= 1.0


def test_retry_after_is_obeyed_up_to_a_limit() -> None:
    clock = Clock()
    with Misbehaving(429, "good", retry_after="7") as server:
        drained(endpoint(server, clock))
    assert clock.slept == [7.0]
    with Misbehaving(429, retry_after="3600") as server, pytest.raises(SolverError, match="rate limited"):
        drained(endpoint(server, clock))
    assert clock.slept == [7.0]


def test_a_reply_that_takes_too_long_in_all_is_cut() -> None:
    with Misbehaving("trickle") as server, pytest.raises(SolverError, match="no complete reply within 0.5 s"):
        drained(endpoint(server, deadlines=Deadlines(read=10, total=0.5)))


def test_a_refused_connection_is_one_clear_line() -> None:
    remote = Endpoint("m", "http://127.0.0.1:9/v1", retry=Retry(attempts=1))
    with pytest.raises(SolverError, match="cannot reach") as caught:
        drained(remote)
    assert caught.value.code == "solver_connection"


def test_no_key_is_asked_for_until_a_request_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Endpoint("gpt-4o-mini")
    assert remote.identity["model"] == "gpt-4o-mini"
    with pytest.raises(SolverError, match="OPENAI_API_KEY is not set"):
        next(remote.stream(MESSAGES))


def test_the_openai_key_never_goes_to_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with Misbehaving("good") as server:
        drained(endpoint(server))
        assert "sk-secret" not in str(server.headers)
        monkeypatch.setenv("DNC_EDGE_API_KEY", "for-this-server")
        drained(endpoint(server))
        assert server.headers[-1]["authorization"] == "Bearer for-this-server"


@pytest.mark.parametrize(
    ("attempt", "retryable", "retry_after", "pause"),
    [(1, True, None, 0.5), (2, True, None, 1.0), (3, True, None, 2.0), (4, True, None, None), (1, False, None, None),
     (1, True, 3.0, 3.0), (1, True, 61.0, None), (1, True, 0.0, 0.0)],
)  # fmt: skip
def test_the_policy_doubles_its_pauses_and_gives_up(
    attempt: int, retryable: bool, retry_after: float | None, pause: float | None
) -> None:
    error = SolverError("x", retryable=retryable)
    error.retry_after = retry_after
    assert Retry(jitter=0).pause(attempt, error) == pause


def test_a_proxy_in_openai_base_url_is_another_address_with_no_known_price(monkeypatch: pytest.MonkeyPatch) -> None:
    remote, usage = Endpoint("gpt-4o-mini"), Usage(requests=1, input_tokens=1000, output_tokens=100)
    direct = remote.identity
    assert remote.cost(usage, Prices()) == pytest.approx((1000 * 0.15 + 100 * 0.6) / 1e6)
    assert remote.cost(replace(usage, cached_tokens=800), Prices()) < remote.cost(usage, Prices())  # type: ignore[operator]
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    remote = Endpoint("gpt-4o-mini")
    assert remote.identity != direct
    assert remote.cost(usage, Prices()) is None
    assert remote.cost(usage, Prices(remote=(1.0, 10.0))) == pytest.approx(0.002)
    assert Endpoint("no-such-model-of-any-maker").cost(usage, Prices()) is None
