"""Score answers that were recorded: GSM8K-AI-SubQ's files as they are, or records of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge import files, parse
from dnc_edge.errors import InputError
from dnc_edge.tasks import Task, stats
from dnc_edge.typed_json import build, plain


@dataclass(frozen=True)
class Replay:
    """The score of a recording.

    Attributes:
        accuracy: over the task's questions that are in the recording.
        missing: ids of the task's questions that are not in it.
        foreign, repeated: lines of its records that ask another question, and that ask one again.
    """

    file: str
    task: str
    accuracy: stats.Estimate
    missing: tuple[str, ...]
    foreign: tuple[int, ...]
    repeated: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, those of the accuracy's estimate beside the others."""
        values: dict[str, Any] = plain(self)
        estimate: dict[str, Any] = values.pop("accuracy")
        return {"file": self.file, "task": self.task, "accuracy": estimate.pop("value")} | estimate | values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Replay:
        """Build the score from what `to_dict` returned.

        Raises:
            ValueError: a field is missing or of another type.
        """
        estimate = {"value": values.get("accuracy")} | {name: values.get(name) for name in ("low", "high", "n")}
        return build(cls, {**values, "accuracy": estimate})


@dataclass(frozen=True)
class Recorded:
    """One recorded reply, by the line it stands on."""

    line: int
    question: str
    answer: str | None


def replay(path: Path, task: Task) -> Replay:
    """Score a recording.

    A question is found by its letters and digits, so that other quotes and spaces do not hide it.

    Args:
        path: JSONL, gzip-compressed or not: rows with `problem` (or `question`) and `answers` (the solver's reply), or
            records of dnc-edge.
        task: whose questions and gold answers.

    Raises:
        InputError: the file cannot be read, or a line is no recorded reply; none is of this task.
    """
    task = task.answered
    wanted = {letters(problem.question): problem for problem in task.problems}
    hits: dict[str, float] = {}
    foreign, repeated = [], []
    for row in read(path):
        problem = wanted.get(letters(row.question))
        if problem is None:
            foreign.append(row.line)
        elif problem.id in hits:
            repeated.append(row.line)
        else:
            hits[problem.id] = task.scores(row.answer, problem)[task.metric]
    if not hits:
        raise InputError(f"{path}: no record asks a question of the task {task.name}", hint="choose another --task")
    missing = tuple(problem.id for problem in task.problems if problem.id not in hits)
    accuracy = stats.mean(list(hits.values()))
    return Replay(path.name, task.name, accuracy, missing, tuple(foreign), tuple(repeated))


def read(path: Path) -> Iterator[Recorded]:
    """Yield the replies of a recording, in order.

    Raises:
        InputError: the file cannot be read, or a line is no recorded reply.
    """
    for number, (where, line) in enumerate(files.lines(path), start=1):
        yield _recorded(line, number, where)


def _recorded(line: bytes, number: int, where: str) -> Recorded:
    try:
        row = json.loads(line)
        question = row.get("problem") or row["question"]
        if "schema" in row:
            # Our own record: a failed one is there, and wrong.
            return Recorded(number, question, None if row["error"] else _read(row.get("text")) or row["answer"])
        reply = row["answers"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{where}: no recorded reply ({error})", hint="a line has problem and answers, or is a dnc-edge record"
        ) from error
    reply = reply[0] if isinstance(reply, list) else reply
    return Recorded(number, question, _read(reply))


def _read(reply: str | None) -> str | None:
    return parse.scored_answer(reply) if reply else None


def letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def table(results: list[Replay]) -> str:
    """Return the results for a person, one or more lines each."""
    lines = []
    for result in results:
        value = result.accuracy
        line = f"{result.file}: {value.value:.1%} [{value.low:.1%}, {value.high:.1%}] of {value.n}"
        for name in ("missing", "foreign", "repeated"):
            if found := getattr(result, name):
                shown = ", ".join(map(str, found[:5])) + (" ..." if len(found) > 5 else "")
                line += f"\n  {len(found)} {name}: {shown}"
        lines.append(line)
    return "\n".join(lines)
