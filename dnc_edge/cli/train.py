"""`dnc-edge train`: make students. Needs the extra `train`."""

from __future__ import annotations

import json as jsons
from pathlib import Path
from typing import Annotated, Any

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.options import require
from dnc_edge.cli.terminal import TerminalProgress
from dnc_edge.errors import DataMissing, UsageError

app = typer.Typer(no_args_is_help=True, help="Make students: demonstrations, screening, base, adapters.")

Out = Annotated[Path, typer.Argument(help="Directory for the weights, their settings and logs.")]
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--base", "-b", help="A checkpoint, GGUF file, base by name or hub repository [default: the recipe's]"
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option("--data", "-d", help="A source by name, or a .jsonl file; may be repeated [default: the recipe's]."),
]
Recipe = Annotated[str | None, typer.Option("--recipe", "-r", help="One of `train recipes`, or a .toml file.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting over the recipe's.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last good checkpoint.")]
Teacher = Annotated[str | None, typer.Option("--teacher", "-t", help="openai:MODEL or http://host:port/v1#MODEL.")]
PACKAGES = ("torch", "transformers", "peft", "trl", "datasets", "sentencepiece")


@app.command()
def tokenizer(
    out: Annotated[Path, typer.Argument(help="Directory for tokenizer.model and its settings.")],
    vocabulary: Annotated[int, typer.Option(help="Number of pieces.")] = 4096,
) -> None:
    """Train the students' tokenizer on the data that may train bundled weights."""
    require("sentencepiece", extra="train")
    from dnc_edge.train.sources import texts
    from dnc_edge.train.tokenizer import train_tokenizer

    train_tokenizer(texts(), out, vocabulary=vocabulary)
    output.print_text(f"wrote {out}/tokenizer.model")


@app.command()
def recipes() -> None:
    """List the recipes that come along."""
    from dnc_edge.train.recipes import find, names

    for name in names():
        output.print_text(f"{name:16} {find(name).read_text(encoding='utf-8').partition(chr(10))[0].lstrip('# ')}")


@app.command()
def base(
    out: Out,
    recipe: Recipe = None,
    set_: Set = None,
    resume: Resume = False,
    force: options.Force = False,
) -> None:
    """Train a small Llama from scratch on both roles.

    Examples:

      dnc-edge train base runs/base
    """
    _free(out, resume, force)
    require("torch", "transformers", "sentencepiece", extra="train")
    from dnc_edge.train.base import BaseConfig
    from dnc_edge.train.base import base as train_base
    from dnc_edge.train.recipes import load
    from dnc_edge.train.sources import bundled
    from dnc_edge.train.tokenizer import load_tokenizer

    config = load(recipe or "bundled", "base", BaseConfig, _given(set_))
    demonstrations, report = bundled()
    for source, kept in report.items():
        output.note(f"{source}: " + ", ".join(f"{count} {what}" for what, count in kept.items()))
    out.mkdir(parents=True, exist_ok=True)
    figures = train_base(
        demonstrations, load_tokenizer(), out, config, log=out / "log.jsonl", resume=resume, progress=TerminalProgress()
    )
    output.print_json(figures)


@app.command()
@options.settings("temperature", "max_tokens")
def demos(
    out: Annotated[Path, typer.Argument(help="JSONL of demonstrations.")],
    data: Data = None,
    teacher: Teacher = None,
    samples: Annotated[int, typer.Option(help="How often each question is asked.", min=1)] = 1,
    plan_only: options.PlanOnly = False,
    limit: options.Limit = None,
    *,
    settings: options.Given,
    price: options.Price = None,
    max_cost: options.MaxCost = None,
    rpm: options.Rpm = None,
    jobs: options.Jobs = 8,
    skip_bad: options.SkipBad = False,
) -> None:
    """Collect demonstrations: what a teacher shows of the questions of a source, or what the source itself holds.

    Stop it whenever you like and run it again: nothing is asked twice.

    Examples:

      dnc-edge train demos demos.jsonl --data gsm8k

      dnc-edge train demos demos.jsonl --data gsm8k --teacher openai:gpt-4o-mini --max-cost 5
    """
    from dnc_edge.batch.batch import purse_path
    from dnc_edge.batch.paid import PaidRun
    from dnc_edge.train import demonstrations as records
    from dnc_edge.train.demos import demos as ask
    from dnc_edge.train.sources import gather

    shown = gather(data or ["gsm8k"], skip_bad=skip_bad, progress=TerminalProgress())[:limit]
    if teacher is None:
        output.note(f"wrote {records.write(out, shown)} demonstrations")
        return
    if samples > 1 and not settings["temperature"]:
        raise UsageError("several samples of a question are all alike without a temperature", hint="--temperature 0.7")
    with (
        TerminalProgress() as progress,
        PaidRun(
            options.prices(price, None), max_cost=max_cost, rpm=rpm, purse=purse_path(out), progress=progress
        ) as run,
    ):
        count = ask(
            shown,
            teacher,
            out,
            run=run,
            solve=not plan_only,
            samples=samples,
            jobs=jobs,
            settings=dict(settings),
            progress=progress,
        )
    output.note(f"wrote {count} demonstrations")


@app.command()
def screen(
    sources: Annotated[list[str], typer.Argument(help="Demonstrations: .jsonl files, or sources by name.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSONL of what is kept.")],
    keep: Annotated[str, typer.Option(help="S_D-R: only what reaches the gold answer; S_D-T: all.")] = "S_D-R",
    report: Annotated[Path | None, typer.Option(help="JSONL of what is dropped, and why.")] = None,
    drop_leaks: Annotated[bool, typer.Option("--drop-leaks", help="Leave test questions out, not stop.")] = False,
    skip_bad: options.SkipBad = False,
) -> None:
    """Clean demonstrations, and keep those that a student should learn from.

    Examples:

      dnc-edge train screen demos.jsonl -o screened.jsonl --report dropped.jsonl
    """
    from dnc_edge.train import demonstrations as records
    from dnc_edge.train.screen import screen as choose
    from dnc_edge.train.sources import gather

    if keep not in ("S_D-R", "S_D-T"):
        raise UsageError(f"--keep {keep!r}", hint="choose from: S_D-R, S_D-T")
    shown = gather(sources, skip_bad=skip_bad, progress=TerminalProgress())
    kept, made = choose(shown, keep=keep, sides=_sides(), drop_leaks=drop_leaks)  # type: ignore[arg-type]
    records.write(out, kept)
    if report is not None:
        lines = (jsons.dumps({"id": id, "why": why}) + "\n" for id, why in made.dropped)
        report.write_text("".join(lines), encoding="utf-8")
    output.print_json(dict(made.counts))


@app.command()
def sft(
    out: Out,
    base: BaseModel = None,
    data: Data = None,
    recipe: Recipe = None,
    set_: Set = None,
    resume: Resume = False,
    force: options.Force = False,
    skip_bad: options.SkipBad = False,
    dry_run: options.DryRun = False,
) -> None:
    """Fine-tune a pretrained base: LoRA, QLoRA or full; decomposer or solver.

    On more GPUs: accelerate launch -m dnc_edge train sft ...

    Examples:

      dnc-edge train sft runs/sft --recipe qwen-0.5b

      dnc-edge train sft runs/sft --base runs/base --data screened.jsonl --set epochs=3 --set rank=8
    """
    require(*PACKAGES, extra="train")
    from dnc_edge.train.recipes import load
    from dnc_edge.train.sft import SftConfig
    from dnc_edge.train.sft import sft as train
    from dnc_edge.train.sources import gather

    config = load(recipe, "sft", SftConfig, _given(set_))
    source = _base(base, recipe)
    shown = gather(data or _recipe(recipe, "data") or ["gsm8k"], skip_bad=skip_bad, progress=TerminalProgress())
    _sides().refuse(shown)
    if dry_run:
        from dnc_edge.train.estimate import estimate

        output.print_json(estimate(shown, source, config, progress=TerminalProgress()).to_dict(), indent=2)
        return
    _free(out, resume, force)
    output.print_json(train(shown, source, out, config, resume=resume, progress=TerminalProgress()))


@app.command()
def stepwise(
    out: Out,
    base: BaseModel = None,
    recipe: Recipe = None,
    set_: Set = None,
    resume: Resume = False,
    force: options.Force = False,
) -> None:
    """Distilling step-by-step: labels and rationales as two tasks, or its two baselines.

    Examples:

      dnc-edge train stepwise runs/step --recipe stepwise-t5 --set fraction=0.5

      dnc-edge train stepwise runs/plain --recipe stepwise-t5 --set method=finetuning
    """
    _free(out, resume, force)
    require(*PACKAGES, extra="train")
    from dnc_edge.train.rationales import load as rows
    from dnc_edge.train.recipes import load
    from dnc_edge.train.stepwise import StepwiseConfig
    from dnc_edge.train.stepwise import stepwise as train

    config = load(recipe, "stepwise", StepwiseConfig, _given(set_))
    sides = rows(config.task, "train"), rows(config.task, "test")
    output.print_json(train(*sides, _base(base, recipe), out, config, resume=resume, progress=TerminalProgress()))


@app.command()
@options.settings("student", repeated=("solver",))
def prefer(
    out: Out,
    base: BaseModel = None,
    *,
    settings: options.Given,
    pairs: Annotated[Path | None, typer.Option(help="Pairs of plans that are there already (DPO).")] = None,
    data: Data = None,
    limit: options.Limit = None,
    recipe: Recipe = None,
    set_: Set = None,
    price: options.Price = None,
    max_cost: options.MaxCost = None,
    jobs: options.Jobs = 8,
    resume: Resume = False,
    force: options.Force = False,
) -> None:
    """Prefer plans through which the solver succeeds: DPO, or GRPO.

    With two solvers, one was trained on half 0 of the questions and the other on half 1; each is asked the other half.

    Examples:

      dnc-edge train prefer runs/dpo --base runs/base --student students/mine --solver openai:gpt-4o-mini --max-cost 5
    """
    _free(out, resume, force)
    require(*PACKAGES, extra="train")
    from dnc_edge.batch.paid import PaidRun
    from dnc_edge.train import demonstrations as records
    from dnc_edge.train import feedback, rewards
    from dnc_edge.train import prefer as train
    from dnc_edge.train.recipes import load
    from dnc_edge.train.sources import gather

    config = load(recipe, "prefer", train.PreferConfig, _given(set_))
    source, prices, progress = _base(base, recipe), options.prices(price, None), TerminalProgress()
    if pairs is not None:
        output.print_json(train.dpo(feedback.read(pairs), source, out, config, resume=resume, progress=progress))
        return
    solver = settings["solver"]
    if not solver or len(solver) > 2:
        raise UsageError("prefer needs one --solver, or two for cross-fitting")
    shown = [d for d in gather(data or _recipe(recipe, "data") or ["gsm8k"]) if d.answer is not None][:limit]
    out.mkdir(parents=True, exist_ok=True)
    if config.method == "grpo":
        with (
            PaidRun(prices, max_cost=max_cost, purse=out / "spent", progress=progress) as run,
            rewards.solver_reward(solver, run, out / "replies") as reward,
        ):
            output.print_json(train.grpo(shown, source, out, config, reward, resume=resume, progress=progress))
        return
    with progress, PaidRun(prices, max_cost=max_cost, purse=out / "spent", progress=progress) as run:
        tried = feedback.feedback(
            shown, settings["student"], solver, out / "feedback.jsonl", run=run, samples=config.samples,
            temperature=config.temperature, jobs=jobs, progress=progress,
        )  # fmt: skip
    found = feedback.preferences(tried)
    records.write(out / "pairs.jsonl", found)
    output.note(f"{len(tried)} plans, {sum(one.solved for one in tried)} solved; {len(found)} pairs")
    output.print_json(train.dpo(found, source, out, config, resume=resume, progress=progress))


@app.command()
def adapt(
    source: Annotated[str, typer.Argument(metavar="QUESTIONS", help="JSONL, CSV, Parquet or text; needs no labels.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for demonstrations, adapter and student.")],
    teacher: Annotated[str, typer.Option("--teacher", "-t", help="openai:MODEL or http://host:port/v1#MODEL.")],
    base: BaseModel = None,
    recipe: Recipe = None,
    set_: Set = None,
    price: options.Price = None,
    max_cost: options.MaxCost = None,
    jobs: options.Jobs = 8,
    resume: Resume = False,
) -> None:
    """A student for your own questions: a teacher shows, LoRA learns, and what is held out tells what it was worth.

    Examples:

      dnc-edge train adapt questions.txt -o mine --base Qwen/Qwen2.5-0.5B-Instruct --teacher openai:gpt-4o-mini
    """
    require(*PACKAGES, extra="train")
    from dnc_edge.batch import inputs
    from dnc_edge.batch.paid import PaidRun
    from dnc_edge.train.adapt import adapt as adapt_base
    from dnc_edge.train.recipes import load
    from dnc_edge.train.sft import SftConfig

    config = load(recipe, "sft", SftConfig, _given(set_))
    with (
        TerminalProgress() as progress,
        PaidRun(options.prices(price, None), max_cost=max_cost, purse=out / "spent", progress=progress) as run,
    ):
        result = adapt_base(
            list(inputs.read(source)), teacher, _base(base, recipe), out, config,
            run=run, sides=_sides(), jobs=jobs, resume=resume, progress=progress,
        )  # fmt: skip
    output.print_json(result, indent=2)


def _free(out: Path, resume: bool, force: bool) -> None:
    """Raises UsageError where something is there that was not to be gone on with or replaced."""
    import os

    # Of the processes of `accelerate launch` the first one makes the folder.
    if out.exists() and any(out.iterdir()) and not (resume or force or os.environ.get("LOCAL_RANK", "0") != "0"):
        raise UsageError(f"{out} exists", hint="go on with it with --resume, or replace it with --force")


def _given(pairs: list[str] | None) -> dict[str, Any]:
    """Values of --set: TOML values, or plain text."""
    import tomllib

    given: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {pair!r}: write NAME=VALUE")
        try:
            given[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            given[name] = value
    return given


def _recipe(recipe: str | None, key: str) -> Any:
    from dnc_edge.train.recipes import top

    return top(recipe).get(key) if recipe else None


def _base(base: str | None, recipe: str | None) -> str:
    source = base or _recipe(recipe, "model")
    if not source:
        raise UsageError("there is no base to train on", hint="name one with --base, or make one: dnc-edge train base")
    return str(source)


def _sides() -> Any:
    """The frozen test sides; without the data sets there is nothing to compare with, which is said."""
    from dnc_edge.train.leakage import FrozenSides

    try:
        return FrozenSides.load()
    except DataMissing as error:
        output.note(f"leaks are not looked for: {error.message}")
        return FrozenSides([])
