"""Solver feedback: several sampled plans of each question, solved; those that reach the answer are preferred.

Cross-fitted (docs/method.md): a solver that was trained on one half of the questions judges the plans of the
other, so that what it has learned by heart does not pass for a good plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnc_edge import files
from dnc_edge.errors import InputError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.tasks.own import same_answer
from dnc_edge.tasks.problem import short_answer
from dnc_edge.train.demonstrations import Demonstration, half
from dnc_edge.train.sampling import sampled

if TYPE_CHECKING:
    from dnc_edge.batch.paid import PaidRun


@dataclass(frozen=True)
class Tried:
    """One sampled plan, and whether the solver reached the gold answer through it."""

    id: str
    question: str
    context: str | None
    subquestions: tuple[str, ...]
    logprob: float
    solved: bool


@dataclass(frozen=True)
class Preference:
    """Two plans of one question: the solver succeeds through `chosen` and fails through `rejected`."""

    id: str
    question: str
    context: str | None
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]


def feedback(
    questions: Sequence[Demonstration],
    student: str | None,
    solvers: Sequence[str],
    out: Path,
    *,
    run: PaidRun,
    samples: int = 4,
    temperature: float = 0.8,
    jobs: int = 8,
    progress: Progress = SILENT,
) -> list[Tried]:
    """Sample a student's plans, and have them solved.

    Args:
        questions: with gold answers.
        student: whose plans; name or directory, None for the bundled one.
        solvers: one for all; or two, the first trained on half 0 and asked about half 1, the second the other way.
        out: names the files that are kept, so that a run that was stopped goes on.
        run, samples, jobs, progress: see `sampled`. temperature: of the plans.

    Raises:
        InputError: a question has no gold answer. BudgetReached, SolverError: the run cannot go on.
    """
    unknown = [question.id for question in questions if question.answer is None]
    if unknown:
        raise InputError(f"{len(unknown)} questions have no gold answer: {', '.join(unknown[:5])}")
    gold = {question.id: question for question in questions}
    tried = []
    for number, solver in enumerate(solvers):
        asked = [q for q in questions if len(solvers) == 1 or half(q.question) != number]
        part = out.with_name(f"{out.stem}.solver-{number + 1}.jsonl")
        settings: dict[str, Any] = {"student": student, "solver": solver, "temperature": temperature}
        for _, record in sampled(asked, part, settings, samples=samples, run=run, jobs=jobs, progress=progress):
            solved = same_answer(short_answer(record), gold[record.id].answer or "")
            plan = record.subquestions or ()
            tried.append(Tried(record.id, record.question, record.context, plan, record.plan_logprob or 0.0, solved))
    return tried


def preferences(tried: Iterable[Tried]) -> list[Preference]:
    """Return a pair for each question with plans that succeeded and plans that failed: the likeliest of each."""
    by_question: dict[str, list[Tried]] = {}
    for one in tried:
        if one.subquestions:
            by_question.setdefault(one.id, []).append(one)
    pairs = []
    for id, plans in by_question.items():
        order = sorted(plans, key=lambda plan: -plan.logprob)
        right = next((plan for plan in order if plan.solved), None)
        succeeded = {plan.subquestions for plan in plans if plan.solved}
        wrong = next((plan for plan in order if not plan.solved and plan.subquestions not in succeeded), None)
        if right and wrong:
            pairs.append(Preference(id, right.question, right.context, right.subquestions, wrong.subquestions))
    return pairs


def read(path: Path) -> list[Preference]:
    """Read preferences from a JSONL file.

    Raises:
        InputError: it cannot be read, or a line is none.
    """
    pairs = []
    for where, line in files.lines(path):
        try:
            fields = json.loads(line)
            pairs.append(Preference(**fields | {name: tuple(fields[name]) for name in ("chosen", "rejected")}))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{where}: not a preference ({error})") from error
    return pairs
