"""Two results, paired question by question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dnc_edge.bench.report import Cell, Line, Section, Table, estimate
from dnc_edge.errors import InputError, UsageError
from dnc_edge.tasks import stats


def compare(first: Path, second: Path, *, metric: str | None = None) -> dict[str, Any]:
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
    places = {id: index for index, id in enumerate(b["ids"])}
    shared = [(index, places[id]) for index, id in enumerate(a["ids"]) if id in places]
    if not shared:
        raise InputError(f"{first} and {second} share no question")
    ours, theirs = {_name(row): row for row in a["rows"]}, {_name(row): row for row in b["rows"]}
    pairs = [(name, ours[name], theirs[name]) for name in ours if name in theirs]
    if not pairs and len(ours) == len(theirs) == 1:
        pairs = [(f"{x} / {y}", ours[x], theirs[y]) for x in ours for y in theirs]
    if not pairs:
        raise InputError(
            f"{first} and {second} share no row", hint=f"they have {', '.join(ours)} and {', '.join(theirs)}"
        )
    known = list(pairs[0][1]["scores"])
    chosen = metric or known[0]
    if chosen not in known:
        raise UsageError(f"there is no metric {metric!r}", hint=f"choose from: {', '.join(known)}")
    rows = []
    for name, one, other in pairs:
        x = [float(one["scores"][chosen][i]) for i, _ in shared]
        y = [float(other["scores"][chosen][j]) for _, j in shared]
        rows.append(
            {
                "label": name,
                "first": asdict(stats.mean(x)),
                "second": asdict(stats.mean(y)),
                "difference": asdict(stats.paired(y, x)),
            }
        )
    return {
        "kind": "comparison",
        "metric": chosen,
        "n": len(shared),
        "left_out": len(a["ids"]) + len(b["ids"]) - 2 * len(shared),
        "rows": rows,
        "first": {"file": first.name, "machine": a["machine"], "settings": a["settings"]},
        "second": {"file": second.name, "machine": b["machine"], "settings": b["settings"]},
    }


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("label") or f"{row['level']} {row['engine']}")


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(row["scores"], dict) for row in values["rows"]) or not values["ids"]:
            raise ValueError("it has no scores by question")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no result to compare ({error})", hint="name a quant.json or a tradeoff.json"
        ) from error
    return values


def section(result: Mapping[str, Any]) -> Section:
    """A comparison for people; rows that differ beyond chance are marked."""
    lines = []
    for row in result["rows"]:
        difference = row["difference"]
        cells = [Cell(row["label"], row["label"]), estimate(row["first"]), estimate(row["second"])]
        cells.append(estimate(difference, signed=True, digits=4))
        lines.append(Line(cells, marked=difference["low"] > 0 or difference["high"] < 0))
    first, second = result["first"]["file"], result["second"]["file"]
    told = sum(line.marked for line in lines)
    left = f"; {result['left_out']} questions are in one only" if result["left_out"] else ""
    return Section(
        title=f"{first} and {second}: {result['metric']}",
        summary=f"{told} of {len(lines)} rows differ beyond chance, on {result['n']:,} shared questions{left}.",
        tables=[Table(["row", first, second, "second - first"], lines)],
        pictures=[],
        facts={"first": result["first"], "second": result["second"]},
    )
