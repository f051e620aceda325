"""Results of the benchmarks: those that are kept are read, and written again as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dnc_edge.bench.batch import BatchResult
from dnc_edge.bench.confidence import Calibration
from dnc_edge.bench.overhead import OverheadResult
from dnc_edge.bench.plans import PlansResult, table
from dnc_edge.bench.replay import Replay
from dnc_edge.bench.student import StudentResult
from dnc_edge.typed_json import build, plain
from dnc_edge.types import Estimate

KEPT = Path(__file__).parent.parent / "bench" / "results"
KINDS: dict[str, type[Any]] = {
    "batch": BatchResult,
    "confidence": Calibration,
    "overhead": OverheadResult,
    "plans": PlansResult,
    "plans-f16": PlansResult,
    "plans-second-run": PlansResult,
    "student": StudentResult,
}


@pytest.mark.parametrize("name", KINDS)
def test_results_that_are_kept_are_read_and_written_as_they_were(name: str) -> None:
    values = json.loads((KEPT / f"{name}.json").read_text("utf-8"))
    written = plain(build(KINDS[name], values))
    assert {name: written[name] for name in values} == values


def test_plans_have_a_row_for_each_decomposer() -> None:
    kept = build(PlansResult, json.loads((KEPT / "plans.json").read_text("utf-8")))
    assert "| ChatGPT (teacher) | 0.626 ± 0.010 | 1.000 ± 0.000 |" in table(kept)


def test_a_replay_is_written_flat_and_read_again() -> None:
    made = Replay("a.jsonl", "gsm8k", Estimate(0.5, 0.2, 0.8, 4), ("gsm8k-test-1",), (3,), ())
    values = json.loads(json.dumps(made.to_dict()))
    assert list(values)[:6] == ["file", "task", "accuracy", "low", "high", "n"] and values["accuracy"] == 0.5
    assert Replay.from_dict(values) == made
