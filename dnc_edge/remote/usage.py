"""Token counts of a reply: the provider's, if they can be believed, else an estimate that is marked as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dnc_edge.types import Usage

# English runs to about four bytes a token.
BYTES_PER_TOKEN = 4
# No tokenizer in use is more sparing than this, so a claim below it is wrong.
WORDS_PER_TOKEN, CHARACTERS_PER_TOKEN = 2, 16
MOST_TOKENS = 10**9


def counted(claim: Any, *, sent: str, received: str) -> Usage:
    """Return the usage of one complete reply.

    Args:
        claim: the provider's `usage`, an object or a mapping; anything else is no claim.
        sent: all text of the request. received: all text of the reply: content, reasoning, tool calls, refusal.

    Returns:
        the provider's counts if they are positive whole numbers, consistent, and not below what was visibly sent
        and received; else an estimate with `estimated` set.
    """
    said = _claimed(claim)
    if said and said.input_tokens >= least_tokens(sent) and said.output_tokens >= least_tokens(received):
        return said
    return Usage(requests=1, input_tokens=_about(sent), output_tokens=_about(received), estimated=True)


def least_tokens(text: str) -> int:
    """Return a number of tokens that no tokenizer falls short of: half a token a word, or one for 16 characters."""
    return max(-(-len(text.split()) // WORDS_PER_TOKEN), len(text) // CHARACTERS_PER_TOKEN)


def _about(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def _claimed(claim: Any) -> Usage | None:
    sent, received = _count(claim, "prompt_tokens"), _count(claim, "completion_tokens")
    if not sent or not received:
        return None
    cached = _count(_field(claim, "prompt_tokens_details"), "cached_tokens")
    reasoning = _count(_field(claim, "completion_tokens_details"), "reasoning_tokens")
    # Some providers leave reasoning out of completion_tokens and bill it; their total holds it.
    received = max(received, _count(claim, "total_tokens") - sent)
    if cached > sent or reasoning > received:
        return None
    return Usage(
        requests=1, input_tokens=sent, cached_tokens=cached, output_tokens=received, reasoning_tokens=reasoning
    )


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _count(value: Any, name: str) -> int:
    """A field as a whole number of tokens; 0 if it is none."""
    number = _field(value, name)
    if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) < 10:
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < MOST_TOKENS:
        return 0
    return int(number) if number == int(number) else 0
