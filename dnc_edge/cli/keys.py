"""`dnc-edge keys`: one key for each address, stored where only you can read it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dnc_edge import names, output
from dnc_edge.cli import options
from dnc_edge.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Store, list and remove the keys of solvers.")

Where = Annotated[
    str,
    typer.Argument(metavar="PROVIDER|ADDRESS", help="openai, groq, openrouter, ..., or http://host:port/v1."),
]


def _url(where: str) -> str:
    from dnc_edge.remote.address import Address
    from dnc_edge.remote.providers import PROVIDERS

    if where in PROVIDERS:
        return PROVIDERS[where].url
    if "://" not in where:
        raise UsageError(f"there is no provider {where}", hint=names.hint(where, PROVIDERS))
    return Address.parse(where.partition("#")[0]).url


@app.command("set")
def set_(where: Where) -> None:
    """Store a key: it is asked for and not shown, or read from stdin.

    A variable of the environment (OPENAI_API_KEY, DNC_EDGE_API_KEY, ...) goes before a stored key.

    Examples:

      dnc-edge keys set openai

      dnc-edge keys set https://llm.example.org/v1 < key.txt
    """
    from dnc_edge.remote import keys

    url = _url(where)
    key = typer.prompt("Key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    keys.set_key(url, key)
    output.note(f"stored the key of {keys.origin(url)} in {keys.keys_path()}")


@app.command("list")
def list_(json: options.Json = False) -> None:
    """List the addresses that have a key, and where it is; no key is shown.

    Examples:

      dnc-edge keys list
    """
    from dnc_edge.remote import keys
    from dnc_edge.remote.providers import PROVIDERS

    places = {url: str(keys.keys_path()) for url in sorted(keys.stored())}
    for provider in PROVIDERS.values():
        if provider.variable and os.environ.get(provider.variable, "").strip():
            places[keys.origin(provider.url)] = provider.variable
    if os.environ.get("DNC_EDGE_API_KEY", "").strip():
        places["every address without a variable of its own"] = "DNC_EDGE_API_KEY"
    if json:
        output.print_json([{"address": address, "from": place} for address, place in places.items()])
        return
    if not places:
        output.note("there is no key; store one with: dnc-edge keys set openai")
        return
    output.print_table(("address", "from"), list(places.items()))


@app.command()
def remove(where: Where) -> None:
    """Delete a stored key.

    Examples:

      dnc-edge keys remove openai
    """
    from dnc_edge.remote import keys

    url = _url(where)
    keys.remove_key(url)
    output.note(f"removed the key of {keys.origin(url)}")


@app.command()
def path() -> None:
    """Print where keys are stored.

    Examples:

      dnc-edge keys path
    """
    from dnc_edge.remote import keys

    output.print_text(str(keys.keys_path()))
