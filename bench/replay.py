"""Score answers that were recorded: GSM8K-AI-SubQ's files as they are, or records of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dnc_edge import files, parse
from dnc_edge.errors import InputError
from dnc_edge.tasks import Task, stats


@dataclass
class Replay:
    """What a recording comes to.

    Attributes:
        accuracy: with its interval, over the task's questions that are in the recording; n of them.
        missing: questions of the task that it lacks, by id.
        foreign, repeated: its records that ask something else, or again, by line.
    """

    file: str
    task: str
    accuracy: stats.Estimate
    missing: list[str] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        estimate = asdict(self.accuracy)
        return {"file": self.file, "task": self.task, "accuracy": estimate.pop("value"), **estimate} | {
            name: getattr(self, name) for name in ("missing", "foreign", "repeated")
        }


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
    result = Replay(path.name, task.name, stats.wilson(0, 0))
    for row in read(path):
        problem = wanted.get(letters(row.question))
        if problem is None:
            result.foreign.append(row.line)
        elif problem.id in hits:
            result.repeated.append(row.line)
        else:
            hits[problem.id] = task.scores(row.answer, problem)[task.metric]
    if not hits:
        raise InputError(f"{path}: no record asks a question of the task {task.name}", hint="choose another --task")
    result.accuracy = stats.mean(list(hits.values()))
    result.missing = [problem.id for problem in task.problems if problem.id not in hits]
    return result


def read(path: Path) -> Iterator[Recorded]:
    """The replies of a recording, in order.

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
    """The results for a person."""
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
