"""What every model that takes messages offers, behind an address or in a local file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dnc_edge.errors import SolverError
from dnc_edge.remote.pricing import Prices
from dnc_edge.streams import mapped
from dnc_edge.types import Usage

if TYPE_CHECKING:
    # A local student needs no reader of replies: its first word does not wait for the import.
    from dnc_edge.remote.reply import Reply

Event = TypeVar("Event")

Messages = Sequence[Mapping[str, str]]


class Chat(Protocol):
    """A model that takes messages and streams a reply.

    Attributes:
        name: as the command line writes it.
        identity: what of it changes an answer; part of a record's key.
    """

    name: str
    identity: Mapping[str, Any]

    def prepare(self) -> None:
        """Do now what the first request needs."""
        ...

    def cost(self, usage: Usage, prices: Prices) -> float | None:
        """Return the dollars of a reply; None if no price is known."""
        ...

    def stream(self, messages: Messages) -> Generator[str, None, Reply]:
        """Yield text as it arrives; return the whole reply."""
        ...


def priced(
    chat: Chat, messages: Messages, prices: Prices, event: Callable[[str], Event]
) -> Generator[Event, None, Reply]:
    """Yield the text of a reply as events; return it with its dollars.

    Raises:
        SolverError: no usable reply; its usage, if any, has its dollars too.
    """
    try:
        reply = yield from mapped(chat.stream(messages), event)
    except SolverError as error:
        if error.usage is not None:
            error.usage = replace(error.usage, cost_usd=chat.cost(error.usage, prices))
        raise
    return replace(reply, usage=replace(reply.usage, cost_usd=chat.cost(reply.usage, prices)))
