"""Recipes: TOML files with the settings of a training run, checked against the dataclass that takes them."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

from dnc_edge.errors import InputError
from dnc_edge.train.base import BaseConfig

BUNDLED = Path(__file__).parent / "bundled.toml"


def base_config(path: Path | None = None) -> BaseConfig:
    """The [base] table of a recipe, the bundled one if None.

    Raises:
        InputError: the file cannot be read, or a setting is unknown or of the wrong kind.
    """
    path = path or BUNDLED
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))["base"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the recipe {path}: {error}") from error
    except KeyError as error:
        raise InputError(f"{path} has no [base] table") from error
    known = {setting.name: type(setting.default) for setting in fields(BaseConfig)}
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{path}: there is no setting base.{name}", hint=f"settings: {', '.join(known)}")
        if not isinstance(value, (int, float) if known[name] is float else known[name]):
            raise InputError(f"{path}: base.{name} = {value!r} is not {known[name].__name__}")
    return BaseConfig(**values)
