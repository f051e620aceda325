"""`dnc-edge solve`: answer through a plan that exists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.terminal import TerminalProgress
from dnc_edge.types import Question, Record


@options.settings(*options.STUDENT, *options.SOLVER, "fallback", "strategy", *options.ENDPOINT)
def solve(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A record as `decompose` writes it; - reads stdin.")],
    *,
    settings: options.Given,
    solver_option: options.SolverOption = None,
    price: options.Price = None,
    cached_price: options.CachedPrice = None,
    local_price: options.LocalPrice = None,
    edit: options.Edit = False,
    json: options.Json = False,
    events: options.Events = False,
    no_stream: options.NoStream = False,
) -> None:
    """Answer a question through a plan, made by `dnc-edge decompose` and changed at will.

    Examples:

      dnc-edge solve plan.json --solver openai:gpt-4o-mini

      dnc-edge decompose "..." | dnc-edge solve -
    """
    from dnc_edge.edge import Edge
    from dnc_edge.log import Log

    text = options.read_question("-", None) if plan == "-" else options.read_text(Path(plan))
    record = Record.from_json(text, where="stdin" if plan == "-" else plan)
    subquestions = list(record.subquestions or ())
    if edit:
        subquestions = options.edited(record.question, subquestions)
    with Edge(
        progress=TerminalProgress(),
        log=Log(),
        prices=options.prices(price, local_price, cached_price),
        solver_options=options.solver_options(solver_option),
        **settings,
    ) as edge:
        question = Question(record.question, record.context, record.id)
        output.report(edge.stream(question, plan=subquestions), json=json, as_events=events, live=not no_stream)
