"""`dnc-edge data`: the tasks' data sets, by name."""

from __future__ import annotations

from typing import Annotated

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.terminal import TerminalProgress

app = typer.Typer(no_args_is_help=True, help="List and download the data sets of the tasks.")


@app.command("list")
def list_(json: options.Json = False) -> None:
    """List the data sets with licence and source, and which are here.

    Examples:

      dnc-edge data list
    """
    from dnc_edge import data

    found = data.datasets().values()
    if json:
        output.print_json(
            [
                {
                    "name": one.name,
                    "here": one.is_here,
                    "bytes": one.bytes,
                    "licence": one.licence,
                    "repository": one.repository,
                    "commit": one.commit,
                    "what": one.what,
                    "files": [{"file": file.file, "sha256": file.sha256} for file in one.files],
                }
                for one in found
            ]
        )
        return
    rows = [
        (one.name, "here" if one.is_here else "", f"{one.bytes / 1e6:.1f}", one.licence, one.repository, one.what)
        for one in found
    ]
    output.print_table(("name", "", "MB", "licence", "from", "what"), rows)


@app.command()
def pull(
    name: Annotated[list[str], typer.Argument(metavar="NAME...", help="Of `data list`.")],
) -> None:
    """Download data sets from their repositories, each file checked by its SHA-256.

    Examples:

      dnc-edge data pull gsm8k
    """
    from dnc_edge import data

    with TerminalProgress() as progress:
        for one in name:
            folder = data.pull(one, progress=progress)
    output.print_text(f"{', '.join(name)} in {folder}")


@app.command()
def path() -> None:
    """Print the folder of the data sets: DNC_EDGE_DATA, else one in your data folder.

    Examples:

      ls "$(dnc-edge data path)"
    """
    from dnc_edge import data

    output.print_text(str(data.root()))
