"""Money: what was spent, lost and reserved never exceeds the cap, over any number of runs and whatever fails."""

from __future__ import annotations

import json
import math
import random
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnc_edge.batch.run import run
from dnc_edge.errors import (
    BudgetReached,
    DncError,
    InputError,
    PurseError,
    SolverAuth,
    SolverBrokenReply,
    SolverEmpty,
    SolverError,
    SolverRateLimited,
    SolverServerError,
    SolverTimeout,
    UsageError,
)
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.gate import MOST_FAILURES, Gate, bound
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.purse import Purse
from dnc_edge.remote.retry import Retry
from dnc_edge.types import Usage
from tests.servers import Counting

BODY: dict[str, Any] = {"model": "m", "max_tokens": 1000, "messages": [{"role": "user", "content": "x" * 84}]}
PRICED = Prices(remote=(1.0, 1.0))
# Of BODY: 84 bytes, 16 tokens of a message, 1,000 tokens of the reply.
WORST = 0.0011
ENDPOINT = Endpoint("m", base_url="http://nowhere/v1")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def failure(kind: type[SolverError], *, retry_after: float | None = None) -> SolverError:
    error = kind("told to fail")
    error.retry_after = retry_after
    return error


def replied(gate: Gate, tokens: int, *, body: dict[str, Any] = BODY, estimated: bool = False) -> None:
    """One attempt that ends with a reply of so many tokens."""
    with gate.attempt(ENDPOINT, body) as attempt:
        attempt.usage = Usage(requests=1, input_tokens=1, output_tokens=tokens - 1, estimated=estimated)


def failed(gate: Gate, error: BaseException) -> None:
    """One attempt that ends with an error."""
    with pytest.raises(type(error)), gate.attempt(ENDPOINT, BODY):
        raise error


# The bound of a request


def test_the_bound_counts_bytes_and_the_maximum_of_every_choice() -> None:
    messages = [{"role": "user", "content": "é"}, {"role": "system", "content": "ab"}]
    most = bound({"model": "m", "max_tokens": 50, "n": 2, "messages": messages, "temperature": 0.0, "stream": True})
    assert (most.input_tokens, most.output_tokens) == (2 + 2 + 32, 100)
    with pytest.raises(UsageError, match="has no bound"):
        bound({"messages": messages})


@pytest.mark.parametrize(
    "field",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"description": "x" * 5000}}}},
        {"tools": [{"type": "function", "function": {"name": "f", "description": "x" * 5000}}]},
        {"a_field_of_some_server": "x" * 5000},
    ],
)
def test_the_bound_counts_everything_that_a_model_sees(field: dict[str, Any]) -> None:
    assert bound(BODY | field).input_tokens >= bound(BODY).input_tokens + 5000


# The cap


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["reply", "unbelievable", "unusable", "hang", "rate", "cut", "closed"]), st.integers(0, 100)
        ),
        max_size=60,
    )
)
def test_money_spent_and_reserved_never_exceeds_the_cap(events: list[tuple[str, int]]) -> None:
    gate = Gate(PRICED, max_cost=10 * WORST, clock=Clock(), sleep=lambda _: None)
    charged = 0.0
    for event, tokens in events:
        try:
            with gate.attempt(ENDPOINT, BODY) as attempt:
                usage = Usage(requests=1, input_tokens=min(100, tokens), output_tokens=tokens * 10)
                known = (usage.input_tokens + usage.output_tokens) / 1e6
                if event == "reply":
                    charged += known
                    attempt.usage = usage
                elif event == "unusable":
                    charged += known
                    error = failure(SolverEmpty)
                    error.complete, error.usage = True, usage
                    raise error
                elif event == "rate":
                    raise failure(SolverRateLimited, retry_after=1e-9)
                else:
                    charged += WORST  # the most that a reply of unknown cost can have cost
                    if event == "unbelievable":
                        attempt.usage = Usage(requests=1, estimated=True)
                    elif event == "closed":
                        raise GeneratorExit
                    else:
                        raise failure(SolverTimeout if event == "hang" else SolverBrokenReply)
        except BudgetReached:
            assert gate.spent + gate.lost + WORST > 10 * WORST
            break
        except (SolverError, GeneratorExit):
            gate._not_before = 0.0
        assert charged <= gate.spent + gate.lost + 1e-12 <= 10 * WORST + 2e-12
        assert abs(gate.in_flight) < 1e-12


def test_a_reply_that_costs_more_than_its_bound_raises_the_next_reservations() -> None:
    gate = Gate(PRICED, max_cost=10 * WORST)
    replied(gate, 4400)
    assert gate.spent == pytest.approx(4 * WORST)
    replied(gate, 4400)
    with pytest.raises(BudgetReached):
        replied(gate, 4400)
    assert gate.spent <= 10 * WORST


def test_a_cap_holds_against_any_server(tmp_path: Path) -> None:
    """Twenty runs against a server that fails by chance; it charges what it sends, cut or not."""
    for seed in range(20):
        rng = random.Random(seed)
        odds: dict[str | int, float] = {429: 0.2, 500: 0.1, "torn": 0.15, "length": 0.05}
        with Counting(odds=odds, seed=seed) as server:
            cap = rng.uniform(0.002, 0.02)
            gate = Gate(PRICED, max_cost=cap)
            retry = Retry(attempts=4, first=0.001, rng=rng)
            endpoint = Endpoint("m", base_url=server.address, max_tokens=500, gate=gate, retry=retry)

            def ask(number: int) -> bool:
                try:
                    for _ in endpoint.stream([{"role": "user", "content": f"{number}"}]):  # noqa: B023
                        pass
                except BudgetReached:
                    raise
                except SolverError:
                    return False
                return True

            with pytest.raises(BudgetReached):
                list(run(iter(range(10_000)), ask, jobs=8))
            assert server.charged * 70 / 1e6 <= cap
            assert gate.spent + gate.lost + gate.in_flight <= cap + 1e-12


@pytest.mark.parametrize("cap", [math.nan, math.inf, -1.0, -math.inf])
def test_a_cap_that_is_no_amount_is_refused(cap: float) -> None:
    with pytest.raises(UsageError, match="is no amount of dollars"):
        Gate(PRICED, max_cost=cap)


@pytest.mark.parametrize("limit", [0, -5])
def test_a_rate_that_lets_nothing_through_is_refused(limit: int) -> None:
    with pytest.raises(UsageError, match="out of range"):
        Gate(rpm=limit)
    with pytest.raises(UsageError, match="out of range"):
        Gate(tpm=limit)


@pytest.mark.parametrize("price", [math.nan, math.inf, -1.0])
def test_a_price_that_is_no_amount_is_refused(price: float) -> None:
    for wrong in ({"remote": (price, 1.0)}, {"remote": (1.0, price)}, {"local": price}):
        with pytest.raises(UsageError, match="is no price"):
            Prices(**wrong)


def test_a_model_without_a_price_is_refused_under_a_cap() -> None:
    gate = Gate(Prices(), max_cost=1.0)
    with pytest.raises(UsageError, match="no price is known"):
        replied(gate, 10)


# Waiting


def test_requests_and_tokens_a_minute_are_kept() -> None:
    clock = Clock()
    gate = Gate(rpm=10, clock=clock, sleep=clock.sleep)
    sent = []
    for _ in range(35):
        replied(gate, 10)
        sent.append(clock.now)
    assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[10:], strict=False))
    assert 180 <= clock.now <= 200
    gate = Gate(tpm=2500, clock=clock, sleep=clock.sleep)
    began = clock.now
    for _ in range(5):
        replied(gate, 10)
    assert 120 <= clock.now - began <= 121


def test_one_rate_limit_slows_the_whole_queue() -> None:
    clock = Clock()
    gate = Gate(clock=clock, sleep=clock.sleep)
    failed(gate, failure(SolverRateLimited, retry_after=7.0))
    replied(gate, 10)
    assert clock.now >= 7.0


def in_threads(gate: Gate, count: int) -> list[DncError]:
    """So many requests at once; the errors they end with."""
    errors: list[DncError] = []

    def ask() -> None:
        try:
            replied(gate, 10)
        except DncError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive(), "a request waits for ever"
    return errors


def test_a_settlement_that_cannot_be_written_wakes_all_that_wait_and_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(PRICED, max_cost=1.5 * WORST, purse=tmp_path / "spent")
    with gate.attempt(ENDPOINT, BODY) as attempt:
        waiting = threading.Thread(target=lambda: errors.extend(in_threads(gate, 4)))
        errors: list[DncError] = []
        waiting.start()
        # The disk is full from here on.
        monkeypatch.setattr("os.write", lambda *_: 0)
        attempt.usage = Usage(requests=1, input_tokens=10, output_tokens=10)
    waiting.join(timeout=30)
    assert [type(error) for error in errors] == [PurseError] * 4
    assert "cannot write" in errors[0].message
    monkeypatch.undo()
    gate._purse.close()
    # On disk the promise stands.
    assert Gate(PRICED, purse=tmp_path / "spent").lost == pytest.approx(WORST)


def test_a_full_disk_is_one_error_of_the_run_and_nothing_is_sent(tmp_path: Path) -> None:
    gate = Gate(PRICED, max_cost=1.0, purse=tmp_path / "no" / "spent")
    with pytest.raises(PurseError, match="cannot write"):
        replied(gate, 10)
    assert gate.in_flight == 0


# The state of the server


def test_a_server_that_is_down_ends_the_run() -> None:
    gate = Gate()
    for _ in range(MOST_FAILURES):
        failed(gate, failure(SolverServerError))
    with pytest.raises(SolverError, match="failed 20 times without a reply") as caught:
        replied(gate, 10)
    assert caught.value.code == "solver_down"
    gate = Gate()
    failed(gate, failure(SolverAuth))
    with pytest.raises(SolverError, match="told to fail"):
        replied(gate, 10)


def test_complete_replies_that_are_no_answers_are_no_sign_of_a_server_that_is_down() -> None:
    gate = Gate(PRICED)
    for _ in range(3 * MOST_FAILURES):
        error = failure(SolverEmpty)
        error.complete, error.usage = True, Usage(requests=1, input_tokens=60, output_tokens=40)
        failed(gate, error)
    replied(gate, 100)
    assert gate.spent == pytest.approx((3 * MOST_FAILURES + 1) * 1e-4) and gate.lost == 0


def test_each_thread_gets_an_error_of_its_own_when_the_run_has_ended() -> None:
    gate = Gate()
    first = failure(SolverAuth)
    failed(gate, first)
    first.usage = Usage(requests=3)
    errors = in_threads(gate, 3)
    assert len({id(error) for error in (first, *errors)}) == 4
    assert [(error.code, error.message, error.usage) for error in errors] == [("solver_auth", "told to fail", None)] * 3


# The purse


@given(
    st.lists(
        st.tuples(st.floats(1e-6, 1.0), st.sampled_from(["settled", "uncharged", "open"]), st.booleans()), max_size=30
    )
)
@settings(max_examples=50, deadline=None)
def test_a_purse_keeps_every_promise_over_any_number_of_runs(attempts: list[tuple[float, str, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spent"
        purse = Purse(path)
        spent = lost = 0.0
        for reserved, ending, reopened in attempts:
            attempt = purse.reserve(reserved)
            if ending == "open":
                lost += reserved
            else:
                cost = reserved / 2 if ending == "settled" else 0.0
                purse.settle(attempt, cost)
                spent += cost
            if reopened:
                purse.close()
                purse = Purse(path)
        purse.close()
        assert path.exists() == bool(attempts)
        again = Purse(path)
        assert again.spent == pytest.approx(spent) and again.lost == pytest.approx(lost)
        again.close()


def test_a_run_without_a_cap_counts_under_a_later_one(tmp_path: Path) -> None:
    with Gate(PRICED, purse=tmp_path / "spent") as gate:
        replied(gate, 100)
        replied(gate, 100, estimated=True)
        failed(gate, failure(SolverTimeout))
    with Gate(PRICED, max_cost=1.0, purse=tmp_path / "spent") as gate:
        assert gate.spent == pytest.approx(1e-4) and gate.lost == pytest.approx(2 * WORST)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "q-1"}', '{"attempt": 1, "cost": "?"}', '{"attempt": [], "reserved": 1}', '{"attempt": 1}',
        '{"attempt": 1, "cost": NaN}', '{"attempt": 1, "cost": -5}', '{"attempt": 1, "cost": 1e999}',
        '{"attempt": -1, "cost": 1}', '{"attempt": true, "cost": 1}', '{"attempt": 1, "cost": true}',
    ],
)  # fmt: skip
def test_a_purse_that_holds_something_else_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "spent").write_text(f'{{"attempt": 0, "reserved": 1.0}}\n{line}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 2 does not hold what runs have spent"):
        Purse(tmp_path / "spent")


@pytest.mark.parametrize("line", ["", "garbage", "\0" * 30, '{"attempt": 1, "cost": 0.'])
def test_a_damaged_line_in_the_middle_of_a_purse_ends_the_run(line: str, tmp_path: Path) -> None:
    path = tmp_path / "spent"
    path.write_text(f'{{"attempt": 0, "reserved": 1.0}}\n{line}\n{{"attempt": 2, "reserved": 1.0}}\n', encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(InputError, match="line 2 is unreadable"):
        Gate(PRICED, max_cost=5.0, purse=path)
    assert path.read_bytes() == before


def test_a_purse_of_somebody_else_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "spent").write_text("on lunch: 12.50", encoding="utf-8")
    with pytest.raises(InputError, match="is not a file that dnc-edge has written"):
        Gate(PRICED, max_cost=5.0, purse=tmp_path / "spent")
    assert (tmp_path / "spent").read_text("utf-8") == "on lunch: 12.50"


def test_two_purses_in_one_file_lose_no_promise(tmp_path: Path) -> None:
    lines = [{"attempt": 0, "reserved": 1.0}, {"attempt": 0, "reserved": 2.0}, {"attempt": 0, "cost": 0.5}]
    (tmp_path / "spent").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    purse = Purse(tmp_path / "spent")
    assert (purse.spent, purse.lost) == (0.5, 1.0)
    purse.close()
