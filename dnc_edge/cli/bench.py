"""`dnc-edge bench`: measure plans, levels, engines, strategies. Needs the extra `eval`."""

from __future__ import annotations

from json import dumps as json_text
from pathlib import Path
from typing import Annotated, Any

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.bench_reports import compare, graph, passages, quant, replay, route, tradeoff
from dnc_edge.cli.terminal import TerminalProgress
from dnc_edge.typed_json import plain

app = typer.Typer(no_args_is_help=True, help="Measure decomposers.")

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Keep the figures in this JSON file.")]


def _keep(result: Any, out: Path | None) -> None:
    """Write a result to a JSON file, if there is a place for it."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json_text(plain(result), indent=2) + "\n", encoding="utf-8")


@app.command()
@options.settings("student", "level", "decomposer", "threads")
def plans(
    *,
    settings: options.Given,
    limit: options.Limit = None,
    out: Out = None,
    json: options.Json = False,
) -> None:
    """Judge plans on GSM8K test without a solver, beside published decomposers.

    Examples:

      dnc-edge bench plans --limit 200
    """
    options.require("rouge_score", "scipy", extra="eval")
    from dnc_edge.bench import plans as bench
    from dnc_edge.edge import Edge

    with Edge(**settings, slots=8) as edge, TerminalProgress() as progress:
        result = bench.plans(edge.decomposer, limit=limit, progress=progress)
    _keep(result, out)
    if json:
        output.print_json(plain(result))
    else:
        output.print_text(bench.table(result))


@app.command()
@options.settings("student", "level", "engine", "threads")
def confidence(
    *,
    settings: options.Given,
    out: Out = None,
    write: Annotated[bool, typer.Option("--write", help="Keep it in the student's student.json.")] = False,
) -> None:
    """Calibrate how far a student trusts its plans, and the threshold below which it withholds them.

    Examples:

      dnc-edge bench confidence --student runs/mine --write
    """
    options.require("rouge_score", "scipy", extra="eval")
    from dnc_edge.bench import confidence as bench
    from dnc_edge.edge import Edge
    from dnc_edge.students.resolve import resolve

    with Edge(slots=8, **settings) as edge, TerminalProgress() as progress:
        opened = edge.student()
        result = bench.confidence(opened, progress=progress)
        if write:
            bench.keep(resolve(settings["student"] or opened.name), result.confidence)
    _keep(result, out)
    output.print_json(plain(result), indent=2)


@app.command()
@options.settings("student", "level", "threads")
def student(
    *,
    settings: options.Given,
    limit: Annotated[int | None, typer.Option(help="The first so many questions of each task.", min=1)] = None,
    plans_only: Annotated[bool, typer.Option("--plans-only", help="Plans and decisions; nothing is solved.")] = False,
    out: Out = None,
) -> None:
    """Measure both roles of a student: plans of every kind, what is left whole, accuracy of its own solving."""
    options.require("rouge_score", "scipy", extra="eval")
    from dnc_edge.bench import student as bench
    from dnc_edge.edge import Edge

    with Edge(**settings, slots=8) as edge, TerminalProgress() as progress:
        result = bench.student(edge.decomposer, None if plans_only else edge.solver, limit=limit, progress=progress)
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
    output.print_json(plain(result), indent=2)


@app.command()
def parsers(
    json: options.Json = False,
) -> None:
    """Send 500 recorded replies of real models through the parsers."""
    from dnc_edge.bench.parsers import parsers as read

    rows = read()
    if json:
        output.print_json(plain(rows))
        return
    for row in rows:
        output.print_text(f"{row.source}: {row.total - len(row.misses)} of {row.total} ({row.criterion})")
        if row.misses:
            output.print_text("  not: " + ", ".join(row.misses))


@app.command()
@options.settings("student", "level", "engine", "threads")
def speed(
    *,
    settings: options.Given,
    shape: Annotated[
        str | None,
        typer.Option(
            help="Random weights of a real shape instead: student-18m, qwen2.5-0.5b, qwen2.5-1.5b, "
            "llama-3.2-1b, mistral-7b."
        ),
    ] = None,
    slots: Annotated[int, typer.Option(help="Sequences at once.", min=1)] = 8,
    task: Annotated[str, typer.Option(help="Whose questions are asked; everyday are ours.")] = "everyday",
    questions: Annotated[int, typer.Option(help="How many of them.", min=16)] = 200,
    batch: Annotated[int, typer.Option(help="Questions of a whole batch; 0 leaves it out.", min=0)] = 1000,
    repeat: Annotated[int, typer.Option(help="Rounds.", min=1)] = 3,
    llama_bench: Annotated[Path | None, typer.Option(help="llama.cpp's llama-bench, to measure beside.")] = None,
    optimum: Annotated[
        Path | None, typer.Option(help="optimum's export of the ONNX student, for a plain loop.")
    ] = None,
    busy: options.Busy = False,
    out: Out = None,
    json: options.Json = False,
) -> None:
    """Measure how fast plans are delivered, beside the engines alone, llama-bench and create_completion.

    A shape, and a student with --optimum, are measured on an engine alone.

    Examples:

      dnc-edge bench speed --llama-bench build/bin/llama-bench

      dnc-edge bench speed --shape qwen2.5-0.5b --level q4_k_m
    """
    from dnc_edge.bench import delivered
    from dnc_edge.bench import speed as bench
    from dnc_edge.prompts import user_message

    if not shape and not optimum:
        options.require("pydantic", extra="bench")
        made = delivered.delivered(
            settings["student"],
            level=settings["level"],
            task=task,
            count=questions,
            batch=batch,
            threads=settings["threads"],
            slots=slots,
            repeat=repeat,
            busy=busy,
            llama_bench=llama_bench,
            say=output.note,
        )
        _keep(made.to_dict(), out)
        if json:
            output.print_json(made.to_dict())
        else:
            output.print_text(delivered.table(made))
        return
    if shape:
        options.require("llama_cpp", extra="gguf")
        import platformdirs

        from dnc_edge.bench.shapes import shape_file

        level = settings["level"] or "q8_0"
        output.note(f"making {shape} at {level}")
        file = shape_file(shape, level, platformdirs.user_cache_path("dnc-edge") / "shapes")
        target = bench.Target(shape, "llama.cpp", level, {"model": file})
    else:
        named = settings["student"], settings["level"], settings["engine"]
        texts = [user_message(question.text, question.context) for question in delivered.questions(task, questions)]
        target = bench.student_target(*named, texts, role="decompose")
    result = bench.speed(
        target,
        threads=settings["threads"],
        slots=slots,
        repeat=repeat,
        busy=busy,
        llama_bench=llama_bench,
        optimum=optimum,
        say=output.note,
    )
    _keep(result, out)
    if json:
        output.print_json(plain(result))
    else:
        output.print_text(bench.table(result))


@app.command()
@options.settings("student", "threads")
def engines(
    *,
    settings: options.Given,
    questions: Annotated[int, typer.Option(help="Real questions to turn into plans.", min=2)] = 200,
    repeat: Annotated[int, typer.Option(help="Measurements of each figure.", min=1)] = 5,
    busy: options.Busy = False,
    out: Out = None,
    json: options.Json = False,
) -> None:
    """Measure the installed engines side by side: first answer, plans/s, memory."""
    from dnc_edge.bench import engines as bench

    result = bench.engines(**settings, questions=questions, repeat=repeat, busy=busy, progress=TerminalProgress())
    _keep(result, out)
    if json:
        output.print_json(plain(result))
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

    result = measure(questions=questions, many=many, progress=TerminalProgress())
    _keep(result, out)
    output.print_json(plain(result), indent=2)


@app.command("local-steps")
def local_steps(out: Out = None) -> None:
    """Count the sub-questions of gold plans that are worked out here in place of being sent to a solver."""
    from dnc_edge.bench.local_steps import local_steps as measure

    result = measure().to_dict()
    _keep(result, out)
    output.print_json(result, indent=2)


for command in (quant, replay, compare, tradeoff, graph, route, passages):
    app.command()(command)
