"""The gate that every attempt of a remote request passes: money first, then rate, then the state of the server.

A reservation is made before an attempt is sent, for the most it can cost. A reply settles it at what it did
cost; an attempt that may have been paid for without a usable reply keeps it. So what was spent, plus what is
reserved, never exceeds the cap, whatever the server does, and with a purse over all runs, killed ones too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dnc_edge.errors import BudgetReached, SolverDown, SolverError, SolverRateLimited, UsageError
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.purse import Purse
from dnc_edge.types import Usage

# Tokens that a message's role and separators may take, beside its text.
PER_MESSAGE = 16
WINDOW = 60.0
# So many failures without a reply between them, and the server is taken to be down.
MOST_FAILURES = 20


class Billed(Protocol):
    """What the gate asks of an endpoint: its name and its prices."""

    name: str

    def cost(self, usage: Usage, prices: Prices) -> float | None:
        """Return the dollars of a reply; None if no price is known."""
        ...


def bound(body: Mapping[str, Any], messages: Sequence[Mapping[str, str]]) -> Usage:
    """The most a request can use: a token is at least a byte of UTF-8, and the maximum sent bounds the output.

    Raises:
        UsageError: no maximum is sent.
    """
    limits = [body[name] for name in ("max_tokens", "max_completion_tokens") if isinstance(body.get(name), int)]
    if not limits:
        raise UsageError("a request without a maximum of tokens has no bound", hint="leave max_tokens in the request")
    sent = sum(len(message["content"].encode()) + PER_MESSAGE for message in messages)
    return Usage(requests=1, input_tokens=sent, output_tokens=max(limits) * int(body.get("n") or 1))


@dataclass
class Ticket:
    """Leave to send one attempt; say how it ended."""

    gate: Gate
    endpoint: Billed
    reserved: float
    attempt: int

    def settle(self, usage: Usage) -> None:
        """A complete reply came."""
        cost = self.endpoint.cost(usage, self.gate.prices)
        # Beyond the bound the provider counts otherwise than it says; the truth counts.
        self.gate.settled(self, self.reserved if cost is None else cost)

    def fail(self, error: SolverError | None) -> None:
        """The attempt ended without a usable reply; None: nobody waits for it any more."""
        self.gate.failed(self, error)


class Gate:
    """One for all endpoints of a run; called from any thread. Use it in a `with` where it has a purse.

    Attributes:
        spent: dollars of replies. lost: kept for attempts that may have been charged. in_flight: reserved for
            attempts under way. The first two are over all runs of the purse.

    Args:
        prices: what a reply costs.
        max_cost: dollars that are never exceeded; None is no cap.
        rpm, tpm: requests and tokens a minute at most; None is no limit.
        purse: file that keeps what was reserved and spent from run to run; None keeps nothing.
        clock, sleep: injectable.

    Raises:
        UsageError: another process spends from the purse.
    """

    def __init__(
        self,
        prices: Prices | None = None,
        *,
        max_cost: float | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        purse: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.prices = prices or Prices()
        self.max_cost, self.rpm, self.tpm = max_cost, rpm, tpm
        self._purse = Purse(purse)
        self.spent, self.in_flight, self.lost = self._purse.spent, 0.0, self._purse.lost
        self.replies = 0
        self._clock, self._sleep = clock, sleep
        self._changed = threading.Condition()
        self._sent: deque[tuple[float, int]] = deque()
        self._tokens_in_window = 0
        self._not_before = 0.0
        self._failures = 0
        self._broken: SolverError | None = None

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self._purse.close()

    def admit(self, endpoint: Billed, body: Mapping[str, Any], messages: Sequence[Mapping[str, str]]) -> Ticket:
        """Wait until an attempt may be sent.

        Raises:
            BudgetReached: it could exceed the cap. UsageError: under a cap, its cost has no bound.
            SolverError: the server is down.
        """
        capped = self.max_cost is not None
        most = bound(body, messages) if capped or self.tpm else Usage(requests=1)
        worst = endpoint.cost(most, self.prices) if capped else 0.0
        if worst is None:
            raise UsageError(
                f"no price is known for {endpoint.name}, so a cap cannot be kept",
                hint="give one with --price INPUT OUTPUT (dollars per million tokens)",
            )
        self._reserve(worst)
        while (pause := self._pause(most.input_tokens + most.output_tokens)) > 0:
            self._sleep(pause)
            if self._broken:
                self._release(worst)
                raise self._broken
        return Ticket(self, endpoint, worst, self._promised(worst))

    def _promised(self, worst: float) -> int:
        try:
            return self._purse.reserve(worst)
        except BaseException:
            self._release(worst)
            raise

    def _reserve(self, worst: float) -> None:
        with self._changed:
            while self.max_cost is not None and not self._broken:
                if self.spent + self.lost + worst > self.max_cost:
                    raise BudgetReached(
                        f"the next request could cost ${worst:.6f}; of ${self.max_cost:g}, ${self.spent:.6f} are spent "
                        f"and ${self.lost:.6f} kept for requests that may have been charged",
                        hint="raise --max-cost and run the same command again: it goes on where it stopped",
                    )
                if self.spent + self.lost + self.in_flight + worst <= self.max_cost:
                    break
                # What is in flight mostly costs less than it could: there may be room once it is settled.
                self._changed.wait()
            if self._broken:
                raise self._broken
            self.in_flight += worst

    def _pause(self, tokens: int) -> float:
        """Seconds to wait before the next attempt; 0 counts it as sent."""
        with self._changed:
            now = self._clock()
            if now < self._not_before:
                return self._not_before - now
            while self._sent and self._sent[0][0] <= now - WINDOW:
                self._tokens_in_window -= self._sent.popleft()[1]
            full = self.rpm is not None and len(self._sent) >= self.rpm
            # A request larger than the limit goes alone: it could never go otherwise.
            over = self.tpm is not None and self._sent and self._tokens_in_window + tokens > self.tpm
            if full or over:
                return max(0.001, self._sent[0][0] + WINDOW - now)
            self._sent.append((now, tokens))
            self._tokens_in_window += tokens
            return 0.0

    def _release(self, amount: float) -> None:
        with self._changed:
            self.in_flight -= amount
            self._changed.notify_all()

    def settled(self, ticket: Ticket, cost: float) -> None:
        self._purse.settle(ticket.attempt, cost)
        with self._changed:
            self.in_flight -= ticket.reserved
            self.spent += cost
            self.replies += 1
            self._failures = 0
            self._changed.notify_all()

    def failed(self, ticket: Ticket, error: SolverError | None) -> None:
        charged = error is None or error.charged
        if not charged:
            self._purse.settle(ticket.attempt, 0.0)
        with self._changed:
            self.in_flight -= ticket.reserved
            if charged:
                self.lost += ticket.reserved
            self._changed.notify_all()
            if error is None:
                return
            # A server that asks for time gets it from all that wait here, not from one.
            if isinstance(error, SolverRateLimited):
                self._not_before = max(self._not_before, self._clock() + (error.retry_after or 1.0))
                return
            self._failures += 1
            if self._failures >= MOST_FAILURES or (error.fatal and not self.replies):
                self._broken = SolverDown(
                    f"{ticket.endpoint.name} has failed {self._failures} times without a reply: {error.message}",
                    hint="what was done is kept; run the same command again once the server is up",
                )
