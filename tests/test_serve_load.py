"""The server under load: many clients for two minutes, and ten thousand that leave."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.batches import questions
from tests.serving import Served, eventually, serving
from tests.test_serve import events

CLIENTS = 32
SECONDS = 120.0


def memory() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def together(work: Callable[[int], None], workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, number) for number in range(workers)]:
            done.result()


def answer(running: Served, question: str, *, streamed: bool) -> str:
    """The reply to a question; it must be to that one."""
    status, _, reply = running.chat(question, stream=streamed)
    assert status == 200
    if not streamed:
        assert reply["x-dnc-record"]["question"] == question
        return str(reply["choices"][0]["message"]["content"])
    chunks = events(reply)
    assert chunks[-1]["x-dnc-record"]["question"] == question
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


@pytest.mark.long
@pytest.mark.parametrize("streamed", [False, True])
def test_many_clients_get_their_own_answers_and_memory_stays(streamed: bool) -> None:
    asked = [question.text for question in questions(100)]
    answers: dict[str, str] = {}
    with serving(slots=16) as running:
        for text in asked:
            answers[text] = answer(running, text, streamed=False)
        before, end = memory(), time.monotonic() + SECONDS

        def client(number: int) -> None:
            chosen = random.Random(number)
            while time.monotonic() < end:
                text = chosen.choice(asked)
                assert answer(running, text, streamed=streamed) == answers[text]

        together(client, CLIENTS)
        assert running.idle() and memory() - before < 64 * 2**20


@pytest.mark.long
def test_ten_thousand_aborted_requests_leave_nothing() -> None:
    with serving(slots=8) as running:
        engine = running.models.edge("dnc-edge", {}).student("dnc-11m").engine
        text = questions(1)[0].text
        expected = answer(running, text, streamed=False)
        threads, files, before = threading.active_count(), len(os.listdir("/proc/self/fd")), memory()

        def leave(number: int) -> None:
            chosen = random.Random(number)
            for place in range(500):
                connection = running.begin(text, stream=bool(place % 2))
                time.sleep(chosen.choice((0, 0, 0.001, 0.01, 0.03, 0.1)))
                connection.close()

        together(leave, 20)
        assert running.idle() and eventually(lambda: engine.running == 0)
        # No slot is lost: as many as there are decode together, and answer as before.
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: answer(running, text, streamed=True), range(8))) == {expected}
        assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= files + 4)
        assert threading.active_count() <= threads + 32 and memory() - before < 64 * 2**20
