"""A solver behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dnc_edge import parse, prompts
from dnc_edge.endpoint import Endpoint
from dnc_edge.pricing import Prices
from dnc_edge.solvers.protocol import History, Mode, Solving
from dnc_edge.types import Answer, AnswerDelta, Question


class EndpointSolver:
    """Sends the instruction of `prompts` and the user message; prices the provider's token counts."""

    small = False

    def __init__(self, endpoint: Endpoint, prices: Prices | None = None) -> None:
        self.endpoint = endpoint
        self.prices = prices or Prices()
        self.name = endpoint.name

    def identity(self) -> dict[str, Any]:
        return self.endpoint.identity()

    def prepare(self) -> None:
        self.endpoint.prepare()

    def solve(self, question: Question, plan: Sequence[str], mode: Mode) -> Solving:
        instruction = prompts.SOLVE if plan or mode == "cot" else prompts.SOLVE_DIRECT
        return self._ask(instruction, prompts.user_message(question.text, question.context, plan))

    def step(self, question: Question, history: History, subquestion: str) -> Solving:
        message = prompts.dynamic_message(question.text, question.context, history, subquestion)
        return self._ask(prompts.SOLVE_STEP, message)

    def conclude(self, question: Question, history: History) -> Solving:
        message = prompts.dynamic_message(question.text, question.context, history)
        return self._ask(prompts.SOLVE_FINAL, message)

    def _ask(self, instruction: str, message: str) -> Solving:
        stream = self.endpoint.stream(
            [{"role": "system", "content": instruction}, {"role": "user", "content": message}]
        )
        while True:
            try:
                yield AnswerDelta(next(stream))
            except StopIteration as ended:
                reply = ended.value
                break
        return Answer(
            answer=parse.final_answer(reply.text),
            text=reply.text,
            subanswers=parse.subanswers(reply.text),
            finish_reason=reply.finish_reason,
            usage=replace(
                reply.usage, cost_usd=self.prices.of(self.endpoint.model, self.endpoint.base_url, reply.usage)
            ),
        )
