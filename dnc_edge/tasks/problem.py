"""What every task yields: a question with its gold answer, and a gold plan where there is one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dnc_edge import parse
from dnc_edge.types import Record


@dataclass(frozen=True)
class Problem:
    """One question of a task.

    Attributes:
        answer: the gold answer, empty for an open question; also: other answers that are accepted.
        plan: None where the task has no gold plans, empty where none is needed.
        choices: what a multiple-choice question offers.
    """

    id: str
    question: str
    answer: str
    plan: tuple[str, ...] | None = None
    context: str | None = None
    also: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


def short_answer(record: Record) -> str | None:
    """The short answer that a record gives to a task's question, an unmarked one included; None if it failed.

    `record.answer` is what a person is told, and None for a text of several sentences. A task knows that its question
    has a short answer, so it looks for one in the text (`parse.scored_answer`).
    """
    if record.error:
        return None
    return parse.scored_answer(record.text) if record.text else record.answer


def same_number(answer: str | None, gold: str) -> bool:
    """Whether two final answers are the same number: 1,000 is 1000 and $5 is 5, but 18.75 is not 18."""
    given, wanted = parse.number(answer or ""), parse.number(gold)
    return given is not None and wanted is not None and abs(given - wanted) < 1e-6


def number_scores(answer: str | None, problem: Problem) -> dict[str, float]:
    """Accuracy of a number."""
    return {"accuracy": float(same_number(answer, problem.answer))}


def plain(text: str) -> str:
    """Lower case, no articles, no punctuation, single spaces: the form in which short answers are compared."""
    words = re.sub(r"[^\w\s]", "", text.lower()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def short_scores(answer: str | None, problem: Problem) -> dict[str, float]:
    """Exact match, and whether the answer contains a gold one, after normalisation."""
    given = plain(answer or "")
    accepted = [plain(gold) for gold in (problem.answer, *problem.also)]
    return {
        "accuracy": float(given in accepted),
        "containment": float(any(f" {gold} " in f" {given} " for gold in accepted)),
    }
