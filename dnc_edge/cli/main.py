"""The app and its entry point, where errors become one line and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dnc_edge import __version__, output
from dnc_edge.cli import bench as bench_cli
from dnc_edge.cli import convert, provider_batch, students, train
from dnc_edge.cli.ask import ask
from dnc_edge.cli.batch import batch
from dnc_edge.cli.decompose import decompose
from dnc_edge.cli.solve import solve
from dnc_edge.errors import DncError

app = typer.Typer(
    name="dnc-edge",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Split a question into sub-questions on this machine; answer them with any solver.",
)
app.command()(ask)
app.command()(batch)
app.command()(decompose)
app.command()(solve)
app.add_typer(bench_cli.app, name="bench")
app.add_typer(convert.app, name="convert")
app.add_typer(provider_batch.app, name="provider-batch")
app.add_typer(students.app, name="students")
app.add_typer(train.app, name="train")

INTERRUPTED = 130


def _version(value: bool) -> None:
    if value:
        output.print_text(f"dnc-edge {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of every command."""


def main() -> None:
    """Run the command line; the exit codes are those of `dnc_edge.errors`."""
    # Typer's two-value `--price IN OUT` has no room for the one word that prices local work as the paper does.
    arguments = sys.argv[1:]
    for index in range(len(arguments) - 1):
        if arguments[index : index + 2] == ["--price", "paper"]:
            arguments[index] = "--local-price"
    try:
        app(args=arguments, prog_name="dnc-edge")
    except DncError as error:
        output.print_error(error)
        sys.exit(error.exit_code)
    except SystemExit as ended:
        # Typer turns Ctrl-C into this code without a word.
        if ended.code == INTERRUPTED:
            output.note("dnc-edge: interrupted")
        raise
