"""Solvers under names of one's own: tables `[solvers.NAME]` of the settings file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from dnc_edge import config, names
from dnc_edge.errors import UsageError

Parts = TypeVar("Parts")
KEYS = ("model", "address", "price", "options")


@dataclass(frozen=True)
class Profile:
    """A solver as somebody set it up.

    Attributes:
        model: as `--solver` takes it; with `address` the model's name there.
        address: of an OpenAI-compatible server.
        price: dollars per million input and output tokens; None is the table's.
        options: fields of its requests.
    """

    model: str
    address: str | None = field(default=None, repr=False)
    price: tuple[float, float] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> str:
        """What `--solver` would take in its place."""
        return f"{self.address}#{self.model}" if self.address else self.model

    def over(self, parts: Parts) -> Parts:
        """Return what makes models, with this price and these options; what was given on the command line stays."""
        made: Any = copy.copy(parts)
        if self.price is not None and made.prices.remote is None:
            made.prices = replace(made.prices, remote=self.price)
        made.solver_options = {**self.options, **made.solver_options}
        return made  # type: ignore[no-any-return]


def profiles() -> dict[str, Profile]:
    """Read all profiles of the settings file.

    Raises:
        UsageError: the file cannot be read, or a profile is none; it is named.
    """
    tables = config.read().get("solvers", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UsageError(f"{config.config_path()}: solvers holds no tables", hint="write [solvers.NAME]")
    return {name: _profile(name, table) for name, table in tables.items()}


def _profile(name: str, table: Mapping[str, Any]) -> Profile:
    where = f"{config.config_path()}: solvers.{name}"
    for key in table:
        if key not in KEYS:
            raise UsageError(f"{where} has no {key}", hint=names.hint(key, KEYS))
    model, address = table.get("model"), table.get("address")
    price, options = table.get("price"), table.get("options", {})
    if not isinstance(model, str) or not model:
        raise UsageError(f"{where} names no model", hint='model = "openai:gpt-4o-mini"')
    if address is not None and not isinstance(address, str):
        raise UsageError(f"{where}.address is no text")
    if not isinstance(options, dict):
        raise UsageError(f"{where}.options is no table", hint="options = { reasoning_effort = 'low' }")
    if price is not None:
        numbers = isinstance(price, list) and all(isinstance(one, int | float) for one in price)
        if not numbers or len(price) != 2:
            raise UsageError(f"{where}.price is no pair of numbers", hint="price = [0.15, 0.60]")
        price = (float(price[0]), float(price[1]))
    return Profile(model, address, price, options)
