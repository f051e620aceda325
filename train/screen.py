"""Screening: which demonstrations a student learns from, every step counted, everything dropped named.

S_D-T keeps all of a teacher's demonstrations, S_D-R those through which its solution reached the gold answer
(rejection sampling, Divide-or-Conquer section 4.1). Each plan is judged by its own solution: where several were
sampled for a question, a wrong first one does not condemn a right second one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from dnc_edge.errors import InputError
from dnc_edge.parse import fold, scored_answer, without_repeats
from dnc_edge.tasks.own import same_answer
from dnc_edge.train.demonstrations import SAMPLE, Demonstration
from dnc_edge.train.leakage import FrozenSides

Keep = Literal["S_D-T", "S_D-R"]


@dataclass
class Report:
    """What became of the demonstrations: counts of every step, and (id, why) of each one dropped."""

    counts: Counter[str] = field(default_factory=Counter)
    dropped: list[tuple[str, str]] = field(default_factory=list)

    def drop(self, demonstration: Demonstration, why: str) -> None:
        self.counts[why] += 1
        self.dropped.append((demonstration.id, why))


def screen(
    demonstrations: Iterable[Demonstration], *, keep: Keep = "S_D-R", sides: FrozenSides, drop_leaks: bool = False
) -> tuple[list[Demonstration], Report]:
    """Clean demonstrations and keep those that a student should learn from.

    Args:
        demonstrations: of any teachers, several for a question where several were sampled.
        keep: "S_D-T" or "S_D-R"; of several that reach the answer the first is kept.
        sides: the frozen test sides.
        drop_leaks: drop what is on a test side, or nearly, instead of stopping.

    Raises:
        InputError: a demonstration is on a test side, or nearly.
    """
    report = Report()
    kept: list[Demonstration] = []
    seen: set[tuple[str | None, str, tuple[str, ...] | None]] = set()
    solved: set[str] = set()
    leaks: list[str] = []
    for demonstration in demonstrations:
        report.counts["read"] += 1
        if leak := sides.leak(demonstration):
            leaks.append(demonstration.id)
            report.drop(demonstration, f"{leak} on a test side")
            continue
        clean = cleaned(demonstration, report)
        if clean is None:
            continue
        key = (clean.context, fold(clean.question), clean.subquestions)
        question = clean.id.partition(SAMPLE)[0]
        # Judged by the solution as it was given: cutting a plan may cost it the numbers it goes by.
        if keep == "S_D-R" and (why := missed(demonstration)):
            report.drop(clean, why)
        elif key in seen:
            report.drop(clean, "duplicate")
        elif keep == "S_D-R" and question in solved:
            report.drop(clean, "the question has one already")
        else:
            seen.add(key)
            solved.add(question)
            kept.append(clean)
    report.counts["kept"] = len(kept)
    if leaks and not drop_leaks:
        raise InputError(
            f"{len(leaks)} demonstrations are on a frozen test side, or nearly: {', '.join(leaks[:5])}",
            hint="take other questions, or leave these out with --drop-leaks",
        )
    return kept, report


def cleaned(demonstration: Demonstration, report: Report) -> Demonstration | None:
    """Return a demonstration without exact repeats and lines that ask nothing; None if that leaves no plan."""
    plan = demonstration.subquestions
    if not plan:
        return demonstration
    asking = [line for line in plan if line.rstrip().endswith("?")]
    report.counts["lines that ask nothing, cut"] += len(plan) - len(asking)
    distinct = without_repeats(asking)
    report.counts["repeats, cut"] += len(asking) - len(distinct)
    if not distinct:
        report.drop(demonstration, "its plan asks nothing")
        return None
    if len(distinct) == len(plan):
        return demonstration
    # Sub-answers are numbered after the plan as it was; they would not fit it any more.
    numbered = demonstration.solution is not None and demonstration.solution[:2] == "1."
    return replace(demonstration, subquestions=tuple(distinct), solution=None if numbered else demonstration.solution)


def missed(demonstration: Demonstration) -> str | None:
    """Return why a demonstration is no success; None if its solution ends in the gold answer (number or text)."""
    if demonstration.answer is None:
        return "no gold answer to judge by"
    if demonstration.solution is None:
        return "no solution to judge by"
    reached = same_answer(scored_answer(demonstration.solution), demonstration.answer)
    return None if reached else "solution misses the answer"
