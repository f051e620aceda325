"""What a student does beyond GSM8K's plans: questions of fact, knowing what needs no plan, and solving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dnc_edge import decomposers
from dnc_edge.bench import claims, decisions
from dnc_edge.bench.machine import machine
from dnc_edge.bench.plans import decoded
from dnc_edge.decomposers import Decomposer
from dnc_edge.pipeline import Pipeline
from dnc_edge.progress import SILENT, Progress
from dnc_edge.solvers import Solver
from dnc_edge.tasks import everyday, files, gsm8k, multiarith, stats, strategyqa, svamp
from dnc_edge.tasks.plans import figures, score
from dnc_edge.tasks.problem import Problem, same_number
from dnc_edge.types import Estimate, Finished, Question


@dataclass(frozen=True, kw_only=True)
class StudentResult:
    """Both roles of a student; every figure with its interval, by the name of what was measured.

    Attributes:
        strategyqa_plans, drop_plans, musique_plans: plan F1 of the student and of what it is compared with, on
            StrategyQA dev, over held-out passages, and on chained facts.
        left_whole: shares (0 to 1) of questions that got no plan.
        everyday: decisions and plans on questions of every kind.
        accuracy: through the student's plans, gold plans and none; empty if nothing was solved.
        gain: of plans over none, paired by question.
        kept: the share of gold plans' gain that the student's reach on GSM8K test.
    """

    strategyqa_plans: Mapping[str, Estimate]
    drop_plans: Mapping[str, Estimate]
    left_whole: Mapping[str, Estimate]
    everyday: decisions.Decisions
    machine: Mapping[str, Any]
    musique_plans: Mapping[str, Estimate] = field(default_factory=dict)
    accuracy: Mapping[str, Estimate] = field(default_factory=dict)
    gain: Mapping[str, Estimate] = field(default_factory=dict)
    kept: stats.RetainedGain | None = None


def student(
    decomposer: Decomposer,
    solver: Solver | None,
    *,
    limit: int | None = None,
    progress: Progress = SILENT,
) -> StudentResult:
    """Measure both roles.

    Args:
        decomposer, solver: the two roles of one student; without a solver plans and decisions alone are measured.
        limit: the first so many questions of each task, and of each kind of the task `everyday`.
        progress: gets the number of questions of each task that are done.

    Raises:
        DataMissing: a data set is not there. ExtraMissing: the extra `eval` is not installed.
    """
    facts = strategyqa.load(limit)
    small = svamp.load(limit)
    one_step = [problem for problem in small if problem.plan == ()]
    words = gsm8k.load(limit)
    passages = claims.passages()[:limit]
    chained = claims.musique()[:limit]
    result = StudentResult(
        strategyqa_plans={
            decomposer.name: _plan_f1(decoded(decomposer, facts, progress), facts),
            "BART (StrategyQA)": _plan_f1(_bart(facts), facts),
            "the question itself": _plan_f1([[problem.question] for problem in facts], facts),
        },
        drop_plans={
            decomposer.name: _plan_f1(decoded(decomposer, passages, progress), passages),
            "the question itself": _plan_f1([[problem.question] for problem in passages], passages),
        },
        musique_plans={
            decomposer.name: _plan_f1(decoded(decomposer, chained, progress), chained),
            "the question itself": _plan_f1([[problem.question] for problem in chained], chained),
        },
        left_whole={
            "svamp test, one step (right)": _left_whole(decomposer, one_step, progress),
            "gsm8k test (wrong)": _left_whole(decomposer, words, progress),
        },
        everyday=decisions.decisions(decomposer, _first_of_each_kind(limit), progress=progress),
        machine=machine(),
    )
    if solver is None:
        return result
    gold = decomposers.gold({problem.question: problem.plan or () for problem in words})
    hits = {
        name: {
            "its plans": _hits(problems, decomposer, solver, progress),
            "no plan": _hits(problems, None, solver, progress),
            **({"gold plans": _hits(problems, gold, solver, progress)} if problems is words else {}),
        }
        for name, problems in (("gsm8k test", words), ("svamp test", small), ("multiarith", multiarith.load(limit)))
    }
    return replace(
        result,
        accuracy={f"{name}, {how}": stats.mean(scores) for name, by in hits.items() for how, scores in by.items()},
        gain={
            f"{name}, {how}": stats.paired(scores, by["no plan"])
            for name, by in hits.items()
            for how, scores in by.items()
            if how != "no plan"
        },
        kept=stats.retained_gain(*(hits["gsm8k test"][how] for how in ("its plans", "gold plans", "no plan"))),
    )


def _first_of_each_kind(limit: int | None) -> list[everyday.EverydayProblem]:
    kinds: dict[str, list[everyday.EverydayProblem]] = {}
    for problem in everyday.load("test"):
        kinds.setdefault(problem.kind, []).append(problem)
    return [problem for problems in kinds.values() for problem in problems[:limit]]


def _plan_f1(plans: Sequence[Sequence[str]], problems: Sequence[Problem]) -> Estimate:
    scores = [score(plan, problem.plan or (), problem.question) for plan, problem in zip(plans, problems, strict=True)]
    return figures(scores).f1


def _bart(problems: Sequence[Problem]) -> list[list[str]]:
    """Return the predictions published with StrategyQA, split at each question mark."""
    rows = files.read_jsonl("strategyqa/generated/bart_decomp_dev_predictions.jsonl")
    predicted = {f"strategyqa-{row['qid']}": " ".join(row["decomposition"]) for row in rows}
    return [[f"{part.strip()}?" for part in predicted[p.id].split("?") if part.strip()] for p in problems]


def _left_whole(decomposer: Decomposer, problems: Sequence[Problem], progress: Progress) -> Estimate:
    whole = sum(not plan for plan in decoded(decomposer, problems, progress))
    return stats.wilson(whole, len(problems))


def _hits(
    problems: Sequence[Problem], decomposer: Decomposer | None, solver: Solver, progress: Progress
) -> list[float]:
    """Return 1 for each question that is answered right, else 0, through the decomposer's plans or without one."""
    pipeline = Pipeline("static" if decomposer else "single", decomposer, solver)
    plans = f"plans by {decomposer.name}" if decomposer else "no plans"
    what = f"{len(problems):,} questions answered with {plans}"
    hits = []
    for number, problem in enumerate(problems, start=1):
        last = [event for event in pipeline.stream(Question(problem.question)) if isinstance(event, Finished)][-1]
        # A failed question stays in the denominator.
        hits.append(float(last.error is None and same_number(last.record.answer, problem.answer)))
        progress.step(what, number, len(problems))
    return hits


def table(result: StudentResult) -> str:
    """Return the rows of a Markdown table, and a table of the questions of every kind."""
    parts = (result.strategyqa_plans, result.drop_plans, result.musique_plans, result.left_whole)
    lines = [
        f"| {name} | {value} | {value.n} |"
        for part in (*parts, result.accuracy, result.gain)
        for name, value in part.items()
    ]
    if result.kept:
        kept = result.kept.ratio
        share = f"{kept.value:.2f} [{kept.low:.2f}, {kept.high:.2f}]" if kept else "unknown"
        lines.append(f"| kept of gold plans' gain | {share} | {result.kept.gain.n} |")
        lines.append(f"| questions needed to tell | {result.kept.n_needed} | |")
    return "\n".join([*lines, "", decisions.table(result.everyday)])
