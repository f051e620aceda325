"""Recipes: TOML files with the settings of training runs, each table checked against the dataclass that takes it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from dnc_edge.errors import InputError
from dnc_edge.settings import checked

FOLDER = Path(__file__).parent
Config = TypeVar("Config")


def names() -> list[str]:
    """Return the names of the bundled recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(recipe: str) -> Path:
    """Return the file of a recipe: a bundled one by its name, or any by its path.

    Raises:
        InputError: there is neither.
    """
    path = Path(recipe)
    if path.suffix != ".toml":
        path = FOLDER / f"{recipe}.toml"
    if not path.is_file():
        raise InputError(f"there is no recipe {recipe}", hint=f"name a .toml file, or one of: {', '.join(names())}")
    return path


def top(recipe: str) -> dict[str, Any]:
    """Return what a recipe sets outside its tables: `model`, the base to train on, and `data`.

    Raises:
        InputError: the file cannot be read.
    """
    path = find(recipe)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the recipe {path}: {error}") from error


def load(recipe: str | None, table: str, kind: type[Config], given: Mapping[str, Any] | None = None) -> Config:
    """Read a table of a recipe as the dataclass that it sets.

    Args:
        recipe: see `find`; None takes the defaults.
        table: "base", "sft", "stepwise" or "prefer".
        kind: the dataclass; its defaults hold where the recipe says nothing.
        given: settings of the command line, which win.

    Raises:
        InputError: the file cannot be read, or a setting is unknown, of the wrong kind, or out of its range.
        UsageError: a given one is.
    """
    path = find(recipe) if recipe else None
    values: Any = {}
    if recipe:
        values = top(recipe).get(table)
        if not isinstance(values, dict):
            raise InputError(f"{path} has no [{table}] table")
    read = {
        name: checked(kind, name, value, str(path), table=table, error=InputError) for name, value in values.items()
    }
    read |= {name: checked(kind, name, value, "--set", table=table) for name, value in (given or {}).items()}
    return kind(**read)
