"""What a dry run says: nothing is sent, and the real bill is never above its "at most"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dnc_edge.batch.batch import batch
from dnc_edge.batch.estimate import Estimate, estimate
from dnc_edge.batch.paid import PaidRun
from dnc_edge.remote.pricing import Prices
from dnc_edge.types import Question
from tests.batches import questions
from tests.servers import Misbehaving

PRICED = Prices(remote=(1.0, 2.0))
SCHEMA = {"type": "json_schema", "json_schema": {"schema": {"description": "a long description " * 40}}}


class Thorough(Misbehaving):
    """Counts a token for every byte that it is sent, and fills every reply up to the maximum asked for."""

    def __init__(self) -> None:
        super().__init__("good")
        self.bill = 0.0

    def choose(self, body: dict[str, Any]) -> str | int:
        sent = sum(len(message["content"].encode()) for message in body["messages"])
        sent += len(json.dumps(body.get("response_format") or ""))
        self.bill += (sent * 1.0 + body["max_tokens"] * 2.0) / 1e6
        planning = (
            "sub-questions" in body["messages"][0]["content"]
            and "Sub-questions:" not in body["messages"][-1]["content"]
        )
        return "plan" if planning else "good"


def both(asked: list[Question], tmp_path: Path, prices: Prices = PRICED, **parts: Any) -> tuple[Estimate, float]:
    """The estimate of a run, and what it then costs."""
    with Thorough() as server:
        parts = {
            name: value.replace("SERVER", server.address) if isinstance(value, str) else value
            for name, value in parts.items()
        }
        with PaidRun(prices) as run, run.edge(**parts) as edge:
            told = estimate(asked, edge)
            assert not server.requests, "a dry run sends nothing"
        with PaidRun(prices) as run, run.edge(**parts) as edge:
            batch(asked, tmp_path / "out.jsonl", edge, jobs=4)
        return told, server.bill


@pytest.mark.parametrize(
    "parts",
    [
        {"decomposer": "trivial"},
        {"decomposer": "trivial", "shots": 2, "max_tokens": 5000},
        {"decomposer": "trivial", "solver_options": {"response_format": SCHEMA}},
        {"decomposer": "SERVER#planner", "max_tokens": 60},
        {"decomposer": "SERVER#planner", "max_tokens": 60, "strategy": "dynamic"},
        {"decomposer": "none", "mode": "direct"},
        {"strategy": "dynamic", "max_tokens": 60},
        {},
    ],
)
def test_at_most_is_at_most(parts: dict[str, Any], tmp_path: Path) -> None:
    # One question in thirty is a hundred times as long: a sample misses it.
    asked = questions(29)
    asked.insert(17, Question("Mia has 3 pens. " * 400 + "How many pens does Mia have?", id="long"))
    if "decomposer" not in parts:
        asked = questions(8)
    told, bill = both(asked, tmp_path, solver="SERVER#m", **parts)
    assert told.expected_usd and told.most_usd
    assert told.expected_usd < told.most_usd and bill <= told.most_usd
    assert told.questions == len(asked)


def test_a_remote_decomposer_is_expected_to_cost(tmp_path: Path) -> None:
    with PaidRun(PRICED) as run:
        with run.edge(decomposer="trivial", solver="http://127.0.0.1:9/v1#m") as edge:
            alone = estimate(questions(5), edge)
        with run.edge(decomposer="http://127.0.0.1:9/v1#m", solver="http://127.0.0.1:9/v1#m") as edge:
            both_remote = estimate(questions(5), edge)
            plans = estimate(questions(5), edge, solve=False)
    assert (alone.requests, both_remote.requests, plans.requests) == (5, 10, 5)
    assert (both_remote.expected_usd or 0) > (alone.expected_usd or 0)


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    address = "http://127.0.0.1:9/v1#m"
    with PaidRun() as run, run.edge(decomposer="trivial", solver=address) as edge:
        told = estimate(questions(5), edge)
        assert told.expected_usd is None and told.most_usd is None and told.input_tokens > 0
    unbounded = {"solver_options": {"max_tokens": None}}
    with PaidRun(PRICED) as run, run.edge(decomposer="trivial", solver=address, **unbounded) as edge:
        told = estimate(questions(5), edge)
        assert told.expected_usd and told.most_usd is None
    by_the_second = Prices(remote=(1.0, 1.0), local=0.01)
    with PaidRun(by_the_second) as run, run.edge(solver=address) as edge:
        told = estimate(questions(2), edge)
        assert told.expected_usd and told.most_usd is None
    with PaidRun() as run, run.edge(decomposer="trivial") as edge:
        told = estimate(questions(5), edge)
        assert (told.requests, told.expected_usd, told.most_usd) == (0, 0.0, 0.0)
