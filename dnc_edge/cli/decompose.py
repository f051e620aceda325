"""`dnc-edge decompose`: the plan alone."""

from __future__ import annotations

import sys

from dnc_edge import output
from dnc_edge.cli import options


def decompose(
    question: options.Text = None,
    file: options.File = None,
    context: options.Context = None,
    student: options.Student = None,
    level: options.Level = None,
    decomposer: options.Decomposer = None,
    plan: options.PlanPolicy = None,
    max_subquestions: options.MaxSubquestions = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    seed: options.Seed = None,
    shots: options.Shots = None,
    patience: options.Patience = None,
    instruction: options.Instruction = None,
    engine: options.Engine = None,
    threads: options.Threads = None,
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

    text = options.read_question(question, file)
    passage = options.read_text(context) if context else None
    with Edge(
        tell=output.note,
        student=student,
        level=level,
        decomposer=decomposer,
        plan=plan,
        max_subquestions=max_subquestions,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        shots=shots,
        patience=patience,
        instruction=instruction,
        engine=engine,
        threads=threads,
    ) as edge:
        stream = edge.stream(text, passage, solve=False)
        indented = not json and not events and not sys.stdout.isatty()
        output.report(
            stream, json=json or indented, as_events=events, live=not no_stream, indent=2 if indented else None
        )
