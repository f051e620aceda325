"""Settings as fields of a dataclass: each says once what it is, what it may be and how it is given.

`config.Settings` (what commands share) and the recipes of `train` are such dataclasses; options, environment, files and
`--set` are read and checked by what their fields say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import Field, field, fields
from typing import Any

from dnc_edge import names
from dnc_edge.errors import InputError, UsageError

# Ranges of numbers; one that a field gives itself is (least, most).
SHARE = (0, 1)
FROM_0 = (0, math.inf)
FROM_1 = (1, math.inf)
ABOVE_0 = (math.ulp(0.0), math.inf)

NAMES: dict[type, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


def setting(
    default: Any,
    help: str = "",
    *,
    short: str | None = None,
    choices: Collection[str] | Callable[[], Collection[str]] = (),
    within: tuple[float, float] | None = None,
) -> Any:
    """Describe a setting, for every place that it may come from.

    Args:
        default: its value if no source gives one.
        help: what the command line says about it.
        short: its one-letter option.
        choices: the texts it may be, or a function that returns them when a value is checked; () allows any.
        within: least and most of a number; None is at least 1 for a whole one, above 0 for another.
    """
    return field(default=default, metadata={"help": help, "short": short, "choices": choices, "within": within})


def kind(setting: Field[Any]) -> type:
    """The type of a setting's values, None aside; by its annotation, as the default of a float may be whole."""
    kinds = {"str": str, "int": int, "float": float, "bool": bool}
    return kinds[str(setting.type).removesuffix(" | None")]


def known(description: Any) -> dict[str, Field[Any]]:
    """The settings of a dataclass, by name."""
    return {setting.name: setting for setting in fields(description)}


def checked(
    description: Any,
    name: str,
    value: Any,
    source: str,
    *,
    table: str = "",
    error: type[UsageError] | type[InputError] = UsageError,
) -> Any:
    """A value as the type of its setting.

    Args:
        description: the dataclass whose field `name` is.
        value: of that type, or text that can be read as it.
        source: where it comes from: an option, a variable, a file.
        table: the part of the source that the description is about.
        error: what is raised.

    Raises:
        UsageError, InputError: there is no such setting, or the value is of the wrong type or out of range.
    """
    settings = known(description)
    prefix = f"{table}." if table else ""
    if name not in settings:
        raise error(f"{source}: there is no setting {prefix}{name}", hint=names.hint(name, settings))
    wanted, limits = kind(settings[name]), settings[name].metadata
    shown = f"{prefix}{name} = {value!r}" if table else repr(value)
    try:
        value = _converted(value, wanted)
    except (ValueError, TypeError, OverflowError):
        raise error(f"{source}: {shown} is not {NAMES[wanted]}") from None
    choices = limits.get("choices", ())
    if callable(choices):
        choices = choices()
    if choices and value not in choices:
        unknown = shown if table else f"{name} {shown}"
        raise error(f"{source}: unknown {unknown}", hint=names.hint(str(value), choices))
    if wanted in (int, float):
        low, high = limits.get("within") or (FROM_1 if wanted is int else ABOVE_0)
        if not (low <= value <= high and math.isfinite(value)):
            raise error(f"{source}: {shown} is out of range", hint=f"{name} is {_range(low, high)}")
    return value


def _converted(value: Any, wanted: type) -> Any:
    """Raises ValueError, TypeError or OverflowError if the value is not of that type."""
    if isinstance(value, bool) != (wanted is bool) or (wanted is str and not isinstance(value, str)):
        raise ValueError
    if wanted is int and isinstance(value, float) and not value.is_integer():
        raise ValueError
    return wanted(value)


def _range(low: float, high: float) -> str:
    if high < math.inf:
        return f"from {low:g} to {high:g}"
    return "above 0" if 0 < low < 1 else f"{low:g} or more"


def option(name: str) -> str:
    """The long option of a setting."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"DNC_EDGE_{name.upper()}"
