"""What a program writes: a question with its plan, or one that is best left whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A question and its exact plan; an empty plan: best left whole."""

    question: str
    plan: tuple[str, ...]
    context: str | None = None
