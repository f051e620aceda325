"""Dollars: a provider's token counts times a dated table; local work by the second, or as the paper prices it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

from dnc_edge.errors import UsageError
from dnc_edge.types import Usage

# Divide-or-Conquer prices a 13 B student at 13/175 of GPT-3.5-turbo-1106: dollars per 1,000 tokens (section 4).
PAPER_INPUT, PAPER_OUTPUT = 0.001 * 13 / 175, 0.002 * 13 / 175


@dataclass(frozen=True)
class Prices:
    """How stages are priced.

    Attributes:
        remote: dollars per million input and output tokens, in place of the table's.
        cached: dollars per million input tokens that the provider had in its cache, beside `remote`; None is the price
            of all input.
        local: dollars per second of local work (0: it costs nothing), or "paper" for the paper's
            price of a 13 B student per token.

    Raises:
        UsageError: a price is negative or not finite.
    """

    remote: tuple[float, float] | None = None
    local: float | Literal["paper"] = 0.0
    cached: float | None = None

    def __post_init__(self) -> None:
        for price in (*(self.remote or ()), self.local, self.cached or 0.0):
            if price != "paper" and not (math.isfinite(price) and price >= 0):
                raise UsageError(f"{price} is no price", hint="give dollars, as a number from 0")

    def of(self, model: str, base_url: str | None, usage: Usage) -> float | None:
        """Return the dollars of a remote stage; None if no price is known."""
        if self.remote is not None:
            sent, received = self.remote
            saved = 0.0 if self.cached is None else usage.cached_tokens * (sent - self.cached)
            return (usage.input_tokens * sent - saved + usage.output_tokens * received) / 1e6
        import genai_prices

        counts = genai_prices.Usage(
            input_tokens=usage.input_tokens, cache_read_tokens=usage.cached_tokens, output_tokens=usage.output_tokens
        )
        try:
            if base_url is None:
                price = genai_prices.calc_price(counts, model, provider_id="openai")
            else:
                price = genai_prices.calc_price(counts, model, provider_api_url=base_url)
        except (LookupError, ValueError):  # no such model; counts that its price cannot be applied to
            return None
        return float(price.total_price)

    def of_local(self, usage: Usage) -> float:
        """Dollars of a local stage."""
        if self.local == "paper":
            return (usage.input_tokens * PAPER_INPUT + usage.output_tokens * PAPER_OUTPUT) / 1000
        return usage.seconds * self.local

    def date(self) -> str:
        """What a record says of its prices: the table looks them up for the day of the request."""
        if self.remote is not None:
            return "as given"
        import datetime

        return f"{datetime.date.today().isoformat()} (genai-prices {_table_version()})"


@functools.cache
def _table_version() -> str:
    from importlib.metadata import version

    return version("genai-prices")
