"""`dnc-edge bench quant | replay | compare | tradeoff`: which level, which strategy, with a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.terminal import TerminalProgress
from dnc_edge.errors import UsageError

if TYPE_CHECKING:
    from dnc_edge.bench.results import Result

Folder = Annotated[Path, typer.Option("--out", "-o", help="Folder for figures, pictures and report.")]
TaskName = Annotated[str, typer.Option("--task", help="A task by name, or a .jsonl file of your own.")]
DrawSeed = Annotated[int | None, typer.Option("--seed", help="Draw them at random instead of the first ones.")]


def _task(name: str, limit: int | None, seed: int | None, columns: list[str] | None) -> Any:
    from dnc_edge import tasks
    from dnc_edge.batch.inputs import column_map
    from dnc_edge.tasks.own import COLUMNS

    return tasks.load(name, limit=limit, seed=seed, columns=column_map(columns or [], COLUMNS))


@options.settings("student", "solver", "threads")
def quant(
    out: Folder,
    *,
    settings: options.Given,
    levels: Annotated[str | None, typer.Option(help="Such as q8_0,q4_k_m [default: all].")] = None,
    margin: Annotated[
        float, typer.Option(help="Plan F1 that the recommended level is shown to lose less than.", min=1e-6, max=1)
    ] = 0.01,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task", help="A task, or a .jsonl file; may be repeated [default: all that the student claims]."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="So many questions of each task [default: all].", min=1)] = None,
    seed: DrawSeed = None,
    column: options.Columns = None,
    price: options.Price = None,
    max_cost: options.MaxCost = None,
    jobs: options.Jobs = 8,
    slots: Annotated[int, typer.Option(help="Plans at once, for plans/s.", min=1)] = 8,
    repeat: Annotated[int, typer.Option(help="Measurements of each speed.", min=1)] = 3,
    plans_only: Annotated[
        bool, typer.Option("--plans-only", help="Time nothing; run it again without, for the speeds.")
    ] = False,
    busy: options.Busy = False,
    json: options.Json = False,
) -> None:
    """Which quantization level: size, plans, confidence, speed and memory of each, and a recommendation.

    The levels are made here from the student's F16 file, or from base and adapter. Run it again after a stop: what is
    measured is kept.

    Examples:

      dnc-edge bench quant -o levels

      dnc-edge bench quant -o levels --levels q8_0,q4_k_m --limit 200 --solver openai:gpt-4o-mini --max-cost 2
    """
    options.require("rouge_score", "scipy", "matplotlib", "jinja2", extra="bench")
    options.require("llama_cpp", extra="gguf")
    from dnc_edge.batch.inputs import column_map
    from dnc_edge.batch.paid import PaidRun
    from dnc_edge.bench import claims
    from dnc_edge.bench import quant as bench
    from dnc_edge.bench.judge import Level
    from dnc_edge.bench.results import Solved
    from dnc_edge.bench.solved import solved
    from dnc_edge.students import manifest
    from dnc_edge.students.resolve import BUNDLED, resolve
    from dnc_edge.tasks import Task
    from dnc_edge.tasks.own import COLUMNS

    student, solver, threads = settings["student"], settings["solver"], settings["threads"]
    names = task or claims.claimed(manifest.load(resolve(student or BUNDLED)))
    columns = column_map(column or [], COLUMNS)
    chosen = [claims.load(name, limit=limit, seed=seed, columns=columns) for name in names]
    prices = options.prices(price, None)

    def solve(level: Level, asked: Task) -> Solved:
        parts: dict[str, Any] = {
            "student": str(level.directory), "level": level.level, "engine": level.engine, "solver": solver
        }  # fmt: skip
        with (
            TerminalProgress() as progress,
            PaidRun(prices, max_cost=max_cost, purse=out / "spent", progress=progress) as run,
            run.edge(replies=out / "replies", slots=slots, threads=threads, **parts) as edge,
        ):
            return solved(asked, edge, jobs=jobs, progress=progress)

    result = bench.quant(
        student,
        chosen,
        out,
        levels=levels.split(",") if levels else None,
        margin=margin,
        plans_only=plans_only,
        slots=slots,
        threads=threads,
        repeat=repeat,
        solver=solver,
        solve=solve if solver else None,
        busy=busy,
        say=output.note,
    )
    _show(result, out, json)


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

    result = paired(first, second, metric=metric)
    _show(result, out, json)


@options.settings("max_tokens", "threads", repeated=("strategy", "decomposer", "solver"))
def tradeoff(
    out: Folder,
    config: Annotated[str | None, typer.Option(help="A table of the papers; see docs/bench.md.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Of a table: whom the student learned from.")] = None,
    untrained: Annotated[str | None, typer.Option(help="Of a table: a decomposer that was not distilled.")] = None,
    student_solver: Annotated[str | None, typer.Option(help="Of a table: a distilled solver.")] = None,
    task: Annotated[str | None, typer.Option(help="A task by name, or a .jsonl file of your own.")] = None,
    limit: options.Limit = None,
    seed: DrawSeed = None,
    column: options.Columns = None,
    base: Annotated[str | None, typer.Option(help="Of stepwise-fractions: the model to train.")] = None,
    price: options.Price = None,
    local_price: options.LocalPrice = None,
    max_cost: options.MaxCost = None,
    rpm: options.Rpm = None,
    jobs: options.Jobs = 8,
    slots: Annotated[
        int, typer.Option(help="Sequences that a local student decodes at once; its seconds need 1.", min=1)
    ] = 1,
    *,
    settings: options.Given,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Which strategy, decomposer and solver: accuracy, dollars and latency of each, with the papers' tables.

    Run it again after a stop: what was answered is kept, and nothing is bought twice.

    Examples:

      dnc-edge bench tradeoff -o out --solver openai:gpt-4o-mini --limit 200 --max-cost 2

      dnc-edge bench tradeoff -o out --config paper-dynamic --solver http://localhost:8000/v1#qwen2.5
    """
    options.require("rouge_score", "scipy", "matplotlib", "jinja2", extra="bench")
    from dnc_edge.batch.paid import PaidRun
    from dnc_edge.bench import tradeoff as bench
    from dnc_edge.bench.fractions import NAME, fractions
    from dnc_edge.bench.papers import CONFIGS, Models

    known = (*CONFIGS, NAME)
    if config is not None and config not in known:
        raise UsageError(f"there is no configuration {config!r}", hint=f"choose from: {', '.join(known)}")
    if config == NAME:
        if base is None:
            raise UsageError(f"{NAME} needs a model to train", hint="name one with --base")
        result: Result = fractions(task or "svamp", base, out, limit=limit, progress=TerminalProgress())
    else:
        prices = options.prices(price, local_price)
        named = CONFIGS.get(config or "")
        strategies, decomposers, solvers = (settings[name] for name in ("strategy", "decomposer", "solver"))
        if named:
            models = {
                "teacher": teacher, "untrained": untrained, "student": decomposers[0] if decomposers else None,
                "solvers": tuple(solvers) if solvers else None, "student_solver": student_solver,
            }  # fmt: skip
            chosen_models = Models(**{name: value for name, value in models.items() if value is not None})  # type: ignore[arg-type]
            rows = named.rows(chosen_models, task or named.task)
        else:
            strategies = strategies or ["single", "static", "dynamic"]
            rows = bench.systems(strategies, decomposers or ["student:"], solvers or ["local"])
        common = {name: value for name in ("max_tokens", "threads") if (value := settings[name]) is not None}
        rows = [replace(row, settings={**row.settings, **common}) for row in rows]
        chosen = _task(task or (named.task if named else "gsm8k"), limit, seed, column)
        if dry_run:
            output.print_json(bench.dry_run(chosen, rows, PaidRun(prices)), indent=2)
            return
        claimed = named.claim if named else None
        with (
            TerminalProgress() as progress,
            PaidRun(prices, max_cost=max_cost, rpm=rpm, purse=out / "spent", progress=progress) as run,
        ):
            result = bench.tradeoff(
                chosen,
                rows,
                out,
                run=run,
                jobs=jobs,
                slots=slots,
                name=config,
                claimed=claimed,
                progress=progress,
            )
    _show(result, out, json)


def graph(
    out: Folder,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="With gold plans; may be repeated [fanoutqa, strategyqa, musique]."),
    ] = None,
    limit: options.Limit = None,
    subanswer: Annotated[int, typer.Option(help="Tokens of the answer to a sub-question.", min=1)] = 32,
    jobs: options.Jobs = 8,
    json: options.Json = False,
) -> None:
    """What solving sub-questions side by side gains in time, and costs, against `static` and `dynamic`.

    Gold plans are solved by a server on loopback that takes 400 ms for a request and 15 ms for each token.

    Examples:

      DNC_EDGE_DATA=data dnc-edge bench graph -o graph
    """
    options.require("matplotlib", "jinja2", extra="bench")
    from dnc_edge.bench import graph as bench
    from dnc_edge.bench.folder import write

    tasks = [_task(name, limit, None, None) for name in task or ("fanoutqa", "strategyqa", "musique")]
    with TerminalProgress() as progress:
        result = bench.graph(tasks, pace=bench.Pace(subanswer=subanswer), jobs=jobs, progress=progress)
    write(out / "graph.json", result.to_dict())
    _show(result, out, json)


def route(
    cheap: Annotated[Path, typer.Argument(help="Answers of the cheap solver: records, or GSM8K-AI-SubQ's recordings.")],
    strong: Annotated[Path, typer.Argument(help="Answers of the strong solver to the same questions.")],
    out: Folder,
    task: TaskName = "gsm8k",
    plans: Annotated[
        Path | None, typer.Option(help="Records with the plans, if the cheap answers have none: batch --plan-only.")
    ] = None,
    cheap_price: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="IN OUT", help="Dollars per million tokens; recordings need it."),
    ] = None,
    strong_price: Annotated[
        tuple[float, float] | None, typer.Option(metavar="IN OUT", help="The same of the other.")
    ] = None,
    paid_plans: Annotated[
        list[str] | None, typer.Option(help="cheap or strong: that recording's plans were bought from its solver, too.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Keep the route for --route auto.")] = False,
    json: options.Json = False,
) -> None:
    """Which questions need the strong solver: accuracy against dollars of a route between two.

    Half of the questions fit the route, the other half test it.

    Examples:

      dnc-edge bench route cheap.jsonl strong.jsonl -o route --task questions.jsonl --write
    """
    options.require("scipy", "matplotlib", "jinja2", extra="bench")
    from dnc_edge import files
    from dnc_edge.bench import route as bench
    from dnc_edge.bench.answers import answered, planned
    from dnc_edge.bench.folder import write as write_json
    from dnc_edge.config import route_path

    for side in paid_plans or ():
        if side not in ("cheap", "strong"):
            raise UsageError(f"--paid-plans: {side!r} is no side", hint="choose from: cheap, strong")
    chosen = _task(task, None, None, None)
    bought = set(paid_plans or ())
    result = bench.route(
        chosen,
        answered(cheap, chosen, cheap_price, planned="cheap" in bought),
        answered(strong, chosen, strong_price, planned="strong" in bought),
        planned(plans, chosen) if plans else None,
        settings={
            "cheap": cheap.name,
            "strong": strong.name,
            "plans": plans.name if plans else None,
            "paid_plans": sorted(bought),
            "cheap_price": cheap_price,
            "strong_price": strong_price,
        },
    )
    write_json(out / "route.json", result.to_dict())
    if write:
        files.write_json(route_path(), result.route)
        output.note(f"wrote {route_path()}")
    _show(result, out, json)


def passages(
    out: Folder,
    task: TaskName = "drop",
    limit: options.Limit = None,
    json: options.Json = False,
) -> None:
    """What a provider's cache of prompts saves on questions over passages, sent as given and together.

    Examples:

      DNC_EDGE_DATA=data dnc-edge bench passages -o passages
    """
    options.require("scipy", "jinja2", extra="bench")
    from dnc_edge.bench import passages as bench
    from dnc_edge.bench.folder import write

    with TerminalProgress() as progress:
        result = bench.passages(_task(task, limit, None, None), progress=progress)
    write(out / "passages.json", result.to_dict())
    _show(result, out, json)


def _show(result: Result, out: Path | None, json: bool) -> None:
    """Write a result's report, if there is a folder for it, and print the result."""
    from dnc_edge.bench.report import report, section, table_text

    page = None if out is None else report([result], out)
    if json:
        output.print_json(result.to_dict())
        return
    output.print_text(table_text(section(result)))
    if page:
        output.note(f"wrote {page}")
