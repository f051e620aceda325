"""Fields that a user adds to every request: what they may not be, and which of them change its price."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dnc_edge.errors import UsageError

# What the rest of the program relies on, with the way to change it.
REFUSED = {
    "model": "name the model itself: --solver openai:MODEL or http://host:port/v1#MODEL",
    "models": "name one model: --solver openai:MODEL or http://host:port/v1#MODEL",
    "messages": "the messages are made from the question",
    "stream": "replies are read as they come",
}
# Each further reply is paid for, and only the first is read.
REPLIES = ("n", "best_of")
LIMITS = ("max_tokens", "max_completion_tokens")
# Paid for beside the tokens, or at another rate: the table of prices does not hold for a request with one of them.
PRICED_APART = frozenset(
    {"audio", "modalities", "plugins", "prediction", "provider", "route", "service_tier", "web_search_options"}
)


def check(fields: Mapping[str, Any]) -> None:
    """Refuse fields that would change what is bought behind the back of price, cap and key.

    Args:
        fields: what is merged into every request; None as a value leaves a field out.

    Raises:
        UsageError: one of them may not be given, or not with that value.
    """
    for name, value in fields.items():
        if name in REFUSED:
            raise UsageError(f"the field {name} of a request cannot be set", hint=REFUSED[name])
        if name in REPLIES and value not in (None, 1):
            raise UsageError(f"{name} = {value!r}: one reply is read of each request", hint=f"leave {name} out")
        if name in LIMITS and value is not None and not (type(value) is int and value > 0):
            raise UsageError(f"{name} = {value!r} is no limit", hint="give a whole number of tokens from 1")
        try:
            json.dumps(value, allow_nan=False)
        except (ValueError, TypeError) as error:
            raise UsageError(f"the field {name} of a request cannot be {value!r}: {error}") from error


def priced_apart(fields: Mapping[str, Any]) -> bool:
    """Return whether a request with these fields costs something else than its tokens at the table's rate."""
    return any(fields.get(name) is not None for name in PRICED_APART)
