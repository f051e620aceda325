"""Demonstrations by a teacher: any endpoint decomposes questions and solves them through its own plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnc_edge.errors import InputError
from dnc_edge.models import shown
from dnc_edge.progress import SILENT, Progress
from dnc_edge.prompts import FINAL_ANSWER, numbered
from dnc_edge.tasks.problem import short_answer
from dnc_edge.train.demonstrations import SAMPLE, Demonstration, write
from dnc_edge.train.sampling import sampled
from dnc_edge.types import Record

if TYPE_CHECKING:
    from dnc_edge.batch.paid import PaidRun


def demos(
    questions: Sequence[Demonstration],
    teacher: str,
    out: Path,
    *,
    run: PaidRun,
    solve: bool = True,
    samples: int = 1,
    jobs: int = 8,
    settings: dict[str, Any] | None = None,
    progress: Progress = SILENT,
) -> int:
    """Ask a teacher for plans, and for solutions through them.

    Args:
        questions: of a train side, with gold answers where they are known; their plans are not shown.
        teacher: "openai:MODEL" or "http://host:port/v1#MODEL".
        out: JSONL of demonstrations; what it is made from is kept beside it.
        run: cap and rates.
        solve: also ask for solutions.
        samples: how often each question is asked; more than one needs a temperature.
        jobs: questions at a time.
        settings: further settings of both stages, such as temperature.
        progress: gets the counts of each sample's run.

    Returns:
        how many demonstrations were written; failed questions are left out.

    Raises:
        BudgetReached, SolverError: the run cannot go on; run it again to go on where it stopped.
        InputError: the output cannot be written, or the teacher gave nothing.
    """
    asked = {question.id: question for question in questions}
    parts = {"decomposer": teacher, "solver": teacher, **(settings or {})}
    made = [
        demonstration(record, asked[record.id], shown(teacher), sample)
        for sample, record in sampled(
            questions, out, parts, samples=samples, run=run, solve=solve, jobs=jobs, progress=progress
        )
    ]
    if not made:
        raise InputError("the teacher gave no demonstration", hint=f"{out.stem}.sample-1.jsonl holds the errors")
    return write(out, made)


def demonstration(record: Record, question: Demonstration, teacher: str, sample: int) -> Demonstration:
    """Return a record as a demonstration: its plan, and its solution in the numbered form that students learn."""
    solution = None
    if (answer := short_answer(record)) is not None:
        steps = numbered(record.subanswers) if record.subanswers else (record.text or "").split(FINAL_ANSWER)[0].strip()
        solution = "\n".join(part for part in (steps, f"{FINAL_ANSWER} {answer}") if part)
    return replace(
        question,
        id=question.id if sample == 1 else f"{question.id}{SAMPLE}{sample}",
        teacher=teacher,
        subquestions=record.subquestions,
        solution=solution,
    )
