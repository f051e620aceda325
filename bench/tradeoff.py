"""Which strategy, decomposer and solver: accuracy, tokens, dollars and latency of each, on one task.

Every complete reply is stored by the request as sent, and every finished row is kept: a run that was stopped goes
on where it was, and a rerun costs nothing.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnc_edge.batch.estimate import estimate
from dnc_edge.bench.folder import claim, write
from dnc_edge.bench.machine import machine
from dnc_edge.bench.results import Latency, Solved, SystemFigures, SystemRow, TradeoffResult
from dnc_edge.bench.solved import STAGES, solved
from dnc_edge.errors import UsageError
from dnc_edge.models import ModelSpec, shown
from dnc_edge.progress import SILENT, Progress
from dnc_edge.strategies import STRATEGIES
from dnc_edge.tasks import Task, stats
from dnc_edge.types import Question, record_key

if TYPE_CHECKING:
    from dnc_edge.batch.paid import PaidRun


@dataclass(frozen=True)
class System:
    """One row: settings of an `Edge` under a label; `published` are figures that others got for it, by task."""

    label: str
    settings: Mapping[str, Any]
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def public_settings(self) -> dict[str, Any]:
        """The settings without passwords in addresses, as they are stored."""
        models = {name: shown(spec) for name in ("decomposer", "solver") if (spec := self.settings.get(name))}
        return {**self.settings, **models}


def systems(
    strategies: Sequence[str], decomposers: Sequence[str], solvers: Sequence[str], **common: Any
) -> list[System]:
    """Return every strategy with every decomposer and solver, and the single stage, direct and step by step.

    Args:
        strategies: names of `STRATEGIES`; single takes no decomposer and stands for both of its prompts.
        decomposers: as `--decomposer` takes them, and student names.
        solvers: as `--solver` takes them.
        **common: further settings of all.

    Raises:
        UsageError: a strategy is unknown.
    """
    found = []
    for solver in solvers:
        named = f" / {short(solver)}" if len(solvers) > 1 else ""
        for strategy in strategies:
            if strategy not in STRATEGIES:
                raise UsageError(f"unknown strategy {strategy!r}", hint=f"choose from: {', '.join(STRATEGIES)}")
            if not STRATEGIES[strategy].decomposes:
                for mode in ("direct", "cot"):
                    settings = {"strategy": strategy, "mode": mode, "solver": solver, **common}
                    found.append(System(f"{strategy} {mode}{named}", settings))
                continue
            for decomposer in decomposers:
                settings = {"strategy": strategy, "decomposer": decomposer, "solver": solver, **common}
                found.append(System(f"{strategy} {short(decomposer)}{named}", settings))
    return found


def short(text: str) -> str:
    """Return the name of a decomposer or solver for a table."""
    spec = ModelSpec.parse(text)
    return spec.name or spec.kind if spec.kind in ("http", "openai", "student") else text


def tradeoff(
    task: Task,
    rows: Sequence[System],
    out: Path,
    *,
    run: PaidRun,
    jobs: int = 8,
    slots: int = 1,
    name: str | None = None,
    claimed: str | None = None,
    progress: Progress = SILENT,
) -> TradeoffResult:
    """Answer a task with every system.

    Args:
        task: what is asked.
        rows: the systems; the first is what the others are compared with.
        out: folder for replies, rows and, at the end, `tradeoff.json`.
        run: prices, and the cap over all rows.
        jobs: questions being solved at a time.
        slots: sequences that a local student decodes at once; with more than one its seconds are not its own.
        name, claimed: of the configuration, if it has one, and what it claims.
        progress: gets a note for each system, and the number of its questions that are done.

    Returns:
        rows with accuracy, tokens and dollars by stage and per 1,000 questions, latency, paired differences, and
        which are on the Pareto front, as docs/bench.md explains them.

    Raises:
        BudgetReached, SolverError: the run cannot go on; run it again to go on where it stopped.
        UsageError: `out` holds another report, or there is no system.
    """
    if not rows:
        raise UsageError("there is nothing to compare", hint="name a strategy, a decomposer and a solver")
    task = task.answered
    settings = {
        "task": task.name,
        "questions": record_key({problem.id: problem.question for problem in task.problems}),
        "systems": {row.label: row.public_settings for row in rows},
    }
    claim(out, settings)
    done = []
    for number, row in enumerate(rows, start=1):
        place = out / "rows" / f"{number:02}.json"
        if not place.is_file():
            progress.note(f"{row.label} ({number} of {len(rows)})")
            with run.edge(replies=out / "replies", slots=slots, **row.settings) as edge:
                write(place, measured(row, solved(task, edge, jobs=jobs, progress=progress)).to_dict())
        done.append(SystemFigures.from_dict(json.loads(place.read_text(encoding="utf-8"))))
    first = done[0].scores["accuracy"]
    compared = [
        SystemRow(**vars(row), difference=stats.paired(row.scores["accuracy"], first), pareto=on_front)
        for row, on_front in zip(done, pareto(done), strict=True)
    ]
    result = TradeoffResult(
        name=name,
        claim=claimed,
        task=task.name,
        metric=task.metric,
        n=len(task.problems),
        ids=[problem.id for problem in task.problems],
        rows=compared,
        dynamic_over_static=_ratios(done),
        kept=_kept(done),
        settings=settings,
        machine=machine(),
    )
    write(out / "tradeoff.json", result.to_dict())
    return result


def measured(row: System, answered: Solved) -> SystemFigures:
    """Return the figures of a system from its answers."""
    n, cost = answered.n, answered.cost_usd
    seconds = sorted(answered.seconds)
    return SystemFigures(
        label=row.label,
        strategy=str(row.settings.get("strategy", "static")),
        accuracy=answered.metrics[answered.metric],
        metrics=answered.metrics,
        scores={"accuracy": answered.scores},
        published=dict(row.published),
        failed=answered.failed,
        errors=answered.errors,
        left_whole=answered.left_whole,
        stages=answered.stages,
        input_tokens_per_question=sum(answered.stages[stage].input_tokens for stage in STAGES) / n,
        usd_per_1000=None if cost is None else 1000 * cost / n,
        seconds=seconds,
        latency=Latency(p50=statistics.median(seconds), p95=seconds[min(n - 1, int(0.95 * n))]),
        settings=row.public_settings,
    )


def dry_run(task: Task, rows: Sequence[System], run: PaidRun) -> dict[str, Any]:
    """Estimate what the rows would cost without sending a request; a sum is None if a part of it is unknown."""
    questions = [Question(problem.question, problem.context, problem.id) for problem in task.problems]
    made: dict[str, Any] = {}
    for row in rows:
        with run.edge(**row.settings) as edge:
            made[row.label] = estimate(questions, edge).to_dict()
    sums = {}
    for name in ("expected_usd", "most_usd"):
        parts = [one[name] for one in made.values()]
        sums[name] = None if None in parts else sum(parts)
    return {"rows": made, **sums}


def pareto(rows: Sequence[SystemFigures]) -> list[bool | None]:
    """Return for each row whether no other is at least as accurate, cheap and fast, and better in one of them.

    None for a row whose cost is not known: it could be on either side. If no cost is known, the front is that of
    accuracy and latency.
    """
    priced = any(row.usd_per_1000 is not None for row in rows)
    compared = [row for row in rows if not priced or row.usd_per_1000 is not None]
    return [
        None if priced and row.usd_per_1000 is None else not any(_better(other, row) for other in compared)
        for row in rows
    ]


def _better(other: SystemFigures, row: SystemFigures) -> bool:
    pairs = [
        (other.accuracy.value, row.accuracy.value),
        (-other.latency.p50, -row.latency.p50),
    ]
    if row.usd_per_1000 is not None and other.usd_per_1000 is not None:
        pairs.append((-other.usd_per_1000, -row.usd_per_1000))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _ratios(rows: Sequence[SystemFigures]) -> dict[str, dict[str, float]]:
    """Return the ratio of input tokens of `dynamic` to `static`, for each decomposer and solver that ran both.

    Of all that is sent, and of what the solver is sent: a local decomposer's prompt costs nothing.
    """
    found = {}
    static = {_pair(row): row for row in rows if row.strategy == "static"}
    for row in rows:
        if row.strategy == "dynamic" and (other := static.get(_pair(row))):
            ratios = {"all": row.input_tokens_per_question / max(1e-9, other.input_tokens_per_question)}
            for stage in STAGES:
                if below := other.stages[stage].input_tokens:
                    ratios[stage] = row.stages[stage].input_tokens / below
            found[row.label.removeprefix("dynamic ")] = {name: round(value, 3) for name, value in ratios.items()}
    return found


def _kept(rows: Sequence[SystemFigures]) -> dict[str, stats.RetainedGain]:
    """What decomposers keep of gold plans' gain, by label, through solvers that ran with gold plans and without any."""
    found = {}
    scores = {(row.settings["solver"], _plans(row)): row.scores["accuracy"] for row in rows}
    for row in rows:
        gold, none = (scores.get((row.settings["solver"], plans)) for plans in ("gold", "none"))
        if gold is not None and none is not None and _plans(row) not in ("gold", "none", "direct"):
            found[row.label] = stats.retained_gain(row.scores["accuracy"], gold, none)
    return found


def _plans(row: SystemFigures) -> str:
    """Whose plans a row's solver gets; "none", or "direct" if it shows no work either."""
    if row.strategy == "single":
        return "direct" if row.settings.get("mode") == "direct" else "none"
    return row.label if row.strategy != "static" else str(row.settings.get("decomposer"))


def _pair(row: SystemFigures) -> tuple[Any, ...]:
    settings = row.settings
    return settings.get("decomposer"), settings.get("student"), settings["solver"]
