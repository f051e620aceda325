"""`dnc-edge batch`: a file of questions, stopped and resumed at will."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.terminal import TerminalProgress
from dnc_edge.errors import InputError, UsageError

if TYPE_CHECKING:
    from dnc_edge.progress import RunStatus
    from dnc_edge.types import Record


class RecordLines(TerminalProgress):
    """Prints each record as a line of JSON as it is finished."""

    def record(self, record: Record) -> None:
        output.print_line(record.to_json())


@options.settings(*options.STUDENT, *options.PLAN, *options.SOLVER, *options.STRATEGY, *options.ENDPOINT)
def batch(
    source: Annotated[str, typer.Argument(metavar="IN", help="JSONL, CSV, TSV, Parquet, text, or .gz; - reads stdin.")],
    out: Annotated[str, typer.Option("--out", "-o", help=".jsonl, .csv, .tsv, .parquet or .gz; - prints JSON lines.")],
    plan_only: options.PlanOnly = False,
    form: Annotated[str | None, typer.Option("--format", help="Of IN: jsonl, csv, tsv, parquet or txt.")] = None,
    column: options.Columns = None,
    skip_bad: options.SkipBad = False,
    jobs: options.Jobs = 8,
    slots: Annotated[int, typer.Option(help="Plans being decoded at a time.", min=1, max=64)] = 8,
    rpm: options.Rpm = None,
    tpm: options.Tpm = None,
    max_cost: options.MaxCost = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask failed questions again.")] = False,
    order: Annotated[str, typer.Option(help="input or finished.")] = "input",
    dry_run: options.DryRun = False,
    *,
    settings: options.Given,
    solver_option: Annotated[
        list[str] | None, typer.Option("--solver-option", help="key=value into each request to the solver.")
    ] = None,
    price: options.Price = None,
    cached_price: options.CachedPrice = None,
    local_price: options.LocalPrice = None,
    runner: Annotated[
        str, typer.Option(help="local, or ray: actors on a Ray cluster; OUT is then a folder.")
    ] = "local",
    workers: Annotated[int, typer.Option(help="Actors of the ray runner.", min=1)] = 2,
    json: options.Json = False,
) -> None:
    """Plan, and unless told otherwise answer, every question of a file.

    Run the same command again after a kill, a crash or a cap: what has a record is kept, the rest is asked.

    Examples:

      dnc-edge batch questions.jsonl -o plans.jsonl --plan-only

      dnc-edge batch questions.csv --column question=prompt -o out.jsonl --solver openai:gpt-4o-mini --max-cost 2
    """
    from dnc_edge.batch import inputs
    from dnc_edge.batch.batch import batch as run_batch
    from dnc_edge.batch.batch import check_paths, purse_path, store_path
    from dnc_edge.batch.paid import PaidRun
    from dnc_edge.log import Log

    for name, value, known in (("order", order, ("input", "finished")), ("runner", runner, ("local", "ray"))):
        if value not in known:
            raise UsageError(f"unknown {name} {value!r}", hint=f"choose from: {', '.join(known)}")
    target = None if out == "-" else Path(out)
    if runner == "local":
        check_paths(source, target)
    if target is None:
        output.require_stdout()
    prices = options.prices(price, local_price, cached_price)
    progress = RecordLines() if out == "-" else TerminalProgress()
    columns = inputs.column_map(column or [])
    questions = inputs.read(source, form=form, columns=columns, skip_bad=skip_bad, progress=progress)
    solver_options = options.solver_options(solver_option)
    if runner == "ray":
        if source == "-" or out == "-" or max_cost is not None or rpm or tpm:
            raise UsageError("the ray runner reads files, and keeps no cap and no rate over its actors")
        if skip_bad or retry_failed or dry_run or json or form or order != "input":
            raise UsageError(
                "the ray runner has no --skip-bad, --retry-failed, --dry-run, --json, --format and --order",
                hint="it asks failed questions again, and stops at a row that is no question",
            )
        from dnc_edge.batch.ray import ray_batch

        own = {"prices": prices, "solver_options": solver_options, "slots": slots, **settings}
        made = ray_batch(source, Path(out), own, columns=columns, solve=not plan_only, jobs=jobs, workers=workers)
        output.note(f"{made} records made; all of them are in {out}")
        return
    kept = None if dry_run else target
    parts = {"solver_options": solver_options, "slots": slots, "log": None if dry_run else Log(), **settings}
    with (
        PaidRun(
            prices, max_cost=max_cost, rpm=rpm, tpm=tpm, purse=purse_path(kept) if kept else None, progress=progress
        ) as run,
        # Replies of a question that needs several are kept one by one.
        run.edge(replies=store_path(kept) if kept else None, retry_failed=retry_failed, **parts) as edge,
    ):
        if dry_run:
            _estimate(list(questions), edge, solve=not plan_only)
            return
        try:
            with progress:
                run_batch(
                    questions,
                    target,
                    edge,
                    solve=not plan_only,
                    jobs=jobs,
                    retry_failed=retry_failed,
                    in_input_order=order == "input",
                    progress=progress,
                )
        finally:
            if progress.status:
                _summary(progress.status, progress.skipped_rows, target, json)


def _estimate(questions: list[Any], edge: Any, *, solve: bool) -> None:
    from dnc_edge.batch.estimate import estimate

    if not questions:
        raise InputError("there is no question")
    output.print_json(estimate(questions, edge, solve=solve).to_dict(), indent=2)


def _summary(status: RunStatus, skipped_rows: int, target: Path | None, as_json: bool) -> None:
    values = status.to_dict() | {"passed_over": skipped_rows}
    if status.repeated:
        rows = "row repeats" if status.repeated == 1 else "rows repeat"
        output.note(f"{status.repeated} {rows} a question that was there already and shares its record")
    if as_json and target is not None:
        output.print_json(values)
        return
    cost = "cost unknown" if values["cost_usd"] is None else output.dollars(values["cost_usd"])
    output.note(
        f"{status.done} done, {status.kept} kept, {status.failed} failed of {status.total} | "
        f"{status.rate:,.1f} questions/s | {status.output_tokens:,} tokens | {cost} | {status.seconds:,.1f} s"
    )
