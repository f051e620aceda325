"""The runner: work is bounded, money never exceeds its cap, a journal survives what happens to it."""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnc_edge.batch.run import run
from dnc_edge.errors import (
    BudgetReached,
    InputError,
    SolverAuth,
    SolverCut,
    SolverError,
    SolverRateLimited,
    SolverServerError,
    SolverTimeout,
    UsageError,
)
from dnc_edge.journal import Journal, Reader
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.gate import MOST_FAILURES, Gate, bound
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.purse import Purse
from dnc_edge.remote.store import Store, StoredChat
from dnc_edge.types import Usage
from tests.servers import Misbehaving

MESSAGES = [{"role": "user", "content": "x" * 84}]
BODY = {"max_tokens": 1000}
PRICED = Prices(remote=(1.0, 1.0))


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


def test_items_are_taken_as_there_is_room_and_every_result_comes_once() -> None:
    taken, most, now = 0, 0, 0
    lock = threading.Lock()

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield number

    def work(item: int) -> int:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.001)
        with lock:
            now -= 1
        return item

    results = run(items(), work, jobs=4)
    first = next(results)
    time.sleep(0.2)
    assert taken <= 40, "the input is read without bound"
    assert sorted([first, *results]) == list(range(200))
    assert 2 <= most <= 4


@pytest.mark.parametrize("where", ["work", "items"])
def test_a_failure_ends_the_taking_and_loses_no_result(where: str) -> None:
    finished = []

    def items() -> Iterator[int]:
        for number in range(100):
            if where == "items" and number == 50:
                raise InputError("line 50")
            yield number

    def work(item: int) -> int:
        if where == "work" and item == 50:
            raise InputError("line 50")
        time.sleep(0.001)
        finished.append(item)
        return item

    results: list[int] = []
    with pytest.raises(InputError, match="line 50"):
        results.extend(run(items(), work, jobs=3))
    assert sorted(results) == sorted(finished) and len(results) >= 40


def test_closing_a_run_ends_its_threads() -> None:
    before = threading.active_count()
    results = run(iter(range(10_000)), lambda item: item, jobs=8)
    next(results)
    results.close()
    for _ in range(100):
        if threading.active_count() <= before:
            break
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_the_bound_of_a_request_counts_bytes_and_the_maximum_sent() -> None:
    most = bound({"max_tokens": 50, "n": 2}, [{"role": "user", "content": "é"}, {"role": "system", "content": "ab"}])
    assert (most.input_tokens, most.output_tokens) == (2 + 2 + 32, 100)
    with pytest.raises(UsageError, match="has no bound"):
        bound({}, MESSAGES)


@given(st.lists(st.tuples(st.sampled_from(["reply", "hang", "rate", "cut"]), st.integers(0, 100)), max_size=60))
def test_money_spent_and_reserved_never_exceeds_the_cap(events: list[tuple[str, int]]) -> None:
    """Each request can cost 0.0011 dollars; the cap is ten times that."""
    gate = Gate(PRICED, max_cost=0.011, clock=Clock(), sleep=lambda _: None)
    endpoint = Endpoint("m", base_url="http://nowhere/v1")
    charged = 0.0
    for event, tokens in events:
        try:
            ticket = gate.admit(endpoint, BODY, MESSAGES)
        except BudgetReached:
            assert gate.spent + gate.lost + 0.0011 > 0.011
            break
        except SolverError:
            break
        if event == "reply":
            usage = Usage(requests=1, input_tokens=min(100, tokens), output_tokens=tokens * 10)
            charged += (usage.input_tokens + usage.output_tokens) / 1e6
            ticket.settle(usage)
        elif event == "rate":
            ticket.fail(failure(SolverRateLimited, retry_after=0.0))
            gate._not_before = 0.0
        else:
            charged += 0.0011  # the worst that a lost reply can have cost
            ticket.fail(failure(SolverTimeout if event == "hang" else SolverCut))
        assert charged <= gate.spent + gate.lost + 1e-12 <= 0.011 + 2e-12


def test_a_model_without_a_price_is_refused_under_a_cap() -> None:
    gate = Gate(Prices(), max_cost=1.0)
    with pytest.raises(UsageError, match="no price is known"):
        gate.admit(Endpoint("nobody-knows-me", base_url="http://nowhere/v1"), BODY, MESSAGES)


def test_requests_and_tokens_a_minute_are_kept() -> None:
    clock = Clock()
    gate = Gate(rpm=10, clock=clock, sleep=clock.sleep)
    sent = []
    for _ in range(35):
        gate.admit(Endpoint("m", base_url="http://nowhere/v1"), BODY, MESSAGES)
        sent.append(clock.now)
    assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[10:], strict=False))
    assert 180 <= clock.now <= 200
    gate = Gate(tpm=2500, clock=clock, sleep=clock.sleep)
    began = clock.now
    for _ in range(5):
        gate.admit(Endpoint("m", base_url="http://nowhere/v1"), BODY, MESSAGES)
    assert 120 <= clock.now - began <= 121


def test_one_rate_limit_slows_the_whole_queue() -> None:
    clock = Clock()
    gate = Gate(clock=clock, sleep=clock.sleep)
    endpoint = Endpoint("m", base_url="http://nowhere/v1")
    gate.admit(endpoint, BODY, MESSAGES).fail(failure(SolverRateLimited, retry_after=7.0))
    gate.admit(endpoint, BODY, MESSAGES)
    assert clock.now >= 7.0


def test_a_server_that_is_down_ends_the_run() -> None:
    gate = Gate()
    endpoint = Endpoint("m", base_url="http://nowhere/v1")
    for _ in range(MOST_FAILURES):
        gate.admit(endpoint, BODY, MESSAGES).fail(failure(SolverServerError))
    with pytest.raises(SolverError, match="failed 20 times without a reply") as caught:
        gate.admit(endpoint, BODY, MESSAGES)
    assert caught.value.code == "solver_down"
    gate = Gate()
    gate.admit(endpoint, BODY, MESSAGES).fail(failure(SolverAuth))
    with pytest.raises(SolverError, match="without a reply"):
        gate.admit(endpoint, BODY, MESSAGES)


@given(st.lists(st.text(max_size=30), max_size=8), st.integers(0, 200))
def test_a_journal_cut_anywhere_keeps_every_whole_line(texts: list[str], cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        with Journal(path) as journal:
            places = [journal.append(json.dumps({"text": text})) for text in texts]
        data = path.read_bytes()
        path.write_bytes(data[: max(0, len(data) - cut)])
        whole = data[: max(0, len(data) - cut)].count(b"\n")
        with Journal(path) as journal:
            kept = list(journal.lines())
            assert [(place, record["text"]) for place, record in kept] == list(zip(places, texts, strict=False))[:whole]
            journal.append('{"text": "after"}')
        assert [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()] == [*texts[:whole], "after"]


def test_one_process_at_a_time_writes_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(UsageError, match="another process is writing"):
        Journal(tmp_path / "j")
    with Journal(tmp_path / "j") as journal:
        place = journal.append("{}")
    reader = Reader(tmp_path / "j")
    assert reader.line(place) == "{}"
    reader.close()
    with pytest.raises(InputError, match="cannot write"):
        Journal(tmp_path / "no" / "j")


def test_complete_replies_alone_are_kept_and_given_again(tmp_path: Path) -> None:
    with Misbehaving("usage", "torn", "usage") as server:
        store = Store(tmp_path / "replies")
        chat = StoredChat(Endpoint("m", base_url=server.address), store)
        first = list(chat.stream([{"role": "user", "content": "a"}]))
        again = list(chat.stream([{"role": "user", "content": "a"}]))
        assert "".join(first) == "".join(again) and len(server.requests) == 1 and store.hits == 1
        with pytest.raises(SolverError):
            list(chat.stream([{"role": "user", "content": "b"}]))
        list(chat.stream([{"role": "user", "content": "b"}]))
        assert len(server.requests) == 3
        other = StoredChat(Endpoint("m", base_url=server.address, temperature=0.5), store)
        list(other.stream([{"role": "user", "content": "a"}]))
        assert len(server.requests) == 4, "another temperature is another request"
        store.close()


def test_a_cap_holds_against_any_server(tmp_path: Path) -> None:
    """Twenty runs against a server that fails by chance; it charges what it sends, cut or not."""
    from dnc_edge.remote.retry import Retry
    from tests.servers import Counting

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


@pytest.mark.parametrize("line", ['{"id": "q-1"}', '{"attempt": 1, "cost": "?"}', '{"attempt": [], "reserved": 1}'])
def test_a_purse_that_holds_something_else_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "spent").write_text(f'{{"attempt": 0, "reserved": 1.0}}\n{line}\n', encoding="utf-8")
    with pytest.raises(InputError, match="does not hold what runs have spent"):
        Purse(tmp_path / "spent")


def test_nothing_is_sent_that_a_purse_cannot_note(tmp_path: Path) -> None:
    gate = Gate(PRICED, max_cost=1.0, purse=tmp_path / "no" / "spent")
    with pytest.raises(InputError, match="cannot write"):
        gate.admit(Endpoint("m", base_url="http://127.0.0.1:1/v1"), BODY, MESSAGES)
    assert gate.in_flight == 0
