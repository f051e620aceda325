"""`dnc-edge bench`: measure plans, levels, engines, strategies. Needs the extra `eval`."""

from __future__ import annotations

from json import dumps as json_text
from pathlib import Path
from typing import Annotated, Any

import typer

from dnc_edge import output
from dnc_edge.cli import options

app = typer.Typer(no_args_is_help=True, help="Measure decomposers.")

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Keep the figures in this JSON file.")]
Folder = Annotated[Path, typer.Option("--out", "-o", help="Folder for figures, pictures and report.")]
TaskName = Annotated[str, typer.Option("--task", help="A task by name, or a .jsonl file of your own.")]
Limit = Annotated[int | None, typer.Option(help="So many questions [default: all].", min=1)]
DrawSeed = Annotated[int | None, typer.Option("--seed", help="Draw them at random instead of the first ones.")]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="OURS=THEIRS for a .jsonl file: question, answer, plan, ...")
]
Busy = Annotated[bool, typer.Option("--busy", help="Measure although other processes run.")]


def _tick(done: int) -> None:
    if done % 100 == 0:
        output.note(f"{done} questions")


def _keep(result: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json_text(result, indent=2) + "\n", encoding="utf-8")


def _task(name: str, limit: int | None, seed: int | None, columns: list[str] | None) -> Any:
    from dnc_edge import tasks
    from dnc_edge.batch.inputs import column_map
    from dnc_edge.tasks.own import COLUMNS

    return tasks.load(name, limit=limit, seed=seed, columns=column_map(columns or [], COLUMNS))


@app.command()
def plans(
    student: options.Student = None,
    level: options.Level = None,
    decomposer: options.Decomposer = None,
    threads: options.Threads = None,
    limit: Annotated[int | None, typer.Option(help="The first so many questions [default: all].", min=1)] = None,
    out: Out = None,
    json: options.Json = False,
) -> None:
    """Judge plans on GSM8K test without a solver, beside published decomposers.

    Examples:

      DNC_EDGE_DATA=data dnc-edge bench plans --limit 200
    """
    options.require("rouge_score", "scipy", extra="eval")
    from dnc_edge.bench import plans as bench
    from dnc_edge.edge import Edge

    with Edge(student=student, level=level, decomposer=decomposer, threads=threads) as edge:
        result = bench.plans(edge.decomposer, limit=limit, tick=_tick)
    _keep(result, out)
    if json:
        output.print_json(result)
    else:
        output.print_text(bench.table(result))


@app.command()
def student(
    student: options.Student = None,
    level: options.Level = None,
    threads: options.Threads = None,
    limit: Annotated[int | None, typer.Option(help="The first so many questions of each task.", min=1)] = None,
    out: Out = None,
) -> None:
    """Measure both roles of a student: plans of fact, what is left whole, accuracy of its own solving."""
    options.require("rouge_score", "scipy", extra="eval")
    from dnc_edge.bench import student as bench
    from dnc_edge.edge import Edge

    with Edge(student=student, level=level, threads=threads) as edge:
        result = bench.student(edge.decomposer, edge.solver, limit=limit, tick=_tick)
    _keep(result, out)
    output.print_text(bench.table(result))


@app.command()
def overhead(
    runs: Annotated[int, typer.Option(help="Pairs of each measurement.", min=1)] = 9,
    out: Out = None,
) -> None:
    """Measure what dnc-edge adds to a cold start and to a plan."""
    from dnc_edge.bench.overhead import overhead as measure

    result = measure(runs=runs)
    _keep(result, out)
    output.print_json(result, indent=2)


@app.command()
def parsers(
    json: options.Json = False,
) -> None:
    """Send 500 recorded replies of real models through the parsers."""
    from dataclasses import asdict

    from dnc_edge.bench.parsers import parsers as read

    rows = read()
    if json:
        output.print_json([asdict(row) for row in rows])
        return
    for row in rows:
        output.print_text(f"{row.source}: {row.total - len(row.misses)} of {row.total} ({row.criterion})")
        if row.misses:
            output.print_text("  not: " + ", ".join(row.misses))


@app.command()
def speed(
    student: options.Student = None,
    level: options.Level = None,
    engine: options.Engine = None,
    shape: Annotated[
        str | None,
        typer.Option(
            help="Random weights of a real shape instead: student-18m, qwen2.5-0.5b, qwen2.5-1.5b, "
            "llama-3.2-1b, mistral-7b."
        ),
    ] = None,
    threads: options.Threads = None,
    slots: Annotated[int, typer.Option(help="Sequences at once.", min=1)] = 8,
    questions: Annotated[int, typer.Option(help="Real questions to turn into plans.", min=2)] = 200,
    repeat: Annotated[int, typer.Option(help="Measurements of each figure.", min=1)] = 5,
    llama_bench: Annotated[Path | None, typer.Option(help="llama.cpp's llama-bench, to measure beside.")] = None,
    busy: Busy = False,
    out: Out = None,
    json: options.Json = False,
) -> None:
    """Measure load, prefill, decode, questions/s and memory, beside what the machine could do.

    Examples:

      dnc-edge bench speed

      dnc-edge bench speed --shape qwen2.5-0.5b --level q4_k_m
    """
    from dnc_edge.bench import speed as bench

    if shape:
        options.require("llama_cpp", extra="gguf")
        import platformdirs

        from dnc_edge.bench.shapes import shape_file

        level = level or "q8_0"
        output.note(f"making {shape} at {level}")
        file = shape_file(shape, level, platformdirs.user_cache_path("dnc-edge") / "shapes")
        target = bench.Target(shape, "llama.cpp", level, {"model": file})
    else:
        target = bench.student_target(student, level, engine, questions)
    result = bench.speed(
        target, threads=threads, slots=slots, repeat=repeat, busy=busy, llama_bench=llama_bench, say=output.note
    )
    _keep(result, out)
    if json:
        output.print_json(result)
    else:
        output.print_text(bench.table(result))


@app.command()
def batch(
    questions: Annotated[int, typer.Option(help="Questions of GSM8K test, for speed.", min=16)] = 1000,
    many: Annotated[int, typer.Option(help="Short questions, for memory.", min=40)] = 20_000,
    out: Out = None,
) -> None:
    """Measure what a batch adds to the engine, to a solver that waits, and to memory."""
    from dnc_edge.bench.batch import batch as measure

    result = measure(questions=questions, many=many, say=output.note)
    _keep(result, out)
    output.print_json(result, indent=2)


@app.command()
def quant(
    out: Folder,
    student: options.Student = None,
    levels: Annotated[str | None, typer.Option(help="Such as q8_0,q4_k_m [default: all].")] = None,
    task: TaskName = "gsm8k",
    limit: Limit = None,
    seed: DrawSeed = None,
    column: Columns = None,
    solver: options.Solver = None,
    price: options.Price = None,
    max_cost: Annotated[float | None, typer.Option(help="Dollars never exceeded.", min=0)] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Questions being solved at a time.", min=1)] = 8,
    threads: options.Threads = None,
    slots: Annotated[int, typer.Option(help="Plans at once, for plans/s.", min=1)] = 8,
    repeat: Annotated[int, typer.Option(help="Measurements of each speed.", min=1)] = 3,
    busy: Busy = False,
    json: options.Json = False,
) -> None:
    """Which quantization level: size, speed, memory, plans of each, and a recommendation.

    The levels are made here from the student's F16 file. Run it again after a stop: what is measured is kept.

    Examples:

      DNC_EDGE_DATA=data dnc-edge bench quant -o levels

      dnc-edge bench quant -o levels --levels q8_0,q4_k_m --limit 200 --solver openai:gpt-4o-mini --max-cost 2
    """
    options.require("rouge_score", "scipy", "matplotlib", "jinja2", extra="bench")
    from dnc_edge.bench import quant as bench
    from dnc_edge.bench.report import report, section, table_text
    from dnc_edge.bench.solved import solved
    from dnc_edge.edge import Edge
    from dnc_edge.runner.gate import Gate
    from dnc_edge.runner.store import Store

    chosen = _task(task, limit, seed, column)
    prices = options.prices(price, None)
    gate = Gate(prices, max_cost=max_cost)

    def solve(directory: str, level: str, engine: str) -> dict[str, Any]:
        parts: dict[str, Any] = {"student": directory, "level": level, "engine": engine, "solver": solver}
        with Edge(prices=prices, gate=gate, store=store, slots=slots, threads=threads, **parts) as edge:
            return solved(chosen, edge, jobs=jobs, tick=_tick)

    store = Store(out / "replies") if solver else None
    try:
        result = bench.quant(
            student,
            chosen,
            out,
            levels=levels.split(",") if levels else None,
            slots=slots,
            threads=threads,
            repeat=repeat,
            solver=solver,
            solve=solve if solver else None,
            busy=busy,
            say=output.note,
        )
    finally:
        if store:
            store.close()
    page = report([result], out)
    if json:
        output.print_json(result)
    else:
        output.print_text(table_text(section(result)))
        output.note(f"wrote {page}")


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="Recordings: GSM8K-AI-SubQ's, or records of dnc-edge.")],
    task: TaskName = "gsm8k",
    json: options.Json = False,
) -> None:
    """Score answers that were recorded.

    Examples:

      dnc-edge bench replay answers.jsonl

      dnc-edge bench replay eval_chat.jsonl.gz eval_finetune.jsonl.gz --json
    """
    options.require("rouge_score", "scipy", extra="eval")
    from dnc_edge.bench import replay as bench

    chosen = _task(task, None, None, None)
    results = [bench.replay(file, chosen) for file in files]
    if json:
        for result in results:
            output.print_json(result.to_dict())
    else:
        output.print_text(bench.table(results))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A quant.json or tradeoff.json.")],
    second: Annotated[Path, typer.Argument(help="Another one, of the same questions.")],
    metric: Annotated[str | None, typer.Option(help="Which score [default: the first that the rows hold].")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for a report.")] = None,
    json: options.Json = False,
) -> None:
    """Compare two results, paired question by question: second - first.

    Examples:

      dnc-edge bench compare before/quant.json after/quant.json
    """
    options.require("rouge_score", "scipy", "matplotlib", "jinja2", extra="bench")
    from dnc_edge.bench.compare import compare as paired
    from dnc_edge.bench.compare import section
    from dnc_edge.bench.report import report, table_text

    result = paired(first, second, metric=metric)
    if out is not None:
        output.note(f"wrote {report([result], out)}")
    if json:
        output.print_json(result)
    else:
        output.print_text(table_text(section(result)))
