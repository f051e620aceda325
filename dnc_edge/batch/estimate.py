"""What a run would cost, from a sample, without sending a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dnc_edge import prompts
from dnc_edge.edge import Edge
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.gate import bound
from dnc_edge.streams import result_of
from dnc_edge.types import Question, Usage

# English runs to about four bytes a token; solvers write about this much for a sub-question, and at the end.
BYTES_PER_TOKEN = 4
TOKENS_PER_STEP, TOKENS_AT_END = 45, 30
# Asked for one answer in one line, they write less.
TOKENS_PER_TURN = 20
SAMPLE = 20


@dataclass(frozen=True)
class Estimate:
    """For all questions: requests, tokens and dollars as expected, and dollars at the very most.

    Dollars are None where no price is known. `sampled` plans were decoded here to tell their length.
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


def sample(questions: Sequence[Question]) -> Sequence[Question]:
    """Some of many questions, evenly spread."""
    return questions[:: max(1, len(questions) // SAMPLE)][:SAMPLE]


def estimate(questions: Sequence[Question], total: int, edge: Edge) -> Estimate:
    """Estimate `total` questions by some of them.

    Args:
        questions: the sample, at least one; a local decomposer plans them.
        total: how many there are.
        edge: decomposer and solver; of `dynamic`, turns are taken to be as many as a plan has sub-questions.
    """
    pipeline = edge.pipeline()
    chat = getattr(pipeline.solver, "chat", None)
    asked = sent = written = 0
    expected: float | None = 0.0
    most: float | None = 0.0
    for question in questions:
        plan: Sequence[str] = ()
        if pipeline.decomposer and pipeline.decomposer.engine:
            plan = result_of(pipeline.decomposer.decompose(question)).subquestions
        elif pipeline.decomposer:
            plan = ("What is asked?",) * 3
        if chat is None:
            continue
        for messages, output in _requests(pipeline.strategy, question, plan):
            tokens = sum(len(message["content"].encode()) for message in messages) // BYTES_PER_TOKEN
            asked, sent, written = asked + 1, sent + tokens, written + output
            likely = chat.cost(Usage(requests=1, input_tokens=tokens, output_tokens=output), edge.prices)
            remote = isinstance(chat, Endpoint)
            worst = chat.cost(bound(chat.request(messages)), edge.prices) if remote else 0.0
            expected = None if likely is None or expected is None else expected + likely
            most = None if worst is None or most is None else most + worst
    scale = total / len(questions)
    return Estimate(
        questions=total,
        sampled=len(questions),
        requests=round(asked * scale),
        input_tokens=round(sent * scale),
        output_tokens=round(written * scale),
        expected_usd=None if expected is None else expected * scale,
        most_usd=None if most is None else most * scale,
    )


def _requests(strategy: str, question: Question, plan: Sequence[str]) -> Iterator[tuple[list[prompts.Message], int]]:
    """(messages, tokens of the likely reply) of every request to the solver."""
    if strategy != "dynamic" or not plan:
        output = TOKENS_PER_STEP * max(1, len(plan)) + TOKENS_AT_END
        yield prompts.solve(question.text, question.context, plan), output
        return
    turns = [(subquestion, "x" * BYTES_PER_TOKEN * TOKENS_PER_TURN) for subquestion in plan]
    for number, subquestion in enumerate(plan):
        yield prompts.step(question.text, question.context, turns[:number], subquestion), TOKENS_PER_TURN
    yield prompts.conclude(question.text, question.context, turns), TOKENS_AT_END
