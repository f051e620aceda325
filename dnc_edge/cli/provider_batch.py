"""`dnc-edge provider-batch`: plans made here, answers at half price through a provider's batch service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.terminal import TerminalProgress
from dnc_edge.errors import RecordsFailed

app = typer.Typer(no_args_is_help=True, help="Solve a file of questions through a provider's batch service.")

Folder = Annotated[Path, typer.Argument(help="The job's folder.")]
Solver = Annotated[str, typer.Option("--solver", "-S", help="openai:MODEL or http://host:port/v1#MODEL.")]
OtherSolver = Annotated[
    str | None, typer.Option("--solver", "-S", help="In place of the one of the export, if that had a password.")
]


def _edge(folder: Path, solver: str | None, price: tuple[float, float] | None = None) -> Any:
    """Open what a job asks, as its export kept it."""
    from dnc_edge.batch import provider
    from dnc_edge.edge import Edge

    job = provider.job(folder)
    return Edge(solver=solver or job.solver, prices=options.prices(price or job.price, None), **job.settings)


@app.command()
@options.settings("student", "level", "decomposer", "plan", "max_tokens", "shots", "instruction", "threads")
def export(
    source: Annotated[str, typer.Argument(metavar="IN", help="JSONL, CSV, Parquet or text, or .gz; - reads stdin.")],
    folder: Annotated[Path, typer.Option("--out", "-o", help="The job's folder.")],
    solver: Solver,
    column: options.Columns = None,
    *,
    settings: options.Given,
    price: options.Price = None,
) -> None:
    """Decompose every question here and write the provider's request files.

    Examples:

      dnc-edge provider-batch export questions.jsonl -o job --solver openai:gpt-4o-mini
    """
    from dnc_edge.batch import inputs, provider
    from dnc_edge.edge import Edge

    questions = inputs.read(source, columns=inputs.column_map(column or []))
    with (
        Edge(solver=solver, prices=options.prices(price, None), slots=8, **settings) as edge,
        TerminalProgress() as progress,
    ):
        files = provider.export(questions, folder, edge, progress=progress)
    for file in files:
        output.print_text(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB)")


@app.command()
def submit(folder: Folder, solver: OtherSolver = None, json: options.Json = False) -> None:
    """Upload the request files and start their batches; what was submitted already is left alone."""
    from dnc_edge.batch import provider

    with _edge(folder, solver) as edge:
        _show(provider.submit(folder, edge.solver.chat), json)


@app.command()
def status(folder: Folder, solver: OtherSolver = None, json: options.Json = False) -> None:
    """Say how every batch stands."""
    from dnc_edge.batch import provider

    with _edge(folder, solver) as edge:
        _show(provider.status(folder, edge.solver.chat), json)


@app.command()
def collect(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help=".jsonl, .csv or .parquet, or .gz.")],
    solver: OtherSolver = None,
    price: options.Price = None,
) -> None:
    """Merge the replies with the plans into records; exit code 7 if some hold an error.

    Solver, price and limits are those of the export.
    """
    from dnc_edge.batch import provider

    with _edge(folder, solver, price) as edge:
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
