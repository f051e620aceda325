"""Demonstrations to token ids: the prompt of a role and its completion, each token with its loss weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dnc_edge.prompts import NO_DECOMPOSITION, user_message
from dnc_edge.students.template import render
from dnc_edge.train.demonstrations import Demonstration

TEMPLATES = {
    "decompose": "<|decompose|> {user}<|plan|>",
    "solve": "<|solve|> {user}<|answer|>",
}


@dataclass(frozen=True)
class Example:
    """One training sequence: `tokens[i]` is predicted with weight `weights[i]` (0: not at all)."""

    tokens: list[int]
    weights: list[float]


def pair(demonstration: Demonstration, role: str, *, with_plan: bool = True) -> tuple[str, str] | None:
    """Return (user message, completion) of a role; None if the demonstration does not show it."""
    plan = demonstration.subquestions
    if role == "decompose":
        if plan is None:
            return None
        completion = "\n".join(plan) if plan else NO_DECOMPOSITION
        return user_message(demonstration.question, demonstration.context), completion
    if demonstration.solution is None:
        return None
    solution = demonstration.solution
    if not with_plan or not plan:
        # Without sub-questions there is nothing to number.
        solution = "\n".join(
            line.split(". ", 1)[-1] if line[:1].isdigit() and ". " in line[:4] else line
            for line in solution.split("\n")
        )
        plan = ()
    return user_message(demonstration.question, demonstration.context, plan), solution


class Encoder:
    """Turns pairs into examples with the tokenizer of a checkpoint directory."""

    def __init__(
        self, tokenizer: Any, templates: dict[str, str] = TEMPLATES, *, limit: int = 2048, end: int | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.tokenizer.backend_tokenizer.encode_special_tokens = True
        self.templates = templates
        self.limit = limit
        self.end = tokenizer.eos_token_id if end is None else end

    def subword_sampling(self, dropout: float) -> None:
        """Set the share (0 to 1) of merges that are left out at random while encoding (BPE dropout)."""
        self.tokenizer.backend_tokenizer.model.dropout = dropout or None

    def text(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def prompt(self, role: str, user: str) -> list[int]:
        ids: list[int] = []
        for piece in render(self.templates[role], user):
            ids += [self.tokenizer.convert_tokens_to_ids(piece.text)] if piece.control else self.text(piece.text)
        return ids

    def example(self, role: str, user: str, completion: str, *, prompt_weight: float) -> Example | None:
        """Encode an example; None if it is longer than the limit."""
        prompt = self.prompt(role, user)
        target = [*self.text(completion), self.end]
        if len(prompt) + len(target) > self.limit:
            return None
        return Example(prompt + target, [0.0] + [prompt_weight] * (len(prompt) - 1) + [1.0] * len(target))
