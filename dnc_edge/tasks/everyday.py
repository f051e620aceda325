"""Questions of every kind, written for this project: which are best left whole, and gold plans for the others.

`everyday.jsonl` holds a question a line; docs/bench.md has the rules of decision. The side "dev" of each kind is
for choosing thresholds and settings, "test" is looked at only to report; neither is ever trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dnc_edge import files
from dnc_edge.tasks.own import same_answer
from dnc_edge.tasks.problem import Problem, plain

Split = Literal["dev", "test"]

_FILE = Path(__file__).with_name("everyday.jsonl")


@dataclass(frozen=True)
class EverydayProblem(Problem):
    """A question with its kind; `plan` is empty if it is best left whole, `answer` if no one short answer is right."""

    kind: str = ""
    split: Split = "test"


def load(split: Split | None = None) -> list[EverydayProblem]:
    """The questions in order, kind by kind: of one side, or of both."""
    rows = [row for _, row in files.objects(_FILE)]
    return [
        EverydayProblem(
            f"everyday-{row['id']}",
            row["question"],
            row["answer"] or "",
            tuple(row["subquestions"]),
            row["context"],
            kind=row["kind"],
            split=row["split"],
        )
        for row in rows
        if split in (None, row["split"])
    ]


def scores(answer: str | None, problem: Problem) -> dict[str, float]:
    """Whether the answer is the gold one, and whether it contains it, after normalisation."""
    hit = same_answer(answer, problem.answer)
    return {
        "accuracy": float(hit),
        "containment": float(hit or f" {plain(problem.answer)} " in f" {plain(answer or '')} "),
    }
