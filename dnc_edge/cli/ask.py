"""`dnc-edge ask`: decompose a question here, have it answered by the solver."""

from __future__ import annotations

from dnc_edge import output
from dnc_edge.cli import options


def ask(
    question: options.Text = None,
    file: options.File = None,
    context: options.Context = None,
    student: options.Student = None,
    level: options.Level = None,
    decomposer: options.Decomposer = None,
    plan: options.PlanPolicy = None,
    solver: options.Solver = None,
    solver_option: options.SolverOption = None,
    fallback: options.Fallback = None,
    strategy: options.Strategy = None,
    mode: options.Mode = None,
    max_subquestions: options.MaxSubquestions = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    seed: options.Seed = None,
    max_tokens: options.MaxTokens = None,
    timeout: options.Timeout = None,
    patience: options.Patience = None,
    instruction: options.Instruction = None,
    shots: options.Shots = None,
    engine: options.Engine = None,
    threads: options.Threads = None,
    price: options.Price = None,
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

    text = options.read_question(question, file)
    passage = options.read_text(context) if context else None
    with Edge(
        tell=output.note,
        prices=options.prices(price, local_price),
        solver_options=options.solver_options(solver_option),
        student=student,
        level=level,
        decomposer=decomposer,
        plan=plan,
        solver=solver,
        fallback=fallback,
        strategy=strategy,
        mode=mode,
        max_subquestions=max_subquestions,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        max_tokens=max_tokens,
        timeout=timeout,
        shots=shots,
        patience=patience,
        instruction=instruction,
        engine=engine,
        threads=threads,
    ) as edge:
        given = None
        if edit:
            given = options.edited(text, edge.decompose(text, passage).subquestions or ())
        output.report(edge.stream(text, passage, plan=given), json=json, as_events=events, live=not no_stream)
