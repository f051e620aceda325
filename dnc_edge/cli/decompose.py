"""`dnc-edge decompose`: the plan alone."""

from __future__ import annotations

import sys

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.terminal import TerminalProgress


@options.settings(*options.STUDENT, *options.PLAN, *options.ENDPOINT)
def decompose(
    question: options.Text = None,
    file: options.File = None,
    context: options.Context = None,
    *,
    settings: options.Given,
    json: options.Json = False,
    events: options.Events = False,
    no_stream: options.NoStream = False,
) -> None:
    """Split a question into sub-questions; nothing is solved.

    Into a file or a pipe, the plan is written as a JSON record that `dnc-edge solve` reads.

    Examples:

      dnc-edge decompose "Mia packs 6 boxes of 12 pens and gives away 15. How many are left?"

      dnc-edge decompose --file question.txt > plan.json
    """
    from dnc_edge.edge import Edge
    from dnc_edge.log import Log

    text = options.read_question(question, file)
    passage = options.read_text(context) if context else None
    with Edge(progress=TerminalProgress(), log=Log(), **settings) as edge:
        stream = edge.stream(text, passage, solve=False)
        indented = not json and not events and not sys.stdout.isatty()
        output.report(
            stream, json=json or indented, as_events=events, live=not no_stream, indent=2 if indented else None
        )
