"""The levels of a student as a section of a report: plans, tasks, predictions and confidence, speed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from dnc_edge.bench.calibration import COVERAGES
from dnc_edge.bench.confidence import GOOD
from dnc_edge.bench.margin import MOST_WORSE, WORSE, recommended
from dnc_edge.bench.pictures import flips, latencies, memory, quality_by_size, risk_by_coverage
from dnc_edge.bench.report import Cell, Line, Section, Table, dollars, estimate, quantity
from dnc_edge.bench.results import LevelCalibration, LevelRow, QuantResult, Speed
from dnc_edge.tasks.stats import Estimate

HALF = COVERAGES.index(0.5)
# A column: its head, and the cell of a row.
Column = tuple[str, Callable[[LevelRow], Cell]]


def section(result: QuantResult) -> Section:
    """Return the levels as a section, the recommended one marked."""
    rows = result.rows
    best = recommended(rows, result.reference, result.margin)
    timed = [row for row in rows if row.speed]
    tables = [_table("Plans", _plans(result), rows, best)]
    if len(result.tasks) > 1:
        tables.append(_table(f"Plan F1 lost against {result.reference}, by task", _tasks(result), rows, best))
    tables.append(_table("Predictions and confidence", _agreement(), rows, best))
    if timed:
        tables.append(_table("Speed", _speed(timed), timed, best))
    asked = ", ".join(f"{name} {count:,}" for name, count in result.tasks.items())
    seconds = [(row.label, row.plan_seconds) for row in timed]
    return Section(
        title=f"{result.student}: levels on {result.n:,} questions ({asked})",
        summary=result.recommendation,
        tables=tables,
        pictures=[
            quality_by_size(rows),
            flips(rows),
            *([risk_by_coverage(rows)] if any(row.calibration for row in rows) else []),
            *([latencies(seconds, "a whole plan"), memory(timed)] if timed else []),
        ],
        facts={"machine": result.machine, "timed_on": result.timed_on, "settings": result.settings},
        notes=_notes(result),
    )


def _table(title: str, columns: Sequence[Column], rows: Sequence[LevelRow], best: LevelRow) -> Table:
    lines = [Line([cell(row) for _, cell in columns], marked=row is best) for row in rows]
    return Table([head for head, _ in columns], lines, title)


def _label(row: LevelRow) -> Cell:
    return Cell(row.label, row.label)


def _plans(result: QuantResult) -> list[Column]:
    columns: list[Column] = [
        ("level", _label),
        ("MB", lambda row: quantity(row.bytes, ".1f", 1e6)),
        ("bits a weight", _bits),
        ("plan F1", lambda row: estimate(row.plans.f1)),
        (f"lost against {result.reference}", lambda row: estimate(row.lost, signed=True, digits=4)),
        ("at most", lambda row: quantity(row.lost_at_most, "+.4f")),
    ]
    if len(result.tasks) > 1:
        columns.append(("most lost on a task", _worst))
    columns += [
        ("plans changed", lambda row: _share(row.flips.changed)),
        ("identical", lambda row: quantity(1 - row.flips.changed.value, ".1%")),
        ("better", lambda row: _share(row.flips.better)),
        ("worse", lambda row: _share(row.flips.worse)),
        ("worse at most", lambda row: quantity(row.flips.worse_at_most, ".1%")),
        ("count difference", lambda row: estimate(row.plans.count_difference)),
        ("unsupported words", lambda row: estimate(row.plans.unsupported)),
    ]
    for name in next((row.solved for row in result.rows if row.solved), {}):
        columns.append((f"{name} answered", _answered(name)))
    if any(row.solved for row in result.rows):
        columns += [("answers flipped", _flipped), ("cost", _cost)]
    return columns


def _tasks(result: QuantResult) -> list[Column]:
    def lost(name: str) -> Callable[[LevelRow], Cell]:
        return lambda row: estimate(row.tasks[name].lost, signed=True, digits=4)

    return [("level", _label), *((f"{name}, n = {count:,}", lost(name)) for name, count in result.tasks.items())]


def _agreement() -> list[Column]:
    def kl(name: str) -> Callable[[LevelRow], Cell]:
        return lambda row: quantity(row.agreement.kl_percentiles[name], ".2g")

    def change(name: str) -> Callable[[LevelRow], Cell]:
        return lambda row: quantity(row.agreement.probability_change[name], "+.3f")

    def judged(cell: Callable[[LevelCalibration], Cell]) -> Callable[[LevelRow], Cell]:
        return lambda row: cell(row.calibration) if row.calibration else Cell("")

    return [
        ("level", _label),
        ("KL", lambda row: quantity(row.agreement.kl, ".2g")),
        ("KL, median", kl("p50")),
        ("KL, 95 %", kl("p95")),
        ("KL, 99 %", kl("p99")),
        ("same top token", lambda row: quantity(row.agreement.top_tokens, ".1%")),
        ("change in probability, 1 %", change("p1")),
        ("5 %", change("p5")),
        ("median", change("p50")),
        ("95 %", change("p95")),
        ("99 %", change("p99")),
        ("good plans", judged(lambda found: quantity(found.good, ".1%"))),
        ("AUROC", judged(lambda found: estimate(found.auroc) if found.auroc else Cell(""))),
        ("ECE", judged(lambda found: quantity(found.expected_calibration_error, ".3f"))),
        ("risk at 50 % coverage", judged(lambda found: quantity(found.risks[HALF], ".3f"))),
    ]


def _speed(timed: Sequence[LevelRow]) -> list[Column]:
    def of(value: Callable[[Speed], float], form: str, unit: float = 1) -> Callable[[LevelRow], Cell]:
        return lambda row: quantity(value(row.speed), form, unit) if row.speed else Cell("")

    columns: list[Column] = [
        ("level", _label),
        ("load, s", of(lambda speed: speed.load_warm_seconds, ".3f")),
        ("first token, ms", of(lambda speed: speed.first_token_seconds.median, ".1f", 1e-3)),
        ("decode, tokens/s", of(lambda speed: speed.decode_tokens_per_second.median, ",.0f")),
        ("plan, median ms", lambda row: quantity(statistics.median(row.plan_seconds), ".1f", 1e-3)),
        ("plans/s", of(lambda speed: speed.questions_per_second_together.median, ".1f")),
        ("peak MB", of(lambda speed: speed.peak_memory_bytes, ".0f", 1e6)),
    ]
    if any(row.joules_per_plan is not None for row in timed):
        columns.append(("J a plan", lambda row: quantity(row.joules_per_plan or 0.0, ".2f")))
    return columns


def _bits(row: LevelRow) -> Cell:
    """Bits a weight, and how many tensors fell back to another type."""
    fell_back = f" ({len(row.fell_back)} tensors fell back)" if row.fell_back else ""
    return Cell(f"{row.bits_per_weight:.2f}{fell_back}", row.bits_per_weight)


def _share(value: Estimate) -> Cell:
    return Cell(f"{value.value:.1%} [{value.low:.1%}, {value.high:.1%}]", value.value)


def _worst(row: LevelRow) -> Cell:
    name, task = row.worst
    return Cell(f"{task.lost.value:+.4f} ({name})", task.lost.value)


def _answered(name: str) -> Callable[[LevelRow], Cell]:
    def cell(row: LevelRow) -> Cell:
        solved = row.solved.get(name)
        return estimate(solved.metrics[solved.metric]) if solved else Cell("")

    return cell


def _flipped(row: LevelRow) -> Cell:
    return _share(row.flips.answers) if row.flips.answers else Cell("")


def _cost(row: LevelRow) -> Cell:
    costs = [solved.cost_usd for solved in row.solved.values()]
    return dollars(None if None in costs else sum(cost or 0.0 for cost in costs))


def _notes(result: QuantResult) -> list[str]:
    notes = [
        "Intervals are of 95 %"
        + (", by bootstrap over passages," if result.clusters else "")
        + ' and differences are paired, question by question; a column named "at most" is a one-sided 95 % bound. '
        "Plan F1 is no accuracy: docs/method.md.",
        f"A plan is changed if its text is not {result.reference}'s, better or worse by more than {WORSE:g} plan F1. "
        f"The recommended level, marked, is shown to lose less than {result.margin:g} and to make at most "
        f"{MOST_WORSE:.0%} of plans worse.",
        f"Predictions are compared on the plans of {result.rows[0].agreement.n} questions: KL divergence in nats a "
        f"token, and how much more probability the level gives to {result.reference}'s token.",
        f"A good plan has a plan F1 of {GOOD:g} or more. Its confidence is {result.confidence}. Risk is the share of "
        "plans that are not good among the most trusted half.",
    ]
    if len(result.tasks) > 1:
        notes.append('Each question counts once; "most lost on a task" stands beside the mean because it hides it.')
    return notes
