"""The whole of it: a server that misbehaves at random, kills in the middle, and a bill that only the server knows."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dnc_edge.errors import BudgetReached
from tests.batches import questions, read_records, write_questions
from tests.quirks import ANSWER, QUIRKS, Event, QuirkServer, _Handler

# These end a run: it says so, and the same command goes on.
ENDING = {"solver_auth", "solver_quota", "solver_not_found", "solver_wait"}
# A reply of these is whole, an answer or not: it may be bought once.
WHOLE = {ANSWER, "solver_cut", "solver_filtered", "solver_refused", "solver_empty"}
# These take their time.
SLOW = {name for name, quirk in QUIRKS.items() if quirk.promise == "solver_timeout"} | {
    "wait-30s",
    "quota-429-for-a-while",
}
# What a reply truly takes.
SENT, RECEIVED = 100, 20
JOBS, LIMIT, PRICE = 16, 64, 1e-6


class Billing(QuirkServer):
    """Draws a quirk for each request, and keeps the true bill whatever it says that it counted.

    Attributes:
        bill: dollars of all that it generated. whole: how often each question got a whole reply.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(self.draw)
        self.RequestHandlerClass = BillingHandler
        self.rng = random.Random(seed)
        self.bill = 0.0
        self.requests = 0
        self.whole: Counter[str] = Counter()

    def draw(self, body: dict[str, Any]) -> str:
        with self.guard:
            self.requests += 1
            kind = self.rng.random()
            if kind < 0.004:
                names = [name for name, quirk in QUIRKS.items() if quirk.promise in ENDING]
            elif kind < 0.012:
                names = sorted(SLOW)
            else:
                names = [name for name, quirk in QUIRKS.items() if quirk.promise not in ENDING and name not in SLOW]
            return self.rng.choice(names)


class BillingHandler(_Handler):
    """Bills whatever it generates, before it is sent."""

    server: Billing

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not data:
            return  # killed while it was sending
        body = json.loads(data)
        self.question = body["messages"][-1]["content"].split("\n\nSub-questions:")[0]
        self.quirk = self.server.choose(body)
        with self.server.guard:
            self.server.asked[self.quirk] += 1
            count = self.server.asked[self.quirk]
        with contextlib.suppress(OSError):
            QUIRKS[self.quirk].serve(self, body, count)

    def charge(self, output_tokens: int) -> None:
        with self.server.guard:
            self.server.bill += (SENT + output_tokens) * PRICE
            self.server.whole[self.question] += QUIRKS[self.quirk].promise in WHOLE

    def send_events(self, events: Iterable[Event], change: Callable[[bytes], bytes] = lambda data: data) -> None:
        if not isinstance(events, list):
            self.charge(LIMIT)  # it does not end: it generates all that it was asked for
        elif any(map(_generates, events)):
            self.charge(RECEIVED)
        super().send_events(events, change)

    def send_document(
        self, data: bytes, status: int = 200, kind: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> None:
        if status == 200 and (b'"choices"' in data or data.startswith(b"\x1f\x8b")):
            self.charge(RECEIVED)
        super().send_document(data, status, kind, headers)


def _generates(event: Event) -> bool:
    if isinstance(event, bytes):
        return b'"choices"' in event
    return isinstance(event, dict) and bool(event.get("choices"))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_questions_of_a_server_that_misbehaves_at_random_through_ten_kills(tmp_path: Path) -> None:
    asked = questions(1000)
    source, out = write_questions(tmp_path / "q.jsonl", asked), tmp_path / "out.jsonl"
    rng = random.Random(7)
    kills, cap = 0, 0.05
    with Billing(seed=7) as server:
        for _ in range(200):
            line = [sys.executable, "-m", "dnc_edge", "batch", str(source), "-o", str(out), "--timeout", "4"]
            line += ["--decomposer", "trivial", "--solver", f"{server.address}#m", "--jobs", str(JOBS)]
            line += ["--price", "1", "1", "--max-tokens", str(LIMIT), "--max-cost", str(cap)]
            before = server.requests
            process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
            if kills < 10:
                while server.requests == before and process.poll() is None:
                    time.sleep(0.005)
                time.sleep(rng.random() * 2)
                kills += process.poll() is None
                process.kill()
            _, said = process.communicate(timeout=900)
            assert "Traceback" not in said, said
            assert server.bill <= cap, "the server could have billed more than the cap"
            if process.returncode in (0, 7):
                break
            if process.returncode == BudgetReached.exit_code:
                cap *= 2
        else:
            pytest.fail(f"no end after 200 runs: {said}")
        assert kills == 10
        twice = sum(max(0, count - 1) for count in server.whole.values())
        # Only what was in flight at a kill may be bought again.
        assert twice <= kills * JOBS
    written = read_records(out)
    assert [record["id"] for record in written] == [question.id for question in asked]
    answered = [record for record in written if record["error"] is None]
    assert len(answered) >= 500
    costs = [record["cost_usd"] for record in written]
    assert all(cost is None or cost >= 0 for cost in costs)
    for record in written:
        usage = record["usage"]["solve"]
        assert (record["cost_usd"] is None) == (usage["unaccounted"] > 0)
        assert record["cost_usd"] != 0 or usage["input_tokens"] == 0
    purse = [json.loads(entry) for entry in Path(f"{out}.spent").read_text("utf-8").splitlines()]
    assert all(value >= 0 for entry in purse for value in entry.values())
