"""`dnc-edge serve`: the pair of student and solver behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.terminal import TerminalProgress


@options.settings(*options.STUDENT, *options.PLAN, *options.SOLVER, "fallback", *options.STRATEGY, *options.ENDPOINT)
def serve(
    *,
    settings: options.Given,
    host: Annotated[
        str, typer.Option(help="Address; one that others can reach needs DNC_EDGE_SERVE_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", help="Port; 0 takes a free one.", min=0, max=65535)] = 8484,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", metavar="NAME=[STUDENT+]SOLVER", help="Another pair to offer.")
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option("--cors", metavar="ORIGIN", help="Website that may ask from a browser; * is any."),
    ] = None,
    slots: Annotated[int, typer.Option(help="Sequences that a student decodes at once.", min=1, max=256)] = 8,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Questions at a time.", min=1, max=512)] = 32,
    queue: Annotated[int, typer.Option(help="Questions that may wait; further ones get 429.", min=0)] = 64,
    request_timeout: Annotated[
        float, typer.Option(help="Seconds that a question may take, waiting included.", min=0.1)
    ] = 600.0,
    rpm: options.Rpm = None,
    tpm: options.Tpm = None,
    max_cost: Annotated[float | None, typer.Option(help="Dollars a day, never exceeded.", min=0)] = None,
    spent: Annotated[
        Path | None, typer.Option(help="Folder that keeps what days have spent [default: the user's data folder].")
    ] = None,
    solver_option: options.SolverOption = None,
    price: options.Price = None,
    cached_price: options.CachedPrice = None,
    local_price: options.LocalPrice = None,
) -> None:
    """Offer student and solver as one model of an OpenAI-compatible server, with a page to look at.

    Plans arrive as `reasoning_content`, answers as `content`. Ctrl-C finishes what is in flight; a second one does not.

    Examples:

      dnc-edge serve --solver openai:gpt-4o-mini --max-cost 2

      dnc-edge serve --model fast=http://localhost:11434/v1#qwen2.5 --model offline=local
    """
    options.require("starlette", "uvicorn", "prometheus_client", extra="serve")
    import platformdirs

    from dnc_edge.log import Log
    from dnc_edge.serve.jobs import Limits
    from dnc_edge.serve.models import Models
    from dnc_edge.serve.serve import TOKEN, check_address
    from dnc_edge.serve.serve import serve as run

    token = os.environ.get(TOKEN) or None
    check_address(host, token)
    prices, progress = options.prices(price, local_price, cached_price), TerminalProgress()
    with Models(
        model or (),
        max_cost=max_cost,
        spent=spent or platformdirs.user_data_path("dnc-edge") / "spent",
        run={"prices": prices, "rpm": rpm, "tpm": tpm, "progress": progress},
        edge={
            "prices": prices,
            "solver_options": options.solver_options(solver_option),
            "slots": slots,
            "progress": progress,
            "log": Log(),
            **settings,
        },
    ) as models:
        limits = Limits(seconds=request_timeout, running=jobs, waiting=queue)

        def ready(address: str) -> None:
            output.note(f"dnc-edge serves {', '.join(models)}")
            output.print_text(f"{address}/v1")

        run(models, limits, host=host, port=port, token=token, origins=cors or (), ready=ready)
