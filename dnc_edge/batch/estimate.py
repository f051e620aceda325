"""What a run would cost without sending a request: as expected, from a sample, and at the very most, from all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dnc_edge import prompts
from dnc_edge.decomposers import ChatDecomposer, Decomposer, GivenDecomposer, StudentDecomposer
from dnc_edge.edge import Edge
from dnc_edge.errors import UsageError
from dnc_edge.pipeline import Pipeline
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.gate import bound
from dnc_edge.remote.usage import BYTES_PER_TOKEN, CHARACTERS_PER_TOKEN
from dnc_edge.solvers import ChatSolver, FallbackSolver, LocalSolver, Solver
from dnc_edge.strategies import Auto, Dynamic, Graph, Single, Static
from dnc_edge.strategies.graph import is_wide
from dnc_edge.strategies.plan_graph import PlanGraph
from dnc_edge.streams import result_of
from dnc_edge.students.chat import LocalChat
from dnc_edge.types import Question, Usage

# Solvers write about this many tokens for a sub-question, and at the end.
TOKENS_PER_STEP, TOKENS_AT_END = 45, 30
# Asked for one answer in one line, they write less.
TOKENS_PER_TURN = 20
# What decomposers write.
TOKENS_PER_SUBQUESTION, SUBQUESTIONS = 15, 3
# Bytes of a line's number and break.
PER_LINE = 8
SAMPLE = 20
# What other packages add has costs of its own.
KNOWN = (ChatDecomposer, GivenDecomposer, StudentDecomposer, ChatSolver, FallbackSolver, LocalSolver)
KNOWN_STRATEGIES = (Single, Static, Dynamic, Graph, Auto)


@dataclass(frozen=True)
class Estimate:
    """For all questions: requests, tokens and dollars as expected, and dollars at the very most.

    Dollars are None if no price is known; the most is None, too, if local work is priced by the second. `sampled`
    plans were made here to tell their length.
    """

    questions: int
    sampled: int
    requests: int
    input_tokens: int
    output_tokens: int
    expected_usd: float | None
    most_usd: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def estimate(questions: Sequence[Question], edge: Edge, *, solve: bool = True) -> Estimate:
    """Estimate a run.

    Args:
        questions: all of them, at least one; a local decomposer plans some.
        edge: decomposer and solver; of `dynamic`, turns are expected to be as many as a plan has sub-questions.
        solve: plan and solve, or plan alone.
    """
    pipeline = edge.pipeline(solve=solve)
    sample = questions[:: max(1, len(questions) // SAMPLE)][:SAMPLE]
    expected = Usage()
    for question in sample:
        expected += _expected(pipeline, question)
    scale = len(questions) / len(sample)
    most = Usage()
    for question in questions:
        most += Usage(cost_usd=_most(pipeline, question))
    return Estimate(
        questions=len(questions),
        sampled=len(sample),
        requests=round(expected.requests * scale),
        input_tokens=round(expected.input_tokens * scale),
        output_tokens=round(expected.output_tokens * scale),
        expected_usd=None if expected.cost_usd is None else expected.cost_usd * scale,
        most_usd=most.cost_usd,
    )


def _remote(part: Decomposer | Solver | None) -> Endpoint | None:
    """The endpoint that a decomposer or solver asks; None if it works here."""
    if isinstance(part, FallbackSolver):
        part = part.first
    chat = part.chat if isinstance(part, ChatDecomposer | ChatSolver) else None
    return chat if isinstance(chat, Endpoint) else None


# As expected


def _expected(pipeline: Pipeline, question: Question) -> Usage:
    """What the remote requests of a question are expected to use, and all of it to cost."""
    used = Usage()
    plan: Sequence[str] = ()
    if pipeline.decomposer and _remote(pipeline.decomposer):
        plan = ("What is asked?",) * SUBQUESTIONS
    elif pipeline.decomposer:
        made = result_of(pipeline.decomposer.decompose(question))
        plan, used = made.subquestions, Usage(cost_usd=made.usage.cost_usd)
    solver = pipeline.solver
    if (
        pipeline.routes
        or not isinstance(pipeline.method, KNOWN_STRATEGIES)
        or (solver and (not isinstance(solver, KNOWN) or (not _remote(solver) and pipeline.prices.local)))
    ):
        used += Usage(cost_usd=None)
    for endpoint, messages, output in _requests(pipeline, question, plan):
        tokens = sum(len(message["content"].encode()) for message in messages) // BYTES_PER_TOKEN
        likely = Usage(requests=1, input_tokens=tokens, output_tokens=output)
        used += replace(likely, cost_usd=endpoint.cost(likely, pipeline.prices))
    return used


def _requests(
    pipeline: Pipeline, question: Question, plan: Sequence[str]
) -> Iterator[tuple[Endpoint, list[prompts.Message], int]]:
    """(endpoint, messages, tokens of the likely reply) of every remote request."""
    text, context = question.text, question.context
    planner, solver = _remote(pipeline.decomposer), _remote(pipeline.solver)
    turns = [(subquestion, "x" * BYTES_PER_TOKEN * TOKENS_PER_TURN) for subquestion in plan]
    if planner and not pipeline.method.plans_first:
        for number in range(len(plan) + 1):
            messages = prompts.next_subquestion(text, context, turns[:number])
            yield planner, messages, TOKENS_PER_SUBQUESTION
    elif planner:
        yield planner, _decompose(pipeline, question), TOKENS_PER_SUBQUESTION * max(1, len(plan))
    if solver and not pipeline.method.plans_first and plan:
        for number, subquestion in enumerate(plan):
            yield solver, prompts.step(text, context, turns[:number], subquestion), TOKENS_PER_TURN
        yield solver, prompts.conclude(text, context, turns), TOKENS_AT_END
    elif solver and plan and _side_by_side(pipeline, question, plan):
        graph = PlanGraph.of(question, plan)
        for number, subquestion in enumerate(plan):
            behind = [turns[index] for index in graph.behind(number)]
            yield solver, prompts.step(text, context, behind, subquestion), TOKENS_PER_TURN
        yield solver, prompts.conclude(text, context, turns), TOKENS_AT_END
    elif solver:
        yield solver, _solve(pipeline, question, plan), TOKENS_PER_STEP * max(1, len(plan)) + TOKENS_AT_END


def _side_by_side(pipeline: Pipeline, question: Question, plan: Sequence[str]) -> bool:
    method = pipeline.method
    return isinstance(method, Graph) or (isinstance(method, Auto) and is_wide(question, plan))


def _decompose(pipeline: Pipeline, question: Question) -> list[prompts.Message]:
    decomposer = pipeline.decomposer
    shots = decomposer.shots if isinstance(decomposer, ChatDecomposer) else 0
    cap = decomposer.cap if decomposer else 0
    return prompts.decompose(question.text, question.context, cap=cap, shots=shots)


def _solve(pipeline: Pipeline, question: Question, plan: Sequence[str]) -> list[prompts.Message]:
    solver = pipeline.solver.first if isinstance(pipeline.solver, FallbackSolver) else pipeline.solver
    shots = solver.shots if isinstance(solver, ChatSolver) else 0
    return prompts.solve(question.text, question.context, plan, direct=pipeline.mode == "direct", shots=shots)


# At the very most


def _most(pipeline: Pipeline, question: Question) -> float | None:
    """Dollars of a question if every plan and reply is as long as allowed, and every attempt is charged."""
    parts = [part for part in (pipeline.decomposer, pipeline.solver) if part]
    if (
        pipeline.routes
        or not isinstance(pipeline.method, KNOWN_STRATEGIES)
        or not all(isinstance(part, KNOWN) for part in parts)
    ):
        return None
    local = any(not _remote(part) or isinstance(part, FallbackSolver) for part in parts)
    if local and pipeline.prices.local:
        return None
    total = Usage()
    try:
        for endpoint, ceiling in _ceilings(pipeline, question):
            cost = endpoint.cost(ceiling, pipeline.prices)
            total += Usage(cost_usd=None if cost is None else cost * endpoint.retry.attempts)
    except UsageError:  # a request without a bound
        return None
    return total.cost_usd


def _ceilings(pipeline: Pipeline, question: Question) -> Iterator[tuple[Endpoint, Usage]]:
    """(endpoint, the most that it can use) of every remote request.

    A sub-question of `dynamic`, `graph` or `auto` is taken to refer to each earlier answer once.
    """
    planner, solver = _remote(pipeline.decomposer), _remote(pipeline.solver)
    text, context = question.text, question.context
    turns, plan = _longest_plan(pipeline.decomposer, question)
    ends: list[Usage] = []
    if not pipeline.method.asks_once and solver:
        answer = _longest_reply(solver)
        turn = plan + answer + 2 * PER_LINE
        for number in range(turns):
            if planner and not pipeline.method.plans_first:
                yield planner, _ceiling(planner, prompts.next_subquestion(text, context, [("?", "?")]), number * turn)
            messages = prompts.step(text, context, [("?", "?")], "?")
            yield solver, _ceiling(solver, messages, number * (turn + answer) + plan)
        ends.append(_ceiling(solver, prompts.conclude(text, context, [("?", "?")]), turns * turn))
    if planner and pipeline.method.plans_first:
        yield planner, _ceiling(planner, _decompose(pipeline, question), 0)
    if solver:
        # One of these ends the question: with a plan, or with an empty one, which other words ask for.
        ends.append(_ceiling(solver, _solve(pipeline, question, ("?",) if turns else ()), plan + turns * PER_LINE))
        ends.append(_ceiling(solver, _solve(pipeline, question, ()), 0))
        yield solver, max(ends, key=lambda end: end.input_tokens)


def _ceiling(endpoint: Endpoint, messages: list[prompts.Message], more: int) -> Usage:
    """The most that a request can use whose messages grow by so many bytes."""
    most = bound(endpoint.request(messages))
    return replace(most, input_tokens=most.input_tokens + more)


def _longest_reply(endpoint: Endpoint) -> int:
    """Bytes of the longest text that an endpoint can reply."""
    return bound(endpoint.request([])).output_tokens * CHARACTERS_PER_TOKEN


def _longest_plan(decomposer: Decomposer | None, question: Question) -> tuple[int, int]:
    """(sub-questions, bytes of their text) of the longest plan that can be made."""
    if decomposer is None:
        return 0, 0
    if isinstance(decomposer, GivenDecomposer):
        plan = result_of(decomposer.decompose(question)).subquestions
        return len(plan), sum(len(line.encode("utf-8", "surrogatepass")) for line in plan)
    if isinstance(decomposer, StudentDecomposer):
        return decomposer.cap, decomposer.student.manifest.roles["decompose"].max_tokens * CHARACTERS_PER_TOKEN
    if endpoint := _remote(decomposer):
        return decomposer.cap, _longest_reply(endpoint)
    if isinstance(decomposer, ChatDecomposer) and isinstance(decomposer.chat, LocalChat):
        return decomposer.cap, decomposer.chat.max_tokens * CHARACTERS_PER_TOKEN
    raise UsageError(f"the plans of {decomposer.name} have no bound")
