"""Reports: one HTML file that needs nothing else, the same as Markdown, pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnc_edge.bench.pictures import (
    Picture,
    accuracy_by,
    routes,
    seconds_by_strategy,
    shares,
    stage_costs,
)
from dnc_edge.bench.results import (
    Comparison,
    FractionsResult,
    GraphResult,
    PassagesResult,
    QuantResult,
    Result,
    RouteResult,
    TradeoffResult,
)
from dnc_edge.errors import ExtraMissing
from dnc_edge.tasks.stats import Estimate, RetainedGain


@dataclass(frozen=True)
class Cell:
    """`text` is shown; `value` is what the column is sorted by."""

    text: str
    value: float | str = ""


@dataclass(frozen=True)
class Line:
    cells: list[Cell]
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """`title` stands above it, if there are several."""

    columns: list[str]
    rows: list[Line]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """One result, for people."""

    title: str
    summary: str
    tables: list[Table]
    pictures: list[Picture]
    facts: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)


def report(results: Sequence[Result], out: Path) -> Path:
    """Write report.html, report.md and the pictures into `out`; return the path of the HTML file.

    Args:
        results: what `bench quant`, `tradeoff` and `compare` found.
        out: a folder.

    Raises:
        ExtraMissing: the extra `bench` is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader
    except ImportError as error:
        raise ExtraMissing("jinja2", "bench") from error
    from importlib.metadata import version

    sections = [section(result) for result in results]
    pages = Environment(loader=PackageLoader("dnc_edge.bench", "."), autoescape=True, trim_blocks=True)
    page = pages.get_template("report.html.jinja")
    title = sections[0].title if len(sections) == 1 else "dnc-edge bench"
    html = page.render(title=title, sections=sections, version=version("dnc-edge"))
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.html").write_text(html, encoding="utf-8")
    (out / "report.md").write_text(markdown(sections), encoding="utf-8")
    for one in sections:
        for picture in one.pictures:
            picture.save(out)
    return out / "report.html"


def section(result: Result) -> Section:
    """Return a result as a section of a report."""
    from dnc_edge.bench import compare, quant_report

    match result:
        case QuantResult():
            return quant_report.section(result)
        case TradeoffResult():
            return tradeoff_section(result)
        case FractionsResult():
            return fractions_section(result)
        case Comparison():
            return compare.section(result)
        case GraphResult():
            return graph_section(result)
        case RouteResult():
            return route_section(result)
        case PassagesResult():
            return passages_section(result)


def markdown(sections: Sequence[Section]) -> str:
    """The sections with their tables; pictures by the names of their files."""
    parts = []
    for one in sections:
        parts += [f"## {one.title}", one.summary, *one.notes]
        for table in one.tables:
            parts += [f"### {table.title}"] if table.title else []
            parts += [markdown_table(table)]
        parts += [f"![{picture.alt}]({picture.name}.svg)" for picture in one.pictures]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    for row in table.rows:
        texts = [f"**{cell.text}**" if row.marked and index == 0 else cell.text for index, cell in enumerate(row.cells)]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |")
    return "\n".join(lines)


def table_text(one: Section) -> str:
    """A section for a terminal: its tables as Markdown, its summary last."""
    tables = [f"{table.title}\n\n{markdown_table(table)}".lstrip() for table in one.tables]
    return "\n\n".join([*tables, one.summary, *one.notes])


def estimate(value: Estimate, *, signed: bool = False, digits: int = 3) -> Cell:
    """An estimate with its interval."""
    form = f"{'+' if signed else ''}.{digits}f"
    text = f"{value.value:{form}} [{value.low:{form}}, {value.high:{form}}]"
    return Cell(text, value.value)


def quantity(value: float, form: str = ",.0f", unit: float = 1) -> Cell:
    return Cell(format(value / unit, form), value)


def dollars(value: float | None) -> Cell:
    return Cell("unknown") if value is None else Cell(f"${value:.4f}", value)


def tradeoff_section(result: TradeoffResult) -> Section:
    """Systems: accuracy, tokens, dollars, latency; those on the Pareto front marked."""
    rows = result.rows
    unknown = [row.label for row in rows if row.usd_per_1000 is None]
    has_published = any(result.task in row.published for row in rows)
    columns = ["system", result.metric, f"against {rows[0].label}"]
    columns += ["published"] if has_published else []
    columns += [
        "input tokens: plan",
        "solve",
        "output tokens: plan",
        "solve",
        "$ per 1,000",
        "p50, s",
        "p95, s",
        "failed",
    ]
    lines = []
    for row in rows:
        plan, solve = row.stages["decompose"], row.stages["solve"]
        published = row.published.get(result.task)
        cells = [
            Cell(row.label, row.label),
            estimate(row.accuracy),
            estimate(row.difference, signed=True),
            *([Cell("" if published is None else f"{published / 100:.3f}", published or "")] if has_published else []),
            *(quantity(stage.input_tokens) for stage in (plan, solve)),
            *(quantity(stage.output_tokens) for stage in (plan, solve)),
            dollars(row.usd_per_1000),
            quantity(row.latency.p50, ".2f"),
            quantity(row.latency.p95, ".2f"),
            quantity(row.failed),
        ]
        lines.append(Line(cells, marked=bool(row.pareto)))
    pictures = [accuracy_by(rows, "accuracy-by-latency", "median latency, s", lambda row: row.latency.p50)]
    if not unknown and any(row.usd_per_1000 for row in rows):
        pictures.insert(
            0, accuracy_by(rows, "accuracy-by-cost", "$ per 1,000 questions", lambda row: row.usd_per_1000 or 0.0)
        )
        costs = stage_costs(rows, "$ per 1,000", lambda stage: 1000 * (stage.cost_usd or 0.0) / result.n)
    else:
        costs = stage_costs(rows, "input tokens", lambda stage: stage.input_tokens / result.n)
    front = ", ".join(row.label for row in rows if row.pareto)
    notes = [
        "Intervals are of 95 %; differences are paired. A failed question counts as wrong. Marked: the Pareto front."
    ]
    if unknown and len(unknown) < len(rows):
        notes.append(f"Not compared, because their cost is not known: {', '.join(unknown)}.")
    better = "more accurate and faster" if len(unknown) == len(rows) else "more accurate, cheaper and faster"
    for name, ratios in result.dynamic_over_static.items():
        parts = ", ".join(f"{stage} x{value:.2f}" for stage, value in ratios.items())
        notes.append(
            f"Input tokens of dynamic over static, {name}: {parts} (the paper: x2.32 on GSM8K, x3.96 on Bamboogle)."
        )
    notes += [f"{label}: {kept_text(kept)}." for label, kept in result.kept.items()]
    if claim := result.claim:
        notes.insert(0, f"The claim: {claim}")
    return Section(
        title=f"{result.name or 'Strategies'} on {result.task}, {result.n:,} questions",
        summary=f"No other system is at once {better} than: {front}.",
        tables=[Table(columns, lines)],
        pictures=[*pictures, costs],
        facts={"machine": result.machine, "settings": result.settings},
        notes=notes,
    )


def kept_text(kept: RetainedGain) -> str:
    """What a decomposer keeps of gold plans' gain, in words."""
    gain, gold = (f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for one in (kept.gain, kept.gold_gain))
    told = f"its plans gain {gain} and gold plans {gold}"
    if kept.ratio is None:
        return f"{told}; what it keeps cannot be told"
    return f"{told}: it keeps {kept.ratio.value:.2f} [{kept.ratio.low:.2f}, {kept.ratio.high:.2f}]"


def fractions_section(result: FractionsResult) -> Section:
    """Methods by their share of the training data."""
    rows = result.rows
    lines = [
        Line([Cell(row.method), quantity(row.share, ".0%"), quantity(row.examples), estimate(row.accuracy)])
        for row in rows
    ]
    best = max(rows, key=lambda row: row.accuracy.value)
    picture = shares(rows)
    return Section(
        title=f"stepwise-fractions on {result.task}, {result.n:,} questions",
        summary=f"Most accurate: {best.label} of the data, {best.accuracy.value:.3f}.",
        tables=[Table(["method", "share", "examples", "accuracy"], lines)],
        pictures=[picture],
        facts={"machine": result.machine, "settings": result.settings},
        notes=[f"The claim: {result.claim}"],
    )


def graph_section(result: GraphResult) -> Section:
    """Strategies on gold plans: seconds, against `static` and `dynamic`, and what they send."""
    lines = [
        Line(
            [
                Cell(row.task), quantity(row.n), quantity(row.width.value, ".2f"), Cell(row.strategy),
                estimate(row.seconds, digits=2), estimate(row.over_static, digits=2),
                estimate(row.over_dynamic, digits=2),
                quantity(row.slower, ".1%"), quantity(row.requests, ".1f"), quantity(row.input_tokens),
                quantity(row.output_tokens), dollars(row.usd_per_1000),
            ],
            marked=row.strategy == "auto",
        )
        for row in result.rows
    ]  # fmt: skip
    columns = [
        "task", "n", "width", "strategy", "seconds", "speed-up over static", "over dynamic", "slower than static",
        "requests", "input tokens", "output tokens", "$ per 1,000",
    ]  # fmt: skip
    gains = [f"{row.over_static.value:.2f} on {row.task}" for row in result.rows if row.strategy == "auto"]
    return Section(
        title="Sub-questions side by side",
        summary=f"Speed-up of auto over static: {', '.join(gains)}.",
        tables=[Table(columns, lines)],
        pictures=[seconds_by_strategy(result.rows)],
        facts={"machine": result.machine, "settings": result.settings},
        notes=[
            "Intervals are of 95 %. Gold plans, and a solver on loopback that takes a fixed time for each request and "
            "each token: nothing is said of accuracy.",
        ],
    )


def route_section(result: RouteResult) -> Section:
    """A route between two solvers: what it costs and gets right, beside always one of them, and an oracle."""
    points = {
        "always cheap": result.cheap, "always strong": result.strong, "route": result.chosen, "oracle": result.oracle,
    }  # fmt: skip
    lines = [
        Line(
            [Cell(label), quantity(point.strong, ".1%"), estimate(point.accuracy), dollars(point.usd_per_1000)],
            marked=label == "route",
        )
        for label, point in points.items()
    ]
    saved, chance, line, difference = (
        f"{one.value:+.1%} [{one.low:+.1%}, {one.high:+.1%}]"
        for one in (result.saved, result.over_chance, result.line_over_chance, result.difference)
    )
    summary = f"The route saves {saved} of the strong solver's dollars at {difference} of its accuracy"
    told = result.over_chance.low > 0
    verdict = "it tells questions apart" if told else "that it chooses better than chance cannot be told"
    return Section(
        title=f"A route between two solvers on {result.task}",
        summary=f"{summary}; against chance at the same cost: {chance}: {verdict}.",
        tables=[Table(["choice", "to the strong one", "accuracy", "$ per 1,000"], lines)],
        pictures=[routes(result)],
        facts={"machine": result.machine, "settings": result.settings, "route": result.route},
        notes=[
            f"Fitted on {result.fitted:,} questions, tested on {result.n:,} others. Of all thresholds with which the "
            "first are answered as accurately as by the strong solver, the cheapest is taken. Intervals are of 95 %."
            f" Over all thresholds, the route is on average {line} more accurate than chance at the same cost."
            + ("" if result.auroc is None else f" AUROC {result.auroc:.3f}."),
        ],
    )


def passages_section(result: PassagesResult) -> Section:
    """Questions over passages: what a provider's cache saves, with those of one passage together or not."""
    lines = [
        Line(
            [
                Cell(row.cache), quantity(row.minimum), quantity(row.jobs), Cell(row.order), quantity(row.reach, ".1%"),
                quantity(row.cached, ".1%"), dollars(row.usd_per_1000), quantity(row.saved, ".1%"),
            ],
            marked=row.order == "together",
        )
        for row in result.rows
    ]  # fmt: skip
    columns = [
        "cache",
        "minimum tokens",
        "at a time",
        "order",
        "prompts that reach it",
        "cached",
        "$ per 1,000",
        "saved",
    ]
    reach = [
        Line([Cell(name), *(quantity(share, ".1%") for share in shares.values())])
        for name, shares in result.reach.items()
    ]
    first = result.rows[0]
    minimums = [f"reach {minimum} tokens" for minimum in next(iter(result.reach.values()))]
    best = max(result.rows, key=lambda row: row.saved)
    return Section(
        title=f"Passages of {result.task}: {first.n:,} questions about {first.passages:,} passages",
        summary=f"At most {best.saved:.1%} of the dollars are saved ({best.cache}, {best.order}).",
        tables=[Table(columns, lines), Table(["prompts of", *minimums], reach)],
        pictures=[],
        facts={"machine": result.machine, "settings": result.settings},
        notes=[
            "Counts and bills of a server on loopback that keeps beginnings of prompts by the rules of the provider."
        ],
    )
