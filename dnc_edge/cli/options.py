"""Options that several commands share, and how their text becomes settings."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Annotated, Any

import typer

from dnc_edge import config
from dnc_edge import settings as described
from dnc_edge.errors import ExtraMissing, InputError, UsageError

# The options of `settings`, by the setting's name; one that was not given is None.
Given = Mapping[str, Any]

Text = Annotated[str | None, typer.Argument(metavar="[QUESTION]", help="The question; - or nothing reads stdin.")]
File = Annotated[Path | None, typer.Option("--file", "-f", help="Read the question from a file.")]
Context = Annotated[Path | None, typer.Option("--context", "-c", help="File with the passage the question is about.")]
SolverOption = Annotated[
    list[str] | None,
    typer.Option(
        "--solver-option", "-o", metavar="KEY=VALUE", help="Field for the remote solver's request; JSON or text."
    ),
]
Price = Annotated[
    tuple[float, float] | None,
    typer.Option("--price", metavar="IN OUT", help="Dollars per million input and output tokens; `paper`: see docs."),
]
CachedPrice = Annotated[
    float | None,
    typer.Option("--cached-price", help="Dollars per million input tokens from the provider's cache, beside --price."),
]
LocalPrice = Annotated[
    str | None,
    typer.Option("--local-price", metavar="DOLLARS", help="Dollars per second of local work [default: 0], or `paper`."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Events = Annotated[bool, typer.Option("--events", help="Print the event stream as JSON lines.")]
NoStream = Annotated[bool, typer.Option("--no-stream", help="Print only when everything is there.")]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="OURS=THEIRS for question, context, id, ...; may be repeated.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Pass bad lines over, and say so.")]
Limit = Annotated[int | None, typer.Option("--limit", help="The first N questions [default: all].", min=1)]
Jobs = Annotated[int, typer.Option("--jobs", "-j", help="Questions being solved at a time.", min=1, max=512)]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Estimate what it would take; do nothing.")]
PlanOnly = Annotated[bool, typer.Option("--plan-only", help="Decompose and solve nothing.")]
MaxCost = Annotated[float | None, typer.Option("--max-cost", help="Dollars never exceeded, with earlier runs.", min=0)]
Rpm = Annotated[int | None, typer.Option("--rpm", help="Most remote requests a minute.", min=1)]
Tpm = Annotated[int | None, typer.Option("--tpm", help="Most remote tokens a minute.", min=1)]
Busy = Annotated[bool, typer.Option("--busy", help="Measure although other processes run.")]
Edit = Annotated[bool, typer.Option("--edit", "-e", help="Open the plan in $EDITOR before anything is paid.")]


# Settings that go together, by what they are about.
STUDENT = ("student", "level", "engine", "threads")
PLAN = ("decomposer", "plan", "max_subquestions", "temperature", "top_p", "seed")
ENDPOINT = ("shots", "instruction", "patience")
SOLVER = ("solver", "strong", "route", "max_tokens", "timeout")
STRATEGY = ("strategy", "mode")


def settings(*names: str, repeated: Sequence[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of some settings, in place of its keyword `settings: Given`.

    Args:
        names: fields of `config.Settings`, in the order of the command's help.
        repeated: those that may be given several times; their value is a list.

    Returns:
        a decorator; typer reads the options from the signature that it leaves.
    """
    known = described.known(config.Settings)
    added = [_parameter(known[name]) for name in names] + [_parameter(known[name], repeated=True) for name in repeated]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(settings={name: values.pop(name) for name in (*names, *repeated)}, **values)

        parameters: list[inspect.Parameter] = []
        signature = inspect.signature(command, eval_str=True)
        for parameter in signature.parameters.values():
            parameters += added if parameter.name == "settings" else [parameter]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _parameter(setting: Field[Any], *, repeated: bool = False) -> inspect.Parameter:
    flags = [flag for flag in (described.option(setting.name), setting.metadata["short"]) if flag]
    help = setting.metadata["help"] + ("; may be repeated" if repeated else "")
    kind: Any = described.kind(setting)
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=typer.Option(None, *flags, help=help, show_default=False),
        annotation=(list[kind] if repeated else kind) | None,
    )


def local_price_spelled_out(arguments: Sequence[str]) -> list[str]:
    """Replace `--price paper` by `--local-price paper`: an option of two numbers has no room for one word."""
    spelled = list(arguments)
    for index in range(len(spelled) - 1):
        if spelled[index : index + 2] == ["--price", "paper"]:
            spelled[index] = "--local-price"
    return spelled


def prices(price: tuple[float, float] | None, local_price: str | None, cached_price: float | None = None) -> Any:
    """`Prices` of the price options.

    Raises:
        UsageError: the local price is neither a number nor `paper`, a price is negative or not finite, or one of cached
            tokens is given alone.
    """
    from dnc_edge.remote.pricing import Prices

    if cached_price is not None and price is None:
        raise UsageError(
            "--cached-price needs --price", hint="without one, the price table knows what cached tokens cost"
        )
    local: Any = "paper" if local_price == "paper" else 0.0
    if local_price not in (None, "paper"):
        try:
            local = float(local_price)
        except ValueError:
            raise UsageError(f"--local-price: {local_price!r} is neither a number nor paper") from None
    return Prices(price, local, cached_price)


def solver_options(options: Sequence[str] | None) -> dict[str, Any]:
    """Fields of `--solver-option key=value`; a value is JSON where it can be, else text.

    Raises:
        UsageError: an option has no "=".
    """
    fields_: dict[str, Any] = {}
    for option in options or ():
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise UsageError(f"--solver-option {option!r}: write key=value")
        try:
            fields_[key] = json.loads(value)
        except json.JSONDecodeError:
            fields_[key] = value
    return fields_


def read_question(text: str | None, file: Path | None) -> str:
    """The question from the argument, a file or stdin.

    Raises:
        UsageError: none of them gives one, or two do.
        InputError: the file or stdin cannot be read as UTF-8.
    """
    if text is not None and file is not None:
        raise UsageError("a question was given twice: as an argument and with --file")
    if file is not None:
        return read_text(file).strip()
    if text not in (None, "-"):
        return str(text).strip()
    # Python has no stdin where the shell closed it.
    if sys.stdin is None or (text is None and sys.stdin.isatty()):
        raise UsageError("there is no question", hint='try: dnc-edge ask "..." or dnc-edge ask --help')
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"stdin is not UTF-8 (byte {error.start})") from error


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start})") from error


def edited(question: str, plan: Sequence[str]) -> list[str]:
    """The plan as a person leaves it in $EDITOR, one sub-question a line.

    Raises:
        UsageError: no editor is set, or it fails. InputError: what it leaves is no plan.
    """
    import shlex
    import subprocess
    import tempfile

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise UsageError("--edit needs an editor", hint="export EDITOR=nano")
    head = "".join(f"// {line}\n" for line in question.splitlines())
    head += "// One sub-question a line; lines that begin with // are left out.\n"
    with tempfile.NamedTemporaryFile("w", suffix=".plan.txt", delete=False, encoding="utf-8") as file:
        file.write(head + "".join(f"{line}\n" for line in plan))
    path = Path(file.name)
    try:
        if subprocess.run([*shlex.split(editor), str(path)], check=False).returncode != 0:
            raise UsageError(f"the editor {editor!r} failed; nothing was sent")
        lines = [line.strip() for line in read_text(path).splitlines()]
    except OSError as error:
        raise UsageError(f"cannot start the editor {editor!r}: {error.strerror}") from error
    finally:
        path.unlink(missing_ok=True)
    kept = [line for line in lines if line and not line.startswith("//")]
    if not kept:
        raise InputError("the edited plan is empty; nothing was sent", hint="to ask without a plan: --strategy single")
    return kept


def require(*packages: str, extra: str) -> None:
    """Say in one line what to install, before anything heavy is imported.

    Raises:
        ExtraMissing: a package is not installed.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ExtraMissing(package, extra)
