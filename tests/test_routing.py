"""A cheap and a strong solver: which one is asked, and how the record says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge import config
from dnc_edge.decomposers import GivenDecomposer
from dnc_edge.edge import Edge
from dnc_edge.errors import InputError, UsageError
from dnc_edge.pipeline import Pipeline
from dnc_edge.solvers.routing import FEATURES, Route, Router, features
from dnc_edge.types import Finished, Plan, Question, Record
from tests.batches import command, questions, read_records, write_questions
from tests.fakes import ScriptedSolver
from tests.servers import Counting

QUESTION = Question("Lea bakes 4 trays of 15 rolls and sells half of them. How many are left?")


def test_without_a_calibration_the_confidence_of_the_plan_decides() -> None:
    cheap, strong = ScriptedSolver(), ScriptedSolver()
    router = Router(cheap, strong, Route(0.6))
    for confidence, to, solver in ((0.7, "cheap", cheap), (0.6, "cheap", cheap), (0.59, "strong", strong)):
        chosen, routed = router.choose(QUESTION, Plan(("How many?",), confidence=confidence))
        assert chosen is solver and routed.to == to and routed.chance == confidence and routed.threshold == 0.6
    assert router.choose(QUESTION, None)[1].chance == 0.5


def test_weights_turn_features_into_a_chance() -> None:
    weights = {**dict.fromkeys(FEATURES, 0.0), "bias": 0.0}
    assert Route(0.5, weights).chance(QUESTION, None) == 0.5
    longer = Route(0.5, {**weights, "steps": -10.0})
    few, many = (longer.chance(QUESTION, Plan(("How many?",) * count)) for count in (1, 4))
    assert 0.5 > few > many > 0


@given(
    st.text(min_size=1), st.lists(st.text(), max_size=12), st.none() | st.floats(0, 1), st.none() | st.floats(-99, 0)
)
def test_features_are_small_numbers_for_any_question(
    text: str, plan: list[str], confidence: float | None, logprob: float | None
) -> None:
    values = features(Question(text), Plan(tuple(plan), confidence=confidence, logprob=logprob))
    assert tuple(values) == FEATURES and all(-1 <= value <= 3 for value in values.values())


def test_the_record_says_who_was_asked_and_its_key_depends_on_the_route() -> None:
    decomposer = GivenDecomposer("given", lambda _: ("How many rolls?",))
    cheap, strong = ScriptedSolver("The answer is: 1"), ScriptedSolver("The answer is: 30")
    cheap.name, strong.name = "cheap", "strong"
    for threshold, name, answer in ((0.0, "cheap", "1"), (1.0, "strong", "30")):
        router = Router(cheap, strong, Route(threshold))
        pipeline = Pipeline("static", decomposer, cheap, router=router)
        *_, last = pipeline.stream(QUESTION)
        assert isinstance(last, Finished)
        record = last.record
        assert record.solver == name and record.answer == answer and record.routed and record.routed.to == name
        assert Record.from_json(record.to_json()) == record
        assert pipeline.key(QUESTION) != replace(pipeline, router=None).key(QUESTION)
        assert pipeline.key(QUESTION) != replace(pipeline, router=replace(router, route=Route(0.3))).key(QUESTION)


def test_a_route_is_auto_or_a_threshold(tmp_path: Path) -> None:
    kept = tmp_path / "route.json"
    assert Route.of("0.25", kept) == Route(0.25)
    for wrong in ("2", "-0.1", "nan", "often"):
        with pytest.raises(UsageError, match="neither auto nor a threshold"):
            Route.of(wrong, kept)
    with pytest.raises(UsageError) as missing:
        Route.of("auto", kept)
    assert "bench route" in str(missing.value.hint)
    weights = {**dict.fromkeys(FEATURES, 0.5), "bias": 0.0}
    kept.write_text(json.dumps({"threshold": 0.7, "weights": weights}))
    assert Route.of("auto", kept) == Route(0.7, weights) and Route.of("0.1", kept) == Route(0.1, weights)
    kept.write_text('{"threshold": 0.7, "weights": {}}')
    with pytest.raises(InputError, match="no calibration of a route"):
        Route.of("auto", kept)


def test_an_edge_needs_both_solvers_to_route() -> None:
    with Edge(route="0.5") as edge, pytest.raises(UsageError, match="needs a second solver"):
        edge.pipeline()
    with Edge(strong="openai:gpt-4o", route="0.5") as edge:
        router = edge.pipeline().router
        assert router is not None and router.strong.name == "openai:gpt-4o" and router.cheap is edge.solver
    assert config.route_path().parent == config.config_path().parent


def test_a_batch_asks_two_servers_and_is_resumed_with_the_same_route(tmp_path: Path) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(12))
    with Counting() as cheap, Counting() as strong:
        line = [
            source,
            "-o",
            tmp_path / "out.jsonl",
            "--solver",
            f"{cheap.address}#a",
            "--strong",
            f"{strong.address}#b",
        ]
        made = command(*line, "--route", "0.5", "--json")
        assert made.returncode == 0, made.stderr
        by_solver = {record["routed"]["to"]: record["solver"] for record in read_records(tmp_path / "out.jsonl")}
        assert len(cheap.requests) + len(strong.requests) == 12
        assert by_solver.get("cheap", f"{cheap.address}#a") == f"{cheap.address}#a"
        assert by_solver.get("strong", f"{strong.address}#b") == f"{strong.address}#b"
        again = command(*line, "--route", "0.5", "--json")
        assert json.loads(again.stdout)["kept"] == 12
        other = command(*line, "--route", "1", "--json")
        assert json.loads(other.stdout)["kept"] == 0 and len(strong.requests) >= 12
