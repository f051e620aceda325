"""Sub-questions side by side: what `graph` and `auto` gain in time, and cost, against `static` and `dynamic`.

Gold plans are solved over real HTTP by a server on loopback that takes a fixed time for a request and for each token,
so the seconds are those of waiting: they hardly depend on what else the machine does. Its replies are filler of the
length that a large model's recorded answers have; nothing is said of accuracy here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dnc_edge import prompts
from dnc_edge.batch.records import records
from dnc_edge.bench.loopback import LoopbackSolver, Reply
from dnc_edge.bench.machine import machine
from dnc_edge.bench.results import GraphResult, GraphRow
from dnc_edge.decomposers import GivenDecomposer, Planning
from dnc_edge.errors import UsageError
from dnc_edge.pipeline import Pipeline
from dnc_edge.progress import SILENT, Progress
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.usage import BYTES_PER_TOKEN
from dnc_edge.solvers import ChatSolver
from dnc_edge.strategies.graph import is_wide
from dnc_edge.strategies.plan_graph import PlanGraph
from dnc_edge.tasks import Task, stats
from dnc_edge.types import Plan, PlanDelta, Question, Record, SubQuestion, Usage

STRATEGIES = ("static", "dynamic", "graph", "auto")
# The lines that ask for an answer: numbered, and without one below.
_OPEN_LINE = re.compile(r"^\d+\. .+$(?!\n   )", re.MULTILINE)


@dataclass(frozen=True)
class Pace:
    """How fast the parts are, and how long their texts.

    Attributes:
        latency, per_token: seconds of the solver for a request, and for each token of its reply.
        subanswer, answer: tokens of a sub-answer (32 is the mean of 1,869 that text-davinci-003 gave to MuSiQue's
            sub-questions, recorded in ProbTree), and of the final answer.
        plan: tokens a second with which the plan is decoded.
        price: dollars per million input and output tokens.
    """

    latency: float = 0.4
    per_token: float = 0.015
    subanswer: int = 32
    answer: int = 30
    plan: float = 100.0
    price: tuple[float, float] = (0.15, 0.6)


def graph(tasks: Sequence[Task], *, pace: Pace, jobs: int = 8, progress: Progress = SILENT) -> GraphResult:
    """Solve the gold plans of some tasks with each strategy.

    Args:
        tasks: with gold plans; problems without one are left out.
        pace: of solver and decomposer.
        jobs: questions at a time; each is timed by itself.
        progress: gets the number of questions that are done.

    Returns:
        a row for each task and strategy.

    Raises:
        UsageError: a task has no gold plan.
    """
    rows: list[GraphRow] = []
    with LoopbackSolver(lambda body: answered(body, pace)) as server:
        for task in tasks:
            plans = {Question(p.question, p.context, p.id): p.plan for p in task.problems if p.plan}
            if not plans:
                raise UsageError(f"the task {task.name} has no gold plans", hint="take another --task")
            made = {
                strategy: _solved(strategy, task.name, plans, server.address, pace, jobs, progress)
                for strategy in STRATEGIES
            }
            seconds = {strategy: [record.seconds for record in found] for strategy, found in made.items()}
            rows += [_row(task.name, strategy, plans, found, seconds) for strategy, found in made.items()]
    settings = {**vars(pace), "jobs": jobs, "tasks": [task.name for task in tasks]}
    return GraphResult(rows=rows, settings=settings, machine=machine())


def answered(body: Mapping[str, Any], pace: Pace) -> Reply:
    """The reply to a request: a line for each sub-question that it asks, and the final answer if it is not a step."""
    system, user = (message["content"] for message in body["messages"])
    asked = user.partition("\n\nSub-questions:\n")[2]
    step = system == prompts.step("", None, (), "")[0]["content"]
    lines = [] if step else _OPEN_LINE.findall(asked)
    words = (
        ["so " * pace.subanswer]
        if step
        else [f"{number}. {'so ' * pace.subanswer}" for number in range(1, len(lines) + 1)]
    )
    if not step:
        words.append(f"{prompts.FINAL_ANSWER} {'so ' * pace.answer}")
    tokens = pace.subanswer if step else pace.subanswer * len(lines) + pace.answer
    sent = sum(len(message["content"].encode()) for message in body["messages"]) // BYTES_PER_TOKEN
    return Reply("\n".join(words), pace.latency + pace.per_token * tokens, sent=sent, received=tokens)


class PacedDecomposer(GivenDecomposer):
    """Plans that exist already, delivered line by line at the pace of a student."""

    def __init__(self, plan_of: Callable[[Question], Sequence[str] | None], tokens_per_second: float) -> None:
        super().__init__("gold", plan_of)
        self._pace = tokens_per_second

    def decompose(self, question: Question) -> Planning:
        started = time.perf_counter()
        plan = self._plan(question)
        for number, line in enumerate(plan, start=1):
            yield from self._decode(line)
            yield SubQuestion(number, line)
        usage = Usage(requests=1, seconds=time.perf_counter() - started)
        return Plan(plan, raw="\n".join(plan), usage=usage)

    def next(self, question: Question, history: Sequence[tuple[str, str]]) -> Planning:
        started = time.perf_counter()
        plan = yield from super().next(question, history)
        for line in plan.subquestions:
            yield from self._decode(line)
        return replace(plan, usage=Usage(requests=1, seconds=time.perf_counter() - started))

    def _decode(self, line: str) -> Planning:
        yield PlanDelta(line[:1])
        time.sleep(len(line.encode()) / BYTES_PER_TOKEN / self._pace)
        yield PlanDelta(line[1:] + "\n")
        return Plan(())


def _solved(
    strategy: str,
    task: str,
    plans: Mapping[Question, Sequence[str]],
    address: str,
    pace: Pace,
    jobs: int,
    progress: Progress,
) -> list[Record]:
    """The records of all questions, in their order."""
    base_url, _, model = address.partition("#")
    solver = ChatSolver(Endpoint(model, base_url), Prices(remote=pace.price))
    decomposer = PacedDecomposer(plans.get, pace.plan)
    found: dict[str, Record] = {}
    for record in records(plans, Pipeline(strategy, decomposer, solver, prices=solver.prices), jobs=jobs):
        if record.error:
            raise AssertionError(f"the loopback solver failed: {record.error.message}")
        found[record.id] = record
        progress.step(f"{strategy} on {task}", len(found), len(plans))
    return [found[question.id or ""] for question in plans]


def _row(
    task: str,
    strategy: str,
    plans: Mapping[Question, Sequence[str]],
    found: Sequence[Record],
    seconds: Mapping[str, Sequence[float]],
) -> GraphRow:
    n = len(found)
    used = sum((usage for record in found for usage in record.usage.values()), Usage())
    ours = seconds[strategy]
    return GraphRow(
        task=task,
        strategy=strategy,
        n=n,
        width=stats.mean([PlanGraph.of(question, plan).width for question, plan in plans.items()]),
        wide=sum(is_wide(question, plan) for question, plan in plans.items()) / n,
        seconds=stats.mean(ours),
        over_static=stats.ratio(seconds["static"], ours),
        over_dynamic=stats.ratio(seconds["dynamic"], ours),
        slower=sum(one > other * 1.02 for one, other in zip(ours, seconds["static"], strict=True)) / n,
        requests=sum(record.usage["solve"].requests for record in found) / n,
        input_tokens=used.input_tokens / n,
        output_tokens=used.output_tokens / n,
        usd_per_1000=1000 * (used.cost_usd or 0.0) / n,
    )
