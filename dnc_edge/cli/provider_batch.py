"""`dnc-edge provider-batch`: plans made here, answers at half price through a provider's batch service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.errors import RecordsFailed

app = typer.Typer(no_args_is_help=True, help="Solve a file of questions through a provider's batch service.")

Folder = Annotated[Path, typer.Argument(help="The job's folder.")]
Solver = Annotated[str, typer.Option("--solver", "-S", help="openai:MODEL or http://host:port/v1#MODEL.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _edge(solver: str, price: tuple[float, float] | None = None, **settings: Any) -> Any:
    from dnc_edge.edge import Edge

    return Edge(solver=solver, prices=options.prices(price, None), **settings)


@app.command()
@options.settings("student", "level", "decomposer", "max_tokens", "shots", "threads")
def export(
    source: Annotated[str, typer.Argument(metavar="IN", help="JSONL, CSV, Parquet or text, or .gz; - reads stdin.")],
    folder: Annotated[Path, typer.Option("--out", "-o", help="The job's folder.")],
    solver: Solver,
    column: Annotated[list[str] | None, typer.Option(help="OURS=THEIRS for question, context or id.")] = None,
    *,
    settings: options.Given,
) -> None:
    """Decompose every question here and write the provider's request files.

    Examples:

      dnc-edge provider-batch export questions.jsonl -o job --solver openai:gpt-4o-mini
    """
    from dnc_edge.batch import inputs, provider

    questions = inputs.read(source, columns=inputs.column_map(column or []))
    with _edge(solver, slots=8, **settings) as edge, output.watching() as tell:
        files = provider.export(questions, folder, edge, tell=tell)
    for file in files:
        output.print_text(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB)")


@app.command()
def submit(folder: Folder, solver: Solver, json: Json = False) -> None:
    """Upload the request files and start their batches; what was submitted already is left alone."""
    from dnc_edge.batch import provider

    with _edge(solver) as edge:
        _show(provider.submit(folder, edge.solver.chat), json)


@app.command()
def status(folder: Folder, solver: Solver, json: Json = False) -> None:
    """Say how every batch stands."""
    from dnc_edge.batch import provider

    with _edge(solver) as edge:
        _show(provider.status(folder, edge.solver.chat), json)


@app.command()
@options.settings("max_tokens")
def collect(
    folder: Folder,
    solver: Solver,
    out: Annotated[Path, typer.Option("--out", "-o", help=".jsonl, .csv or .parquet, or .gz.")],
    *,
    settings: options.Given,
    price: options.Price = None,
) -> None:
    """Merge the replies with the plans into records; exit code 7 where some hold an error."""
    from dnc_edge.batch import provider

    with _edge(solver, price, **settings) as edge:
        counts = provider.collect(folder, out, edge)
    output.print_text(f"wrote {counts['records']} records to {out}")
    if counts["failed"]:
        raise RecordsFailed(f"{counts['failed']} of {counts['records']} questions failed", hint="their records say why")


def _show(entries: list[Any], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        output.print_json([asdict(entry) for entry in entries])
        return
    for entry in entries:
        done = f"{entry.completed}/{entry.total}" + (f", {entry.failed} failed" if entry.failed else "")
        why = f"  {entry.reason}" if entry.reason else ""
        output.print_text(f"{entry.file}  {entry.batch}  {entry.status}  {done}{why}")
