"""FanOutQA dev: 149 questions that fan out into many, with people's graphs of sub-questions (Zhu et al. 2024).

For evaluation only: its licence is share-alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem, plain

# Separates the parts of a gold answer, each of which an answer should hold.
_PART = "; "


def load() -> list[Problem]:
    """The questions in order; what a sub-question depends on is written into it as references.

    Raises:
        DataMissing: the data set is not there.
    """
    return [
        Problem(
            f"fanoutqa-{row['id']}",
            row["question"].strip(),
            _PART.join(_values(row["answer"])),
            _plan(row["decomposition"]),
        )
        for row in files.read_jsonl("fanoutqa/test.jsonl")
    ]


def scores(answer: str | None, problem: Problem) -> dict[str, float]:
    """Accuracy: the share of the gold answer's parts that the answer holds (the authors' loose accuracy)."""
    given = f" {plain(answer or '')} "
    parts = [plain(part) for part in problem.answer.split(_PART)]
    return {"accuracy": sum(f" {part} " in given for part in parts) / len(parts)}


def _plan(steps: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    numbers: dict[str, int] = {}
    plan: list[str] = []
    for id, question, needs in _flat(steps, ()):
        references = ", ".join(f"#{numbers[need]}" for need in dict.fromkeys(needs))
        numbers[id] = len(plan) + 1
        plan.append(f"{question.strip().rstrip('?. ')}{f' ({references})' if references else ''}?")
    return tuple(plan)


def _flat(steps: Sequence[Mapping[str, Any]], outer: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """(id, question, ids that it needs) of each step: parts before their whole, which needs them."""
    for step in steps:
        needs = [*outer, *step["depends_on"]]
        yield from _flat(step["decomposition"], needs)
        yield step["id"], step["question"], [*needs, *(part["id"] for part in step["decomposition"])]


def _values(answer: Any) -> list[str]:
    """The parts of a gold answer, however it is nested."""
    if isinstance(answer, Mapping):
        return [value for pair in answer.items() for one in pair for value in _values(one)]
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return [value for one in answer for value in _values(one)]
    return [{True: "yes", False: "no"}.get(answer, str(answer)) if isinstance(answer, bool) else str(answer)]
