"""Demonstrations: what a teacher (a model, a person, a program) shows a student.

One JSON line each:

    {"id": "gsm8k-train-17", "question": "...", "context": null,
     "subquestions": ["...", "..."],          []: needs no decomposition; null: not shown
     "solution": "1. ...\\n2. ...\\nThe answer is: 72",     null: not shown
     "answer": "72", "teacher": "gsm8k-socratic", "source": "gsm8k/train_socratic.jsonl:17"}

`teacher` tells who wrote the plan and the solution, so that several teachers mix in one file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dnc_edge import files
from dnc_edge.errors import InputError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.types import Record

# Between a question's id and the number of a further sample of it: "gsm8k-train-17~2".
SAMPLE = "~"


@dataclass(frozen=True)
class Demonstration:
    id: str
    question: str
    teacher: str
    source: str
    context: str | None = None
    subquestions: tuple[str, ...] | None = None
    solution: str | None = None
    answer: str | None = None


def of_record(record: Record) -> Demonstration:
    """Return a record as a demonstration: its decomposer's plan, its solver's solution."""
    return Demonstration(
        record.id,
        record.question,
        teacher=", ".join(filter(None, (record.decomposer, record.solver))) or "own",
        source="log",
        context=record.context,
        subquestions=record.subquestions,
        solution=record.text,
        answer=record.answer,
    )


def half(question: str) -> int:
    """Return which half of all questions one belongs to by its text, 0 or 1; for cross-fitting."""
    return hashlib.sha256(question.strip().encode()).digest()[1] & 1


def read(path: Path, *, skip_bad: bool = False, progress: Progress = SILENT) -> Iterator[Demonstration]:
    """Yield the demonstrations of a JSONL file.

    Args:
        path: the file.
        skip_bad: skip lines that cannot be used instead of raising their error.
        progress: gets the error of each skipped line.

    Raises:
        InputError: the file cannot be read; a line is not JSON or not a demonstration.
    """
    for where, line in files.lines(path):
        try:
            yield _demonstration(json.loads(line))
        except (ValueError, TypeError, AttributeError) as error:
            broken = InputError(f"{where}: not a demonstration ({error})", hint="docs/training.md describes the record")
            if not skip_bad:
                raise broken from error
            progress.skipped(broken)


def _demonstration(fields: dict[str, Any]) -> Demonstration:
    """Raises TypeError or ValueError where the fields are not a demonstration's."""
    if (plan := fields.get("subquestions")) is not None:
        if not isinstance(plan, list) or not all(isinstance(line, str) and line.strip() for line in plan):
            raise ValueError("subquestions is no list of sub-questions")
        fields["subquestions"] = tuple(plan)
    made = Demonstration(**fields)
    if not isinstance(made.question, str) or not made.question.strip():
        raise ValueError("the question is empty")
    return made


def write(path: Path, records: Iterable[Any]) -> int:
    """Write demonstrations, or what else is a dataclass, as JSONL; returns how many."""
    count = 0
    with files.writing(path) as out:
        for record in records:
            out.write(json.dumps(asdict(record), ensure_ascii=False).encode() + b"\n")
            count += 1
    return count
