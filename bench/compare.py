"""Two results, paired question by question."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from dnc_edge.bench.report import Cell, Line, Section, Table, estimate
from dnc_edge.bench.results import ComparedRow, Comparison, QuantResult, Side, TradeoffResult, read_result
from dnc_edge.errors import InputError, UsageError
from dnc_edge.tasks import stats


def compare(first: Path, second: Path, *, metric: str | None = None) -> Comparison:
    """Compare the rows that two results share, or, where each has one row, these.

    Args:
        first, second: files that `bench quant` or `bench tradeoff` wrote.
        metric: of those that the rows hold for each question; None takes their first.

    Returns:
        per row, both means and the paired difference second - first on the questions that both asked.

    Raises:
        InputError: a file is no such result, or they share no question or no row.
        UsageError: there is no such metric.
    """
    a, b = _read(first), _read(second)
    places = {id: index for index, id in enumerate(b.ids)}
    shared = [(index, places[id]) for index, id in enumerate(a.ids) if id in places]
    if not shared:
        raise InputError(f"{first} and {second} share no question")
    ours, theirs = ({row.label: row for row in side.rows} for side in (a, b))
    pairs = [(name, ours[name], theirs[name]) for name in ours if name in theirs]
    if not pairs and len(ours) == len(theirs) == 1:
        pairs = [(f"{x} / {y}", ours[x], theirs[y]) for x in ours for y in theirs]
    if not pairs:
        raise InputError(
            f"{first} and {second} share no row", hint=f"they have {', '.join(ours)} and {', '.join(theirs)}"
        )
    known = list(pairs[0][1].scores)
    chosen = metric or known[0]
    if chosen not in known:
        raise UsageError(f"there is no metric {metric!r}", hint=f"choose from: {', '.join(known)}")
    rows = []
    for name, one, other in pairs:
        x = [float(one.scores[chosen][i]) for i, _ in shared]
        y = [float(other.scores[chosen][j]) for _, j in shared]
        rows.append(ComparedRow(label=name, first=stats.mean(x), second=stats.mean(y), difference=stats.paired(y, x)))
    return Comparison(
        metric=chosen,
        n=len(shared),
        left_out=len(a.ids) + len(b.ids) - 2 * len(shared),
        rows=rows,
        first=Side(first.name, a.machine, a.settings),
        second=Side(second.name, b.machine, b.settings),
    )


def _read(path: Path) -> QuantResult | TradeoffResult:
    try:
        result = read_result(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, AttributeError, InputError) as error:
        raise InputError(
            f"{path} is no result to compare ({error})", hint="name a quant.json or a tradeoff.json"
        ) from error
    if not isinstance(result, QuantResult | TradeoffResult) or not result.ids:
        raise InputError(
            f"{path} is no result to compare (it has no scores by question)",
            hint="name a quant.json or a tradeoff.json",
        )
    return result


def section(result: Comparison) -> Section:
    """Return a comparison as a section of a report; rows that differ beyond chance are marked."""
    lines = []
    for row in result.rows:
        cells = [Cell(row.label, row.label), estimate(row.first), estimate(row.second)]
        cells.append(estimate(row.difference, signed=True, digits=4))
        lines.append(Line(cells, marked=row.differs))
    first, second = result.first.file, result.second.file
    differing = sum(row.differs for row in result.rows)
    left = f"; {result.left_out} questions are in one only" if result.left_out else ""
    return Section(
        title=f"{first} and {second}: {result.metric}",
        summary=f"{differing} of {len(lines)} rows differ beyond chance, on {result.n:,} shared questions{left}.",
        tables=[Table(["row", first, second, "second - first"], lines)],
        pictures=[],
        facts={"first": asdict(result.first), "second": asdict(result.second)},
    )
