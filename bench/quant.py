"""Which quantization level: size, plans, predictions, confidence, speed and memory of each, ending in a recommendation.

What is measured of a level is kept at once, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dnc_edge.bench.energy import Meter
from dnc_edge.bench.folder import claim, write
from dnc_edge.bench.judge import COMPARED, Judge, Level
from dnc_edge.bench.levels import with_levels
from dnc_edge.bench.machine import machine, must_be_idle
from dnc_edge.bench.margin import MARGIN, WORSE, recommendation
from dnc_edge.bench.results import Flips, LevelFigures, LevelRow, QuantResult, Solved, TaskLoss
from dnc_edge.bench.speed import speed, student_target
from dnc_edge.engines.loading import installed
from dnc_edge.errors import UsageError
from dnc_edge.models import shown
from dnc_edge.prompts import user_message
from dnc_edge.students import manifest as manifests
from dnc_edge.students.resolve import BUNDLED, resolve
from dnc_edge.tasks import Task, stats
from dnc_edge.types import record_key

FITTED = "fitted on questions that trained nothing (dnc-edge bench confidence)"
UNFITTED = "the geometric mean of the tokens' probabilities, for the student has no fitted one"


def quant(
    student: str | None,
    tasks: Sequence[Task],
    out: Path,
    *,
    levels: Sequence[str] | None = None,
    margin: float = MARGIN,
    plans_only: bool = False,
    slots: int = 8,
    threads: int | None = None,
    repeat: int = 3,
    solver: str | None = None,
    solve: Callable[[Level, Task], Solved] | None = None,
    busy: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> QuantResult:
    """Measure the levels of a student.

    Args:
        student: name or directory; None is the bundled one. Of one that is an adapter on a base, the levels are of the
            two merged, and the student as it is stands beside them.
        tasks: whose questions; their gold plans judge the levels' plans.
        out: folder for the student with its levels, the rows and, at the end, `quant.json`.
        levels: which; None is all GGUF levels and the ONNX levels that the student has, if their engine is installed.
        margin: plan F1 that a recommended level is shown to lose less than, above 0.
        plans_only: time nothing; a later run in the same folder can.
        slots: plans at once.
        threads: compute threads; None takes the default.
        repeat: measurements of each speed.
        solver: name of the solver, if `solve` is given.
        solve: answers a task through a level's plans; None measures plans alone.
        busy: measure speeds although other processes run.
        say: told what is being done.

    Returns:
        rows from the largest to the smallest, recommendation, settings and machine, as docs/bench.md explains them.

    Raises:
        UsageError: the machine is busy, a level is unknown, a task has no gold plans, or `out` holds another report.
        StudentError: the student has no unquantized GGUF file.
    """
    for task in tasks:
        if not task.has_plans:
            raise UsageError(f"the task {task.name} has no gold plans to judge levels by")
    if not plans_only:
        must_be_idle(busy)
    directory = resolve(student or BUNDLED)
    given = manifests.load(directory)
    settings = {
        "student": {file.file: file.sha256 for file in given.files},
        "questions": {
            task.name: record_key({problem.id: problem.question for problem in task.problems}) for task in tasks
        },
        "slots": slots,
        "threads": threads,
        "repeat": repeat,
        "solver": solver and shown(solver),
    }
    claim(out, settings)
    manifest = with_levels(directory, out / "student", levels, say)
    shipped = given.levels if given.base is not None else []
    chosen = [Level(directory, level, engine) for level, engine in shipped]
    chosen += [Level(out / "student", level, engine) for level, engine in manifest.levels]
    clusters = clusters_of(tasks)
    measured: list[tuple[LevelFigures, list[str]]] = []
    timed_on = None
    with tempfile.TemporaryDirectory(dir=out, prefix=".reference-") as scratch:
        judge = Judge(out / "student", tasks, clusters, slots=slots, scratch=Path(scratch), say=say)
        for level in chosen:
            if levels is not None and level.directory != directory and level.level not in (*levels, judge.full):
                continue
            if level.engine not in installed():
                say(f"{level.name} is left out: {level.engine} is not installed")
                continue
            say(f"{level.name} on {level.engine}")
            rows = out / "rows" / f"{level.engine}-{level.name}"
            # Judged first: what is wrong with a level is known before it is timed.
            values = _kept(rows / "plans.json", partial(judge.judged, level))
            if not plans_only and level.manifest.base is None:
                timed = partial(_timed, judge, level, tasks, threads=threads, slots=slots, repeat=repeat, say=say)
                values |= _kept(rows / "speed.json", timed)
                timed_on = values["machine"]
            if solve:
                values["solved"] = {}
                for task in tasks:
                    if any(problem.answer for problem in task.problems):
                        say(f"{level.name} on {level.engine}: solving {task.name}")
                        place = rows / f"solved-{task.name}.json"
                        values["solved"][task.name] = _kept(place, partial(_solved, solve, level, task))
            measured.append((LevelFigures.from_dict(values), values["digests"]))
    measured.sort(key=lambda pair: -pair[0].bytes)
    reference = next(pair for pair in measured if (pair[0].level, pair[0].engine) == (judge.full, "llama.cpp"))
    made = [level_row(*pair, *reference, tasks, clusters) for pair in measured]
    result = QuantResult(
        student=given.name,
        tasks={task.name: len(task.problems) for task in tasks},
        n=sum(len(task.problems) for task in tasks),
        ids=[problem.id for task in tasks for problem in task.problems],
        clusters=clusters,
        reference=judge.full,
        margin=margin,
        recommendation=recommendation(made, judge.full, margin),
        confidence=UNFITTED if given.confidence is None else FITTED,
        rows=made,
        settings=settings,
        machine=machine(),
        timed_on=timed_on,
    )
    write(out / "quant.json", result.to_dict())
    return result


def _kept(place: Path, measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What is kept in a JSON file, measured first if it is not there."""
    if not place.is_file():
        write(place, measure())
    values: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return values


def _timed(
    judge: Judge,
    level: Level,
    tasks: Sequence[Task],
    *,
    threads: int | None,
    slots: int,
    repeat: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The fields of `LevelFigures` that are measured by the clock, and the machine."""
    asked = [user_message(problem.question, problem.context) for problem in tasks[0].problems[:COMPARED]]
    target = student_target(str(level.directory), level.level, level.engine, asked)
    figures = speed(target, threads=threads, slots=slots, repeat=repeat, busy=True, peers=False, say=say)["figures"]
    meter = Meter()
    seconds = [round(value, 5) for value in judge.timed(level)]
    joules = meter.joules()
    return {
        "speed": figures,
        "plan_seconds": seconds,
        "joules_per_plan": None if joules is None else joules / len(seconds),
        "machine": machine(),
    }


def _solved(solve: Callable[[Level, Task], Solved], level: Level, task: Task) -> dict[str, Any]:
    return solve(level, task.answered).to_dict()


def clusters_of(tasks: Sequence[Task]) -> list[int] | None:
    """Return for each question the number of its passage, or one of its own; None if no two share a passage."""
    problems = [problem for task in tasks for problem in task.problems]
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(problem.context or problem.id, len(numbers)) for problem in problems]
    return found if len(numbers) < len(found) else None


def level_row(
    figures: LevelFigures,
    digests: Sequence[str],
    reference: LevelFigures,
    reference_digests: Sequence[str],
    tasks: Sequence[Task],
    clusters: Sequence[int] | None,
) -> LevelRow:
    """Set a level against full precision, question by question; `digests` are of their plans."""
    ours, theirs = figures.scores["f1"], reference.scores["f1"]
    lost = [before - after for before, after in zip(theirs, ours, strict=True)]
    by_task, first = {}, 0
    for task in tasks:
        part = slice(first, first := first + len(task.problems))
        shared = clusters and clusters[part]
        by_task[task.name] = TaskLoss(
            f1=stats.bootstrap(ours[part], clusters=shared), lost=stats.bootstrap(lost[part], clusters=shared)
        )
    worse = [value > WORSE for value in lost]
    hits = {
        name: list(zip(_hits(figures.solved[name]), _hits(reference.solved[name]), strict=True))
        for name in figures.solved
    }
    flips = Flips(
        changed=_share([a != b for a, b in zip(digests, reference_digests, strict=True)], clusters),
        better=_share([value < -WORSE for value in lost], clusters),
        worse=_share(worse, clusters),
        worse_at_most=stats.share_at_most(worse, clusters=clusters),
        answers=_share([a != b for pairs in hits.values() for a, b in pairs], None) if hits else None,
    )
    return LevelRow(
        **vars(figures),
        lost=stats.bootstrap(lost, clusters=clusters),
        lost_at_most=stats.at_most(lost, clusters=clusters),
        flips=flips,
        tasks=by_task,
    )


def _share(hits: Sequence[bool], clusters: Sequence[int] | None) -> stats.Estimate:
    return stats.mean([float(hit) for hit in hits], clusters=clusters)


def _hits(solved: Solved) -> list[bool]:
    return [value >= 0.5 for value in solved.scores]
