"""Demonstrations: what a teacher (a model, a person, a program) shows a student.

One JSON line each:

    {"id": "gsm8k-train-17", "question": "...", "context": null,
     "subquestions": ["...", "..."],          []: needs no decomposition; null: not shown
     "solution": "1. ...\\n2. ...\\nThe answer is: 72",     null: not shown
     "answer": "72", "teacher": "gsm8k-socratic", "source": "gsm8k/train_socratic.jsonl:17"}

`teacher` tells who wrote the plan and the solution, so that several teachers mix in one file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from dnc_edge.errors import InputError


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


def read(path: Path) -> Iterator[Demonstration]:
    """Demonstrations of a JSONL file; a broken line is named by its number.

    Raises:
        InputError: a line is not JSON or not a demonstration.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                fields = json.loads(line)
                if fields.get("subquestions") is not None:
                    fields["subquestions"] = tuple(fields["subquestions"])
                yield Demonstration(**fields)
            except (json.JSONDecodeError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{path}, line {number}: not a demonstration ({error})",
                    hint="docs/training.md describes the record",
                ) from error


def write(path: Path, demonstrations: Iterable[Demonstration]) -> int:
    """Write JSONL; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for demonstration in demonstrations:
            out.write(json.dumps(asdict(demonstration), ensure_ascii=False) + "\n")
            count += 1
    return count
