"""A solver that takes messages: an OpenAI-compatible endpoint, or any local chat model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dnc_edge import parse, prompts
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.protocol import Chat, priced
from dnc_edge.solvers.protocol import History, Mode, Solving
from dnc_edge.types import Answer, AnswerDelta, Question


class ChatSolver:
    """Sends the messages of `prompts`, reads the reply with `parse`."""

    small = False

    def __init__(self, chat: Chat, prices: Prices | None = None, *, shots: int = 0) -> None:
        self.chat: Chat | None = chat
        self._chat = chat
        self.shots = shots
        self.prices = prices or Prices()
        self.name = chat.name
        self.identity: Mapping[str, Any] = {**chat.identity, "shots": shots}

    def prepare(self) -> None:
        self._chat.prepare()

    def solve(self, question: Question, plan: Sequence[str], mode: Mode) -> Solving:
        direct = mode == "direct"
        messages = prompts.solve(question.text, question.context, plan, direct=direct, shots=self.shots)
        answer = yield from self._ask(messages)
        # The numbered steps of a how-to are no answers to sub-questions.
        return answer if plan else replace(answer, subanswers=())

    def step(self, question: Question, history: History, subquestion: str) -> Solving:
        return self._ask(prompts.step(question.text, question.context, history, subquestion))

    def conclude(self, question: Question, history: History, rest: Sequence[str] = ()) -> Solving:
        return self._ask(prompts.conclude(question.text, question.context, history, rest))

    def _ask(self, messages: list[prompts.Message]) -> Solving:
        reply = yield from priced(self._chat, messages, self.prices, AnswerDelta)
        return Answer(
            answer=parse.final_answer(reply.text),
            text=reply.text,
            subanswers=parse.subanswers(reply.text),
            finish_reason=reply.finish_reason,
            usage=reply.usage,
        )
