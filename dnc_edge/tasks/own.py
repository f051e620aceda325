"""Anyone's JSONL as a task: a question and its answer a line, under whatever names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dnc_edge import files, parse
from dnc_edge.errors import InputError
from dnc_edge.tasks.problem import Problem, plain, same_number

COLUMNS = ("question", "answer", "context", "id", "plan")


def load(path: Path, columns: Mapping[str, str]) -> list[Problem]:
    """The problems of a file.

    Args:
        path: JSONL; a plan is a list of sub-questions.
        columns: our name to the file's, for those of `COLUMNS` that differ.

    Raises:
        InputError: the file cannot be read, or a line lacks question or answer.
    """
    name = {ours: columns.get(ours, ours) for ours in COLUMNS}
    problems = []
    for number, (where, row) in enumerate(files.objects(path), start=1):
        try:
            question, answer = str(row[name["question"]]), str(row[name["answer"]])
        except KeyError as error:
            have = ", ".join(row)
            raise InputError(f"{where}: no {error}", hint=f"it has: {have}; name it with --column OURS=NAME") from error
        plan = row.get(name["plan"])
        given = str(row.get(name["id"]) or f"{path.stem}-{number}")
        problems.append(
            Problem(given, question, answer, None if plan is None else tuple(map(str, plan)), row.get(name["context"]))
        )
    return problems


def same_answer(answer: str | None, gold: str) -> bool:
    """Whether two final answers are the same: as numbers where gold is one, else as normalised text."""
    if parse.number(gold) is not None and not any(c.isalpha() for c in gold):
        return same_number(answer, gold)
    return plain(answer or "") == plain(gold)


def scores(answer: str | None, problem: Problem) -> dict[str, float]:
    """Accuracy, see `same_answer`."""
    return {"accuracy": float(same_answer(answer, problem.answer))}
