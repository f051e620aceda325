"""What every task yields: a question with its gold answer, and a gold plan where there is one."""

from __future__ import annotations

from dataclasses import dataclass

from dnc_edge import parse


@dataclass(frozen=True)
class Problem:
    """One question of a task; `plan` is None where the task has no gold plans, empty where none is needed."""

    id: str
    question: str
    answer: str
    plan: tuple[str, ...] | None = None
    context: str | None = None


def same_number(answer: str | None, gold: str) -> bool:
    """Whether two final answers are the same number: 1,000 is 1000 and $5 is 5, but 18.75 is not 18."""
    given, wanted = parse.number(answer or ""), parse.number(gold)
    return given is not None and wanted is not None and abs(given - wanted) < 1e-6
