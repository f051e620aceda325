"""Recipes: TOML files with the settings of training runs, each table checked against the dataclass that takes it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from dnc_edge.errors import InputError

FOLDER = Path(__file__).parent
Config = TypeVar("Config")


def names() -> list[str]:
    """The recipes that come along."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(recipe: str) -> Path:
    """A recipe's file: one that comes along by its name, or any by its path.

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
    """What a recipe says beside its tables: `model`, the base to train on, and `data`.

    Raises:
        InputError: the file cannot be read.
    """
    path = find(recipe)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the recipe {path}: {error}") from error


def load(recipe: str | None, table: str, kind: type[Config], given: Mapping[str, Any] | None = None) -> Config:
    """A table of a recipe, as the dataclass that it sets.

    Args:
        recipe: see `find`; None takes the defaults.
        table: "base", "sft", "stepwise" or "prefer".
        kind: the dataclass; its defaults hold where the recipe says nothing.
        given: settings of the command line, which win; None values are not given.

    Raises:
        InputError: the file cannot be read, or a setting is unknown or of the wrong kind.
    """
    path = find(recipe) if recipe else Path("--set")
    values: dict[str, Any] = {}
    if recipe:
        try:
            values = dict(top(recipe)[table])
        except KeyError as error:
            raise InputError(f"{path} has no [{table}] table") from error
    values |= {name: value for name, value in (given or {}).items() if value is not None}
    known = {setting.name: setting for setting in fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{path}: there is no setting {table}.{name}", hint=f"settings: {', '.join(known)}")
        setting = known[name]
        wanted = type(setting.default)
        if not isinstance(value, (int, float) if wanted is float else wanted) or (
            isinstance(value, bool) and wanted is not bool
        ):
            raise InputError(f"{path}: {table}.{name} = {value!r} is not {wanted.__name__}")
        if (choices := setting.metadata.get("choices")) and value not in choices:
            raise InputError(f"{path}: {table}.{name} = {value!r}", hint=f"choose from: {', '.join(choices)}")
    return kind(**values)
