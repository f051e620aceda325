"""`dnc-edge log`: what was asked, what it took, what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.errors import UsageError

if TYPE_CHECKING:
    from dnc_edge.log import Entry, Log

app = typer.Typer(no_args_is_help=True, help="Look up what was asked, and what it took.")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", help="The last N questions.", min=1)] = 20,
    json: options.Json = False,
) -> None:
    """List the last questions: strategy, student, solver, tokens, dollars, seconds.

    Examples:

      dnc-edge log list

      dnc-edge log list -n 100 --json
    """
    entries = _log().entries(limit=limit)
    if json:
        output.print_json([entry.to_dict() for entry in entries])
        return
    if not entries:
        output.note("the log is empty")
        return
    output.print_table(
        ("", "when", "strategy", "decomposer", "solver", "tokens", "cost", "seconds", "error"),
        [
            (
                str(entry.id),
                _when(entry.at),
                entry.strategy,
                " ".join(filter(None, (entry.decomposer, entry.level))),
                entry.solver or "",
                f"{entry.input_tokens:,} + {entry.output_tokens:,}",
                output.dollars(entry.cost_usd),
                f"{entry.seconds:.2f}",
                entry.error or "",
            )
            for entry in entries
        ],
    )


@app.command()
def show(
    id: Annotated[int | None, typer.Argument(metavar="[N]", help="Its number [default: the last one].")] = None,
    json: options.Json = False,
) -> None:
    """Show one question; with its texts, if they were logged.

    Examples:

      dnc-edge log show

      dnc-edge log show 12 --json
    """
    entry = _log().entry(id)
    if json:
        output.print_json(entry.to_dict())
        return
    record = entry.record
    if record:
        output.print_text(record.question)
        for number, subquestion in enumerate(record.subquestions or (), start=1):
            output.print_text(f"  {number}. {subquestion}")
        output.print_text(f"\n{record.text or '(no answer)'}\n")
    output.print_table((), _rows(entry))
    if record is None:
        output.note("its texts were not logged; from now on: dnc-edge config set logging texts")


def _rows(entry: Entry) -> list[tuple[str, str]]:
    values = {
        "when": _when(entry.at),
        "strategy": entry.strategy,
        "decomposer": " ".join(filter(None, (entry.decomposer, entry.level, entry.engine))),
        "solver": entry.solver,
        "sub-questions": entry.subquestions,
        "tokens": f"{entry.input_tokens:,} ({entry.cached_tokens:,} cached) + {entry.output_tokens:,}",
        "cost": output.dollars(entry.cost_usd),
        "seconds": f"{entry.seconds:.2f}",
        "error": entry.error,
    }
    return [(name, str(value)) for name, value in values.items() if value not in (None, "")]


@app.command()
def cost(
    by: Annotated[str, typer.Option(help="day, solver or student.")] = "day",
    json: options.Json = False,
) -> None:
    """Add up questions, tokens, seconds and dollars by day, solver or student.

    Examples:

      dnc-edge log cost --by solver
    """
    if by not in ("day", "solver", "student"):
        raise UsageError(f"--by: unknown {by!r}", hint="choose from: day, solver, student")
    costs = _log().costs(by)  # type: ignore[arg-type]
    if json:
        output.print_json([vars(cost) for cost in costs])
        return
    rows = [
        (
            cost.group,
            f"{cost.questions:,}",
            f"{cost.failed:,}",
            f"{cost.input_tokens:,} + {cost.output_tokens:,}",
            f"{cost.seconds:,.1f}",
            output.dollars(cost.cost_usd),
            f"{cost.unknown:,}" if cost.unknown else "",
        )
        for cost in costs
    ]
    if not rows:
        output.note("the log is empty")
        return
    output.print_table((by, "questions", "failed", "tokens", "seconds", "cost", "of unknown cost"), rows)
    output.print_text(f"in all: {output.dollars(sum(cost.cost_usd for cost in costs))}")


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="JSONL of demonstrations.")],
) -> None:
    """Write the logged texts as demonstrations, to train a student on your own questions.

    Only questions that were asked with `logging` at "texts" have some.

    Examples:

      dnc-edge log export -o mine.jsonl

      dnc-edge train adapt mine.jsonl -o student --base Qwen/Qwen2.5-0.5B-Instruct --teacher openai:gpt-4o-mini
    """
    from dnc_edge.train import demonstrations

    found = [demonstrations.of_record(record) for record in _log().records() if record.error is None]
    if not found:
        raise UsageError("no texts were logged", hint="from now on: dnc-edge config set logging texts")
    output.print_text(f"wrote {demonstrations.write(out, found)} demonstrations to {out}")


@app.command()
def clear(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete every row.

    Examples:

      dnc-edge log clear --yes
    """
    if not yes and not typer.confirm(f"Delete every row of {_log().path}?", err=True):
        raise typer.Exit(1)
    output.print_text(f"{_log().clear():,} rows deleted")


@app.command()
def path() -> None:
    """Print where the log is.

    Examples:

      sqlite3 "$(dnc-edge log path)" "SELECT solver, sum(cost_usd) FROM log GROUP BY solver"
    """
    output.print_text(str(_log().path))


def _log() -> Log:
    from dnc_edge.log import Log

    return Log()


def _when(at: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
