"""CommonsenseQA: five choices each (as split by Distilling step-by-step; 1,221 test questions)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem, plain


def asked(row: Mapping[str, Any]) -> str:
    """A row's question, its choices on a line of their own; trained on and asked alike."""
    return f"{row['question'].strip()}\nChoices: {', '.join(row['choices'])}"


def load() -> list[Problem]:
    """The test questions in order.

    Raises:
        DataMissing: the data set is not there.
    """
    return [
        Problem(
            f"commonsenseqa-{row['id']}",
            asked(row),
            row["answer"],
            choices=tuple(row["choices"]),
        )
        for row in files.read_jsonl("distilling_step_by_step/cqa/cqa_test.json")
    ]


def scores(answer: str | None, problem: Problem) -> dict[str, float]:
    """Accuracy: the choice that is named, alone or as the longest one within the answer; a letter counts."""
    given = plain(answer or "")
    if len(given) == 1 and "a" <= given < chr(ord("a") + len(problem.choices)):
        return {"accuracy": float(problem.choices[ord(given) - ord("a")] == problem.answer)}
    named = [choice for choice in problem.choices if f" {plain(choice)} " in f" {given} "]
    # "soft drink" also holds "drink"; two that do not hold each other are no answer.
    longest = max(named, key=len, default="")
    sure = all(plain(choice) in plain(longest) for choice in named)
    return {"accuracy": float(bool(named) and sure and longest == problem.answer)}
