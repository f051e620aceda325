"""`bench route`: a route fitted on one half of the questions and judged on the other."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from dnc_edge import tasks
from dnc_edge.bench.answers import Answered, answered, planned
from dnc_edge.bench.report import report, section
from dnc_edge.bench.results import RouteResult, read_result
from dnc_edge.bench.route import route
from dnc_edge.errors import InputError, UsageError
from dnc_edge.solvers.routing import Route
from dnc_edge.tasks import Task
from dnc_edge.tasks.problem import Problem, number_scores
from dnc_edge.types import Plan, Question, Record, Usage

COUNT = 600


def sums(count: int = COUNT) -> Task:
    problems = [
        Problem(f"s-{n}", f"Ada has {n} pens and finds 2 more. How many are there?", str(n + 2)) for n in range(count)
    ]
    return Task("sums", problems, number_scores)


def answers(told: float, *, seed: int = 0) -> tuple[dict[str, Answered], dict[str, Answered]]:
    """Cheap and strong answers; the plan's confidence tells with this much weight if the cheap one is right."""
    rng = random.Random(seed)
    cheap, strong = {}, {}
    for number in range(COUNT):
        right = rng.random() < 0.5
        confidence = told * (0.9 if right else 0.1) + (1 - told) * rng.random()
        cheap[f"s-{number}"] = Answered(float(right), 0.001, Plan(("How many?",), confidence=confidence))
        strong[f"s-{number}"] = Answered(float(rng.random() < 0.9), 0.01)
    return cheap, strong


def test_a_confidence_that_tells_saves_what_the_cheap_solver_is_enough_for() -> None:
    result = route(sums(), *answers(0.8))
    assert result.fitted + result.n == COUNT and result.auroc and result.auroc > 0.9
    assert 0.3 < result.saved.low < result.saved.value < 0.6 and result.over_chance.low > 0.05
    assert result.difference.high > 0 and result.oracle.accuracy.value >= result.chosen.accuracy.value
    assert result.cheap.strong == 0 and result.strong.strong == 1
    assert "it tells questions apart" in section(result).summary


def test_a_confidence_that_tells_nothing_gains_nothing_and_is_reported_so() -> None:
    result = route(sums(), *answers(0.0))
    assert result.auroc and 0.4 < result.auroc < 0.6
    assert result.over_chance.low <= 0 and "cannot be told" in section(result).summary


def test_what_was_fitted_routes_as_it_was_measured(tmp_path: Path) -> None:
    cheap, strong = answers(0.8)
    result = route(sums(), cheap, strong)
    kept = tmp_path / "route.json"
    kept.write_text(json.dumps(result.route))
    taken = Route.read(kept)
    to_strong = [
        taken.chance(Question(problem.question), cheap[problem.id].plan) < taken.threshold
        for problem in sums().problems
    ]
    assert sum(to_strong) / COUNT == pytest.approx(result.chosen.strong, abs=0.08)


def test_the_oracle_is_never_below_the_route_at_its_cost() -> None:
    result = route(sums(), *answers(0.5))
    assert [point.usd_per_1000 for point in result.oracle_line] == sorted(p.usd_per_1000 for p in result.oracle_line)
    for point in result.line:
        above = [other.accuracy.value for other in result.oracle_line if other.usd_per_1000 <= point.usd_per_1000 + 0.3]
        assert not above or max(above) >= point.accuracy.value - 0.02


def test_a_result_is_written_read_and_drawn(tmp_path: Path) -> None:
    result = route(sums(), *answers(0.8), settings={"cheap": "a.jsonl"})
    again = read_result(json.loads(json.dumps(result.to_dict())))
    assert isinstance(again, RouteResult) and again.chosen == result.chosen
    assert report([again], tmp_path).read_text("utf-8").count("<svg") == 1
    assert (tmp_path / "accuracy-by-dollars.svg").stat().st_size > 1000


def test_too_few_questions_are_refused() -> None:
    cheap, strong = answers(0.8)
    with pytest.raises(InputError, match="answered by both"):
        route(sums(50), cheap, strong)


def test_own_records_hold_their_plans_and_dollars(tmp_path: Path) -> None:
    problem = sums(1).problems[0]
    record = Record(
        id="x", question=problem.question, key="k", strategy="static", prompt_version="2", text="The answer is: 2",
        subquestions=("How many?",), plan_confidence=0.7, cost_usd=0.25,
        usage={"solve": Usage(requests=1, input_tokens=1_000_000, output_tokens=2_000_000, cost_usd=0.25)},
    )  # fmt: skip
    path = tmp_path / "records.jsonl"
    path.write_text(record.to_json() + "\n")
    (found,) = answered(path, sums(1)).values()
    assert (found.score, found.usd) == (1.0, 0.25) and found.plan and found.plan.confidence == 0.7
    assert next(iter(answered(path, sums(1), (1.0, 2.0)).values())).usd == 5.0
    assert planned(path, sums(1))["s-0"].confidence == 0.7
    with pytest.raises(InputError, match="no record asks a question"):
        answered(path, Task("other", [Problem("o", "Why?", "1")], number_scores))


def test_recordings_are_priced_by_their_text(data: Path) -> None:
    recordings = data / "gsm8k_ai_subq" / "eval_responses" / "chatgpt"
    task = tasks.load("gsm8k")
    with pytest.raises(UsageError, match="holds no costs"):
        answered(recordings / "eval_chat.jsonl.gz", task)
    free = answered(recordings / "eval_chat.jsonl.gz", task, (1.5, 2.0))
    paid = answered(recordings / "eval_chat.jsonl.gz", task, (1.5, 2.0), planned=True)
    assert len(free) == len(paid) == 1319 and sum(one.score for one in free.values()) == pytest.approx(907, abs=15)
    assert all(paid[id].usd > free[id].usd > 0 for id in free)
