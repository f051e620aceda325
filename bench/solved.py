"""A task answered through a pipeline, on the shared runner: scores, tokens, dollars and seconds of every question."""

from __future__ import annotations

from dnc_edge.batch.records import records
from dnc_edge.bench.results import Solved, Totals
from dnc_edge.edge import Edge
from dnc_edge.progress import SILENT, Progress
from dnc_edge.tasks import Task, stats
from dnc_edge.tasks.problem import short_answer
from dnc_edge.types import Question, Record, Usage

STAGES = ("decompose", "solve")


def solved(task: Task, edge: Edge, *, jobs: int = 8, progress: Progress = SILENT) -> Solved:
    """Answer every problem of a task.

    A failed question counts as wrong, stays in the denominator, and is shown.

    Args:
        task: what is asked.
        edge: decomposer, solver, strategy, and the store in which complete replies are kept.
        jobs: questions at a time.
        progress: gets the number of questions that are done.

    Returns:
        metrics with intervals, per-question scores and seconds in the task's order, tokens and dollars by stage.

    Raises:
        BudgetReached, SolverError: the run cannot go on; what was answered is in the store.
    """
    problems = {problem.id: problem for problem in task.problems}
    asked = (Question(problem.question, problem.context, problem.id) for problem in task.problems)
    made: dict[str, Record] = {}
    for record in records(asked, edge.pipeline(), jobs=jobs):
        made[record.id] = record
        progress.step(f"answering {task.name}", len(made), len(problems))
    answered = [made[id] for id in problems]
    scores = [
        task.scores(short_answer(record), problem) for record, problem in zip(answered, problems.values(), strict=True)
    ]
    failed = [record for record in answered if record.error]
    return Solved(
        n=len(answered),
        metric=task.metric,
        metrics={name: stats.mean([one[name] for one in scores]) for name in scores[0]},
        scores=[one[task.metric] for one in scores],
        failed=len(failed),
        errors=sorted({record.error.code for record in failed if record.error}),
        left_whole=sum(record.subquestions == () for record in answered),
        stages={stage: totals([r.usage[stage] for r in answered if stage in r.usage]) for stage in STAGES},
        # Of its own requests: a question that waited for its turn was no slower to answer.
        seconds=[round(sum(usage.seconds for usage in record.usage.values()), 4) for record in answered],
        cost_usd=sum((usage for record in answered for usage in record.usage.values()), Usage()).cost_usd,
    )


def totals(usages: list[Usage]) -> Totals:
    """Sum the usage of several questions."""
    whole = sum(usages, Usage())
    return Totals(
        requests=whole.requests,
        unaccounted=whole.unaccounted,
        input_tokens=whole.input_tokens,
        cached_tokens=whole.cached_tokens,
        output_tokens=whole.output_tokens,
        estimated=whole.estimated,
        seconds=round(whole.seconds, 3),
        cost_usd=whole.cost_usd,
    )
