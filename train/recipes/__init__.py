"""Recipes: TOML files with the settings of training runs, each table checked against the dataclass that takes it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, TypeVar

from dnc_edge.errors import InputError, UsageError

FOLDER = Path(__file__).parent
Config = TypeVar("Config")
# Of numbers.
SHARE = (0, 1)
FROM_0 = (0, math.inf)
_ABOVE_0 = (math.ulp(0.0), math.inf)


def setting(
    default: Any, help: str = "", *, choices: tuple[str, ...] = (), within: tuple[float, float] | None = None
) -> Any:
    """A field of a config, and what it may be.

    Args:
        default: where a recipe says nothing.
        help: for who reads the config.
        choices: of a text.
        within: least and most of a number; without it a whole one is at least 1, and another above 0.
    """
    return field(default=default, metadata={"help": help, "choices": choices, "within": within})


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
        InputError: the file cannot be read, or a setting is unknown, of the wrong kind, or out of its range.
        UsageError: a given one is.
    """
    path = find(recipe) if recipe else None
    values: Any = {}
    if recipe:
        values = top(recipe).get(table)
        if not isinstance(values, dict):
            raise InputError(f"{path} has no [{table}] table")
    given = {name: value for name, value in (given or {}).items() if value is not None}
    values = values | given
    known = {of.name: of for of in fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        origin, error = ("--set", UsageError) if name in given else (path, InputError)
        if name not in known:
            raise error(f"{origin}: there is no setting {table}.{name}", hint=f"settings: {', '.join(known)}")
        if complaint := _complaint(known[name], value):
            raise error(f"{origin}: {table}.{name} = {value!r} {complaint}")
    return kind(**values)


def _complaint(of: Field[Any], value: Any) -> str | None:
    """What is wrong with a value, if anything is."""
    # By the annotation: the default of a float may be a whole number.
    wanted: type = {"int": int, "float": float, "str": str, "bool": bool}[str(of.type)]
    kinds = (int, float) if wanted is float else wanted
    if not isinstance(value, kinds) or (isinstance(value, bool) and wanted is not bool):
        return f"is not {wanted.__name__}"
    if (choices := of.metadata.get("choices")) and value not in choices:
        return f"is none of: {', '.join(choices)}"
    if isinstance(value, int | float) and wanted is not bool:
        least, most = of.metadata.get("within") or ((1, math.inf) if wanted is int else _ABOVE_0)
        if not (least <= value <= most and math.isfinite(value)):
            limits = f"{least} to {most}" if most < math.inf else "above 0" if 0 < least < 1 else f"{least} or more"
            return f"is not {limits}"
    return None
