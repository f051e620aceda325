"""`bench graph`: strategies on gold plans, timed against a server that takes its time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnc_edge import prompts, tasks
from dnc_edge.bench.graph import Pace, answered, graph
from dnc_edge.bench.report import report, section
from dnc_edge.bench.results import GraphResult, read_result
from dnc_edge.errors import UsageError
from dnc_edge.strategies.plan_graph import PlanGraph
from dnc_edge.tasks import Task
from dnc_edge.tasks.problem import Problem, number_scores
from dnc_edge.types import Question

WIDE = (*(f"How tall is tower {letter}?" for letter in "ABCDEF"), "Which of #1, #2, #3, #4, #5, #6 is tallest?")
CHAIN = ("Who built the first tower?", "Where was #1 born?")
PACE = Pace(latency=0.05, per_token=0.002, subanswer=20, answer=10, plan=4000)


def towers(plan: tuple[str, ...], count: int = 4) -> Task:
    problems = [
        Problem(f"t-{n}", f"Which tower of the old town {'I' * n} is it?", "7", plan) for n in range(1, count + 1)
    ]
    return Task("wide" if plan is WIDE else "chain", problems, number_scores)


def test_wide_plans_are_sooner_side_by_side_and_chains_are_left_alone(tmp_path: Path) -> None:
    result = graph([towers(WIDE), towers(CHAIN)], pace=PACE, jobs=2)
    rows = {(row.task, row.strategy): row for row in result.rows}
    assert rows["wide", "graph"].over_dynamic.value > 1.7 and rows["wide", "auto"].over_static.value > 1.2
    assert rows["wide", "auto"].requests == 7 and rows["wide", "static"].requests == 1
    assert rows["chain", "auto"].requests == 1 and rows["chain", "auto"].over_static.value == pytest.approx(1, abs=0.3)
    assert rows["chain", "graph"].requests == 2 and rows["chain", "dynamic"].requests == 3
    assert rows["wide", "graph"].usd_per_1000 > rows["wide", "static"].usd_per_1000 > 0
    again = read_result(json.loads(json.dumps(result.to_dict())))
    assert isinstance(again, GraphResult) and again.rows == result.rows
    assert report([again], tmp_path).read_text("utf-8").count("<svg") == 1 and "wide" in section(again).summary


def test_the_server_answers_what_is_asked_and_takes_its_time() -> None:
    def reply(messages: list[prompts.Message]) -> tuple[int, float]:
        made = answered({"messages": messages}, PACE)
        assert made.text.count("so ") == made.received
        return made.received, round(made.seconds, 3)

    known = [("Who?", "Bo"), ("Where?", "Here")]
    assert reply(prompts.step("Why?", None, known, "When?")) == (20, 0.09)
    assert reply(prompts.solve("Why?", None, ["Who?", "Where?"])) == (50, 0.15)
    assert reply(prompts.conclude("Why?", None, known)) == (10, 0.07)
    assert reply(prompts.conclude("Why?", None, known, ["When?"])) == (30, 0.11)


def test_a_task_without_plans_is_refused() -> None:
    task = Task("none", [Problem("a", "Why?", "1")], number_scores)
    with pytest.raises(UsageError, match="no gold plans"):
        graph([task], pace=PACE)


def test_gold_graphs_have_the_width_that_people_gave_them(data: Path) -> None:
    widths = {}
    for name in ("fanoutqa", "strategyqa", "musique", "gsm8k"):
        problems = tasks.load(name).problems
        graphs = [PlanGraph.of(Question(p.question), p.plan) for p in problems if p.plan]
        widths[name] = sum(one.width for one in graphs) / len(graphs)
    assert widths["fanoutqa"] > 3.2 and widths["strategyqa"] == pytest.approx(1.3, abs=0.05)
    assert widths["musique"] == pytest.approx(1.06, abs=0.02) and widths["gsm8k"] < 1.02


def test_fanoutqa_is_scored_by_the_parts_of_its_answer(data: Path) -> None:
    task = tasks.load("fanoutqa", limit=3)
    problem = task.problems[0]
    parts = problem.answer.split("; ")
    assert len(parts) > 3 and task.scores(problem.answer, problem) == {"accuracy": 1.0}
    assert 0 < task.scores(parts[0], problem)["accuracy"] < 1 and task.scores(None, problem) == {"accuracy": 0.0}
