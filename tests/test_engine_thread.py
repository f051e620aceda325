"""An engine in a thread of its own: many callers, each gets its own steps; whoever leaves holds no slot."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.cancellation import Scope
from dnc_edge.engines import Request
from dnc_edge.engines.scheduled import ScheduledEngine
from dnc_edge.engines.thread import EngineThread
from dnc_edge.errors import Cancelled, StudentError
from tests.serving import eventually
from tests.test_scheduler import END, FakeCache, alone


class Engine(ScheduledEngine):
    """The real scheduler over the fake cache."""

    name = "fake"

    def __init__(self, slots: int = 3) -> None:
        self.cache = FakeCache(slots, 4000, 64)
        super().__init__(self.cache)


@pytest.fixture
def engine() -> Engine:
    return Engine()


def request(number: int, most: int = 30) -> Request:
    return Request(f"r{number}", [1 + number % 30, 2, 3], most, frozenset({END}))


def tokens(thread: EngineThread, asked: Request) -> list[int | None]:
    return [step.token for step in thread.run([asked])]


# Tokens of a request that does not end by itself before the test does.
ENDLESS = 3000


def endless(adapter: str | None, held: Sequence[int]) -> int:
    """A slow model that never chooses the end."""
    time.sleep(0.005)
    return 1 + len(held) % 30


@given(st.integers(1, 24), st.integers(1, 5))
def test_every_caller_gets_what_it_would_get_alone(callers: int, slots: int) -> None:
    thread = EngineThread(Engine(slots))
    requests = [request(number) for number in range(callers)]
    with ThreadPoolExecutor(callers) as pool:
        made = list(pool.map(lambda asked: tokens(thread, asked), requests))
    assert made == [alone(asked, 4000) for asked in requests]
    assert thread.running == 0
    thread.close()


def test_a_caller_that_stops_reading_or_is_cancelled_leaves_its_slot(engine: Engine) -> None:
    engine.cache.model = endless
    thread = EngineThread(engine)
    reading = thread.run([request(1, ENDLESS)])
    next(reading)
    reading.close()
    scope, ended = Scope(), threading.Event()

    def read() -> None:
        with scope.entered(), pytest.raises(Cancelled, match="enough"):
            for _ in thread.run([request(2, ENDLESS)]):
                pass
        ended.set()

    threading.Thread(target=read).start()
    assert eventually(lambda: thread.running > 0)
    scope.cancel("enough")
    assert ended.wait(10) and eventually(lambda: thread.running == 0)
    thread.close()


def test_a_caller_that_left_before_its_turn_is_never_decoded() -> None:
    engine = Engine(slots=1)
    engine.cache.model = endless
    thread = EngineThread(engine)
    first = thread.run([request(1, ENDLESS)])
    next(first)
    with ThreadPoolExecutor(8) as pool:
        scopes = [Scope() for _ in range(8)]

        def waits(number: int) -> None:
            with scopes[number].entered(), pytest.raises(Cancelled):
                list(thread.run([request(10 + number, ENDLESS)]))

        waiting = [pool.submit(waits, number) for number in range(8)]
        time.sleep(0.05)
        for scope in scopes:
            scope.cancel()
        for one in waiting:
            one.result(timeout=10)
    before = engine.cache.decoded
    first.close()
    assert eventually(lambda: thread.running == 0)
    assert engine.cache.decoded - before < ENDLESS
    thread.close()


def test_a_round_that_fails_fails_those_in_it_and_the_next_ones_are_decoded(engine: Engine) -> None:
    thread = EngineThread(engine)
    engine.cache.fail_at = 5
    with pytest.raises(RuntimeError, match="no more"):
        tokens(thread, request(1))
    assert tokens(thread, request(2)) == alone(request(2), 4000)
    with pytest.raises(StudentError, match="unusable"):
        list(thread.run([Request("a", [1], 3, adapter="unusable")]))
    assert tokens(thread, request(3)) == alone(request(3), 4000)
    thread.close()


def test_closing_ends_what_is_in_flight_and_takes_nothing_new(engine: Engine) -> None:
    thread = EngineThread(engine)
    reading = thread.run([request(1)])
    made = [next(reading).token]
    thread.close()
    thread.close()
    made += [step.token for step in reading]
    assert made == alone(request(1), 4000)
    with pytest.raises(StudentError, match="closed"):
        next(thread.run([request(2)]))
    assert eventually(lambda: engine.cache.held == [])


def test_steps_come_together_and_the_first_at_once(engine: Engine) -> None:
    """Each step is a batch of its own only if the engine is slow."""
    decode, fast = engine.cache.decode, threading.Event()

    def slow(entries: object) -> object:
        if not fast.is_set():
            time.sleep(0.04)
        return decode(entries)  # type: ignore[arg-type]

    engine.cache.decode = slow  # type: ignore[method-assign, assignment]
    engine.cache.model = lambda adapter, held: 1 + len(held) % 30
    thread = EngineThread(engine)
    reading = thread.run([request(1, 200)])
    began = time.monotonic()
    next(reading)
    assert time.monotonic() - began < 1
    fast.set()
    assert len(list(reading)) == 199
    thread.close()
