"""What every model that takes messages offers, behind an address or in a local file."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.reply import Reply
from dnc_edge.types import Usage

Messages = Sequence[Mapping[str, str]]


class Chat(Protocol):
    """A model that takes messages and streams a reply.

    Attributes:
        name: as the command line writes it.
    """

    name: str

    def identity(self) -> dict[str, Any]:
        """Return what of it changes an answer; part of a record's key."""
        ...

    def prepare(self) -> None:
        """Do now what the first request needs."""
        ...

    def cost(self, usage: Usage, prices: Prices) -> float | None:
        """Return the dollars of a reply; None if no price is known."""
        ...

    def stream(self, messages: Messages) -> Generator[str, None, Reply]:
        """Yield text as it arrives; return the whole reply."""
        ...
