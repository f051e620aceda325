"""The app and its entry point, where errors become one line and an exit code."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from dnc_edge import __version__, offline, output
from dnc_edge.cli import process
from dnc_edge.errors import DncError, InputError, MissingError

INTERRUPTED = 130
LINKS = "git config core.symlinks true && git checkout -- dnc_edge, then install it again"
# Commands are functions of their module's name; groups are `app` in theirs.
COMMANDS = ("ask", "batch", "decompose", "doctor", "serve", "solve")
GROUPS = ("bench", "config", "convert", "data", "keys", "log", "provider-batch", "students", "train")


def build(arguments: Sequence[str]) -> typer.Typer:
    """The app with the command that the arguments name, or with all of them: each costs some milliseconds."""
    app = typer.Typer(
        name="dnc-edge",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Split a question into sub-questions on this machine; answer them with any solver.",
    )
    app.callback()(root)
    named = arguments[0] if arguments and arguments[0] in (*COMMANDS, *GROUPS) else None
    for name in COMMANDS if named is None else ():
        app.command(name)(_part(name, name))
    for name in GROUPS if named is None else ():
        app.add_typer(_part(name, "app"), name=name)
    if named in COMMANDS:
        app.command(named)(_part(named, named))
    elif named:
        app.add_typer(_part(named, "app"), name=named)
    return app


def _part(module: str, name: str) -> typer.Typer:
    part: typer.Typer = getattr(importlib.import_module(f"dnc_edge.cli.{module.replace('-', '_')}"), name)
    return part


def _version(value: bool) -> None:
    if value:
        output.print_text(f"dnc-edge {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Reach nothing beyond this machine; it may stand anywhere.")
    ] = False,
) -> None:
    """Options of every command."""


def _warned(message: Warning | str, *_: object, **__: object) -> None:
    output.note(f"dnc-edge: {message}")


def main() -> None:
    """Run the command line; the exit codes are those of `dnc_edge.errors`."""
    from dnc_edge.cli.options import local_price_spelled_out

    arguments = local_price_spelled_out(sys.argv[1:])
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--offline" in options or offline.is_on():
        arguments = [one for one in options if one != "--offline"] + arguments[len(options) :]
        offline.enforce()
    warnings.showwarning = _warned
    process.prepare()
    try:
        build(arguments)(args=arguments, prog_name="dnc-edge")
    except DncError as error:
        output.print_error(error)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        # Without symbolic links a checkout, and what is built from it, lacks them.
        if error.name not in ("dnc_edge.bench", "dnc_edge.convert", "dnc_edge.train"):
            raise
        missing = MissingError(f"{error.name} is not here: the checkout has no symbolic links", hint=LINKS)
        output.print_error(missing)
        sys.exit(missing.exit_code)
    except OSError as error:
        # A full disk, a terminal that is gone: nothing that a traceback would explain.
        output.silence_stdout()
        output.print_error(InputError(f"{error.filename or 'an output'}: {error.strerror or error}"))
        sys.exit(InputError.exit_code)
    except SystemExit as ended:
        # Typer turns Ctrl-C into this code without a word.
        if ended.code == INTERRUPTED:
            output.note("dnc-edge: interrupted")
        raise
