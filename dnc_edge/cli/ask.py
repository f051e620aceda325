"""`dnc-edge ask`: decompose a question here, have it answered by the solver."""

from __future__ import annotations

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.terminal import TerminalProgress


@options.settings(*options.STUDENT, *options.PLAN, *options.SOLVER, "fallback", *options.STRATEGY, *options.ENDPOINT)
def ask(
    question: options.Text = None,
    file: options.File = None,
    context: options.Context = None,
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
    """Answer a question: the plan is made on this machine, the answer by the solver.

    With a remote solver the question (and passage) leaves this machine in clear. The default solver is the
    small bundled one, which works offline and is often wrong.

    Examples:

      dnc-edge ask "Mia packs 6 boxes of 12 pens and gives away 15. How many are left?"

      dnc-edge ask --solver openai:gpt-4o-mini --file question.txt --context passage.txt

      dnc-edge ask --solver http://localhost:8000/v1#qwen2.5 --json "..."
    """
    from dnc_edge.edge import Edge
    from dnc_edge.log import Log

    text = options.read_question(question, file)
    passage = options.read_text(context) if context else None
    with Edge(
        progress=TerminalProgress(),
        log=Log(),
        prices=options.prices(price, local_price, cached_price),
        solver_options=options.solver_options(solver_option),
        **settings,
    ) as edge:
        given = None
        if edit:
            given = options.edited(text, edge.decompose(text, passage).subquestions or ())
        output.report(edge.stream(text, passage, plan=given), json=json, as_events=events, live=not no_stream)
