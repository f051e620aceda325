"""`dnc-edge config`: the settings, and where each comes from."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import Annotated

import typer

from dnc_edge import config, output, profiles, settings
from dnc_edge.cli import options
from dnc_edge.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Show and change the settings.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of `config show`.")]


@app.command()
def show(json: options.Json = False) -> None:
    """Show every setting with its value and where that comes from, and the solvers that have a name.

    Examples:

      dnc-edge config show
    """
    given = config.given(os.environ)
    named = profiles.profiles()
    rows = {
        name: given.get(name, (field.default, "default")) for name, field in settings.known(config.Settings).items()
    }
    if json:
        values = {name: {"value": value, "from": source} for name, (value, source) in rows.items()}
        output.print_json({"settings": values, "solvers": {name: _shown(one) for name, one in named.items()}})
        return
    output.print_table(
        ("setting", "value", "from"),
        [(name, "" if value is None else str(value), source) for name, (value, source) in rows.items()],
    )
    if named:
        output.print_table(("solver", "is"), [(name, _shown(one)) for name, one in named.items()])


def _shown(profile: profiles.Profile) -> str:
    from dnc_edge.models import shown

    price = f", ${profile.price[0]:g} and ${profile.price[1]:g} per million tokens" if profile.price else ""
    return f"{shown(profile.spec)}{price}"


@app.command("set")
def set_(name: Name, value: Annotated[str, typer.Argument(metavar="VALUE")]) -> None:
    """Write a setting into the file; options and the environment's variables go before it.

    Examples:

      dnc-edge config set solver openai:gpt-4o-mini

      dnc-edge config set logging texts
    """
    kept = config.set_value(name, value)
    output.note(f"{name} = {kept} in {config.config_path()}")


@app.command()
def unset(name: Name) -> None:
    """Delete a setting from the file: its default holds again.

    Examples:

      dnc-edge config unset solver
    """
    config.unset_value(name)
    output.note(f"{name} is no longer in {config.config_path()}")


@app.command()
def path() -> None:
    """Print where the settings file is.

    Examples:

      cat "$(dnc-edge config path)"
    """
    output.print_text(str(config.config_path()))


@app.command()
def edit() -> None:
    """Open the settings file in $EDITOR, and check what is left there.

    Examples:

      dnc-edge config edit
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise UsageError("config edit needs an editor", hint="export EDITOR=nano")
    file = config.config_path()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    try:
        ended = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode
    except OSError as error:
        raise UsageError(f"cannot start the editor {editor!r}: {error.strerror}") from error
    if ended:
        raise UsageError(f"the editor {editor!r} failed")
    config.given({})
    profiles.profiles()
