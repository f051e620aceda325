"""What to break up and what to leave whole: a decomposer on questions of every kind (task `everyday`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dnc_edge.bench.plans import decoded
from dnc_edge.decomposers import Decomposer
from dnc_edge.parse import without_repeats
from dnc_edge.progress import SILENT, Progress
from dnc_edge.tasks import stats
from dnc_edge.tasks.everyday import EverydayProblem
from dnc_edge.tasks.plans import plan_f1, refers_ahead
from dnc_edge.types import Estimate

# A plan is as good as ours from here on, and useless below: between them it is neither.
GOOD_F1 = 0.6
USELESS_F1 = 0.35


@dataclass(frozen=True)
class Decision:
    """How a decomposer did on one question.

    Attributes:
        decided: it planned, or left whole, as gold does.
        right: it left whole as gold does, or its plan F1 is `GOOD_F1` or more.
        useless: it delivered a plan although none is right, or one with plan F1 below `USELESS_F1`, or one that
            refers to itself or to a later line.
        f1: plan F1, 0 if it left the question whole; None if that is right.
    """

    decided: bool
    right: bool
    useless: bool
    f1: float | None


@dataclass(frozen=True)
class DecisionFigures:
    """Shares (0 to 1) of questions that were decided as gold does, were right, and were useless: see `Decision`.

    `plan_f1` is over the questions that have a gold plan; None if none has.
    """

    decided: Estimate
    right: Estimate
    useless: Estimate
    plan_f1: Estimate | None = None


@dataclass(frozen=True)
class Decisions:
    """Figures of all questions, and of each kind by name."""

    all: DecisionFigures
    kinds: Mapping[str, DecisionFigures]


def decision(predicted: Sequence[str], gold: Sequence[str]) -> Decision:
    """Judge a plan, or an empty one, against the gold one, or an empty one."""
    plan = without_repeats(predicted)
    if not gold:
        return Decision(decided=not plan, right=not plan, useless=bool(plan), f1=None)
    f1 = plan_f1(plan, gold)
    broken = refers_ahead(plan)
    return Decision(
        decided=bool(plan),
        right=f1 >= GOOD_F1 and not broken,
        useless=bool(plan) and (f1 < USELESS_F1 or broken),
        f1=f1,
    )


def decisions(decomposer: Decomposer, problems: Sequence[EverydayProblem], *, progress: Progress = SILENT) -> Decisions:
    """Judge a decomposer's decisions and plans.

    Args:
        decomposer: what is measured.
        problems: from `tasks.everyday.load`.
        progress: gets the number of questions that are done.

    Raises:
        ExtraMissing: the extra `eval` is not installed.
    """
    plans = decoded(decomposer, problems, progress)
    judged = [decision(plan, problem.plan or ()) for plan, problem in zip(plans, problems, strict=True)]
    kinds: dict[str, list[Decision]] = {}
    for one, problem in zip(judged, problems, strict=True):
        kinds.setdefault(problem.kind, []).append(one)
    return Decisions(_summary(judged), {kind: _summary(judged) for kind, judged in kinds.items()})


def _summary(judged: Sequence[Decision]) -> DecisionFigures:
    def share(hits: Sequence[bool]) -> Estimate:
        return stats.wilson(sum(hits), len(hits))

    f1 = stats.bootstrap([one.f1 for one in judged if one.f1 is not None])
    return DecisionFigures(
        decided=share([one.decided for one in judged]),
        right=share([one.right for one in judged]),
        useless=share([one.useless for one in judged]),
        plan_f1=f1 if f1.n else None,
    )


def table(result: Decisions) -> str:
    """Return the result as a Markdown table, all kinds together in the last row."""
    lines = ["| kind | n | decided rightly | right | plan F1 | useless |", "|---|---|---|---|---|---|"]
    for kind, row in (*result.kinds.items(), ("all", result.all)):
        f1 = f"{row.plan_f1.value:.2f}" if row.plan_f1 else ""
        decided, right, useless = (f"{share.value:.0%}" for share in (row.decided, row.right, row.useless))
        lines.append(f"| {kind} | {row.decided.n} | {decided} | {right} | {f1} | {useless} |")
    return "\n".join(lines)
