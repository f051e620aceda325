"""`dnc-edge train`: make students. Needs the extra `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnc_edge import output
from dnc_edge.cli.options import require
from dnc_edge.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Make students: tokenizer, base, adapters.")


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
def base(
    out: Annotated[Path, typer.Argument(help="Directory for the checkpoint.")],
    recipe: Annotated[Path | None, typer.Option(help="TOML with a [base] table [default: the bundled one].")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing checkpoint.")] = False,
) -> None:
    """Train a small Llama from scratch on both roles.

    Examples:

      DNC_EDGE_DATA=data dnc-edge train base runs/base
    """
    if out.exists() and not force:
        raise UsageError(f"{out} exists", hint="remove it, or replace it with --force")
    require("torch", "transformers", "sentencepiece", extra="train")
    from dnc_edge.train.base import base as train_base
    from dnc_edge.train.recipes import base_config
    from dnc_edge.train.sources import bundled
    from dnc_edge.train.tokenizer import load_tokenizer

    config = base_config(recipe)
    demonstrations, report = bundled()
    for source, kept in report.items():
        output.note(f"{source}: " + ", ".join(f"{count} {what}" for what, count in kept.items()))
    out.mkdir(parents=True, exist_ok=True)
    figures = train_base(demonstrations, load_tokenizer(), out, config, log=out / "log.jsonl")
    output.print_json(figures)
