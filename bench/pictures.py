"""Pictures of results, by matplotlib: SVG that takes the colours of the page it stands in, and PNG for elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dnc_edge.bench.results import FractionRow, GraphRow, LevelRow, RouteResult, SystemRow, Totals
from dnc_edge.errors import ExtraMissing
from dnc_edge.tasks.stats import Estimate

# Told apart by people who see colours differently (Okabe and Ito), and on black as on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
Row = TypeVar("Row")
# Stands for the page's own text colour until the SVG is written.
_INK = "#010203"


@dataclass(frozen=True)
class Picture:
    """`name` is that of its files; `alt` says in words what it shows."""

    name: str
    alt: str
    draw: Callable[[Any], None] = field(repr=False)
    size: tuple[float, float] = (7.2, 4.0)

    def svg(self) -> str:
        """An <svg> element to stand in a page, its text in the page's colour and font."""
        svg = self._rendered("svg", _INK, transparent=True).decode()
        svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
        # As wide as its place.
        svg = re.sub(r'(<svg [^>]*?)width="[^"]+"', r"\1", svg, count=1)
        return re.sub(r'(<svg [^>]*?)height="[^"]+"', rf'\1role="img" aria-label="{self.name}"', svg, count=1)

    def save(self, folder: Path) -> None:
        """Write NAME.svg and NAME.png, dark on white."""
        for form in ("svg", "png"):
            (folder / f"{self.name}.{form}").write_bytes(self._rendered(form, "#222222", facecolor="white", dpi=144))

    def _rendered(self, form: str, ink: str, **settings: Any) -> bytes:
        try:
            from matplotlib import rc_context
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ExtraMissing("matplotlib", "bench") from error
        style: dict[str, Any] = {
            "svg.fonttype": "none", "svg.hashsalt": self.name, "font.family": "sans-serif", "font.size": 10,
            "text.color": ink, "axes.edgecolor": ink, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink,
            "axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
        }  # fmt: skip
        buffer = io.BytesIO()
        with rc_context(style):
            figure = Figure(figsize=self.size, layout="constrained")
            self.draw(figure.subplots())
            # Without a date the same result gives the same file.
            figure.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else None, **settings)
        return buffer.getvalue()


def _estimates(axes: Any, places: Sequence[float], values: Sequence[Estimate], **style: Any) -> None:
    bars = [[v.value - v.low for v in values], [v.high - v.value for v in values]]
    axes.errorbar(places, [v.value for v in values], yerr=bars, capsize=3, **style)


def _points(
    axes: Any,
    rows: Sequence[Row],
    *,
    x: Callable[[Row], float],
    y: Callable[[Row], Estimate],
    kind: Callable[[Row], str],
    name: Callable[[Row], str],
) -> None:
    """Estimates with their intervals, a colour for each kind; names stand on those of one kind, hang from the next."""
    for number, one in enumerate(dict.fromkeys(map(kind, rows))):
        chosen = [row for row in rows if kind(row) == one]
        values, colour = [y(row) for row in chosen], COLOURS[number % len(COLOURS)]
        _estimates(axes, [x(row) for row in chosen], values, fmt="o", color=colour, label=one)
        above = number % 2 == 0
        for row, value in zip(chosen, values, strict=True):
            axes.annotate(
                name(row), (x(row), value.high if above else value.low), color=colour, fontsize=8,
                xytext=(0, 4 if above else -4), textcoords="offset points", rotation=50, rotation_mode="anchor",
                ha="left" if above else "right", va="center",
            )  # fmt: skip
    axes.grid(axis="y", alpha=0.25)
    axes.margins(x=0.08, y=0.2)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)


def quality_by_size(rows: Sequence[LevelRow]) -> Picture:
    """Plan F1 of each level against the size of its files."""

    def draw(axes: Any) -> None:
        _points(
            axes,
            rows,
            x=lambda r: r.bytes / 1e6,
            y=lambda r: r.plans.f1,
            kind=lambda r: r.engine,
            name=lambda r: r.level,
        )
        axes.set(xlabel="size in MB", ylabel="plan F1", xscale="log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:g}"[0] in "235" else "")

    return Picture("quality-by-size", "Plan F1 of each level against its size, with 95 % intervals", draw)


def latencies(rows: Sequence[tuple[str, Sequence[float]]], what: str) -> Picture:
    """The distribution of latencies of each row: boxes from the quartiles, whiskers from 5 to 95 %."""

    def draw(axes: Any) -> None:
        values = [[second * 1000 for second in seconds] for _, seconds in rows]
        drawn = axes.boxplot(values, vert=False, whis=(5, 95), showfliers=False, patch_artist=True, widths=0.6)
        for box in drawn["boxes"]:
            box.set(facecolor=COLOURS[0], alpha=0.6)
        for line in drawn["medians"]:
            line.set(color=COLOURS[1], linewidth=2)
        for line in drawn["whiskers"] + drawn["caps"]:
            line.set(color=COLOURS[0])
        axes.set_yticks(range(1, len(rows) + 1), [label for label, _ in rows])
        axes.set(xlabel=f"{what}, in milliseconds", xlim=(0, None))
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.25)

    height = 1.2 + 0.32 * len(rows)
    return Picture("latency", f"{what}: quartiles, and 5 to 95 %, of each row", draw, (7.2, height))


def memory(rows: Sequence[LevelRow]) -> Picture:
    """Peak memory of a process of its own, beside the size of the files."""

    def draw(axes: Any) -> None:
        places = range(len(rows))
        peaks = [row.speed.peak_memory_bytes / 1e6 if row.speed else 0.0 for row in rows]
        axes.barh(places, peaks, 0.7, color=COLOURS[5], label="peak")
        axes.barh(places, [row.bytes / 1e6 for row in rows], 0.4, color=COLOURS[0], label="files")
        axes.set_yticks(places, [row.label for row in rows])
        axes.set(xlabel="MB")
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.25)
        axes.legend()

    return Picture("memory", "Peak memory of each level beside its size", draw, (7.2, 1.2 + 0.32 * len(rows)))


def flips(rows: Sequence[LevelRow]) -> Picture:
    """Shares of the plans that each level changes, the worse ones first."""

    def draw(axes: Any) -> None:
        left = [0.0] * len(rows)
        parts = (
            ("worse", COLOURS[1], [row.flips.worse.value for row in rows]),
            ("better", COLOURS[2], [row.flips.better.value for row in rows]),
            (
                "changed, about as good",
                COLOURS[5],
                [row.flips.changed.value - row.flips.worse.value - row.flips.better.value for row in rows],
            ),
        )
        for label, colour, widths in parts:
            axes.barh(range(len(rows)), [100 * width for width in widths], 0.6, left=left, color=colour, label=label)
            left = [a + 100 * b for a, b in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set(xlabel="% of plans", xlim=(0, 100))
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.25)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)

    alt = "Plans of each level that are others than full precision's: worse, better, or about as good"
    return Picture("flips", alt, draw, (7.2, 1.6 + 0.32 * len(rows)))


def risk_by_coverage(rows: Sequence[LevelRow]) -> Picture:
    """Risk of each level's most trusted plans, a line for each level."""

    def draw(axes: Any) -> None:
        judged = [row for row in rows if row.calibration]
        for number, row in enumerate(judged):
            assert row.calibration is not None
            risks = row.calibration.risks
            shares = [100 * (step + 1) / len(risks) for step in range(len(risks))]
            line = ("-", "--", ":")[number // len(COLOURS) % 3]
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(shares, [100 * risk for risk in risks], line, color=colour, label=row.label)
        axes.set(xlabel="% of plans delivered, the most trusted first", ylabel="% of them not good", xlim=(0, 100))
        axes.grid(alpha=0.25)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    alt = "Share of plans that are not good among the most trusted ones of each level, by how many are delivered"
    return Picture("risk-by-coverage", alt, draw, (7.2, 4.0))


def accuracy_by(rows: Sequence[SystemRow], name: str, label: str, x: Callable[[SystemRow], float]) -> Picture:
    """Accuracy of each configuration against what it takes, the Pareto front joined by a line."""

    def draw(axes: Any) -> None:
        _points(axes, rows, x=x, y=lambda r: r.accuracy, kind=lambda r: r.strategy, name=lambda r: r.label)
        front = sorted((row for row in rows if row.pareto), key=x)
        axes.plot([x(r) for r in front], [r.accuracy.value for r in front], color=COLOURS[0], alpha=0.4, zorder=0)
        axes.set(xlabel=label, ylabel="accuracy", xlim=(0, None))

    return Picture(name, f"Accuracy of each configuration against {label}, with 95 % intervals", draw)


def stage_costs(rows: Sequence[SystemRow], label: str, cost: Callable[[Totals], float]) -> Picture:
    """What each stage takes, stacked."""

    def draw(axes: Any) -> None:
        left = [0.0] * len(rows)
        for colour, stage in zip(COLOURS, ("decompose", "solve"), strict=False):
            widths = [cost(row.stages[stage]) for row in rows]
            axes.barh(range(len(rows)), widths, 0.6, left=left, color=colour, label=stage)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set(xlabel=label)
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.25)
        axes.legend()

    return Picture("stage-costs", f"{label} of each stage", draw, (7.2, 1.2 + 0.32 * len(rows)))


def shares(rows: Sequence[FractionRow]) -> Picture:
    """Accuracy against the share of the training data, a line for each method."""

    def draw(axes: Any) -> None:
        for colour, method in zip(COLOURS, dict.fromkeys(row.method for row in rows), strict=False):
            chosen = [row for row in rows if row.method == method]
            values = [row.accuracy for row in chosen]
            _estimates(axes, [r.share for r in chosen], values, fmt="o-", color=colour, label=method)
        axes.set(xlabel="share of the training data", ylabel="accuracy", xlim=(0, 1.05))
        axes.grid(axis="y", alpha=0.25)
        axes.legend()

    return Picture("accuracy-by-share", "Accuracy against the share of the training data, with 95 % intervals", draw)


def seconds_by_strategy(rows: Sequence[GraphRow]) -> Picture:
    """Seconds of each strategy, the tasks side by side."""
    tasks = list(dict.fromkeys(row.task for row in rows))
    strategies = list(dict.fromkeys(row.strategy for row in rows))

    def draw(axes: Any) -> None:
        width = 0.8 / len(strategies)
        for number, (colour, strategy) in enumerate(zip(COLOURS, strategies, strict=False)):
            chosen = [row for row in rows if row.strategy == strategy]
            places = [tasks.index(row.task) + (number - (len(strategies) - 1) / 2) * width for row in chosen]
            axes.bar(places, [row.seconds.value for row in chosen], width * 0.9, color=colour, label=strategy)
            _estimates(axes, places, [row.seconds for row in chosen], fmt="none", ecolor="grey")
        axes.set_xticks(range(len(tasks)), tasks)
        axes.set(ylabel="seconds a question")
        axes.grid(axis="y", alpha=0.25)
        axes.legend(ncols=len(strategies))

    return Picture("seconds-by-strategy", "Seconds of each strategy on each task, with 95 % intervals", draw)


def routes(result: RouteResult) -> Picture:
    """Accuracy against dollars: the route at every threshold, beside the oracle, chance, and always one solver."""

    def draw(axes: Any) -> None:
        ends = (result.cheap, result.strong)
        axes.plot(
            [p.usd_per_1000 for p in ends], [p.accuracy.value for p in ends], "--", color="grey", label="by chance"
        )
        for colour, label, line in ((COLOURS[2], "oracle", result.oracle_line), (COLOURS[0], "route", result.line)):
            axes.plot([p.usd_per_1000 for p in line], [p.accuracy.value for p in line], color=colour, label=label)
        for colour, label, point in (
            (COLOURS[5], "always cheap", result.cheap),
            (COLOURS[3], "always strong", result.strong),
            (COLOURS[1], "at the threshold", result.chosen),
        ):
            _estimates(axes, [point.usd_per_1000], [point.accuracy], fmt="o", color=colour, label=label)
        axes.set(xlabel="$ per 1,000 questions", ylabel="accuracy")
        axes.grid(alpha=0.25)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)

    return Picture("accuracy-by-dollars", "Accuracy against dollars for a route between two solvers", draw)
