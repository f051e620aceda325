"""The gate that every attempt of a remote request passes: money first, then rate, then the state of the server.

A reservation is made before an attempt is sent, for the most it can cost. A complete reply settles it at what it
cost, if that is known; an attempt that may have been charged, nobody knows how much, keeps it. So what was spent,
plus what is reserved, never exceeds the cap, and with a purse over all runs, killed ones too.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dnc_edge import cancellation
from dnc_edge.errors import (
    BudgetReached,
    DncError,
    PurseError,
    SolverDown,
    SolverError,
    SolverFiltered,
    SolverRateLimited,
    SolverRejected,
    UsageError,
)
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.purse import Purse
from dnc_edge.types import Usage

# Tokens that a message's role and separators may take, beside its text.
PER_MESSAGE = 16
# Tokens of the instructions that providers add to a request with tools.
FOR_TOOLS = 600
# Fields of a request that no model sees.
UNSEEN = frozenset({"model", "messages", "stream", "stream_options"})
WINDOW = 60.0
# After this many failures without a reply between them the server is taken to be down.
MOST_FAILURES = 20


class Billed(Protocol):
    """What the gate asks of an endpoint: its name and its prices."""

    name: str

    def cost(self, usage: Usage, prices: Prices) -> float | None:
        """Return the dollars of a reply; None if no price is known."""
        ...


def bound(body: Mapping[str, Any]) -> Usage:
    """Return the most that a request can use.

    A token is at least one byte of what the model sees: messages, tools, response format. The maximum that is sent
    bounds each of the `n` replies.

    Args:
        body: the request as sent.

    Raises:
        UsageError: no maximum is sent.
    """
    limits = [limit for name in ("max_tokens", "max_completion_tokens") if isinstance(limit := body.get(name), int)]
    if not limits:
        raise UsageError("a request without a maximum of tokens has no bound", hint="leave max_tokens in the request")
    sent = sum(_bytes(message["content"]) + PER_MESSAGE for message in body["messages"])
    sent += sum(_bytes(value) for name, value in body.items() if name not in UNSEEN)
    if body.get("tools") or body.get("functions"):
        sent += FOR_TOOLS
    return Usage(requests=1, input_tokens=sent, output_tokens=max(limits) * (body.get("n") or 1))


def _bytes(value: Any) -> int:
    if value is None or isinstance(value, (int, float)):
        return 0
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return len(text.encode("utf-8", "surrogatepass"))


@dataclass
class Attempt:
    """One admitted attempt of a request.

    Attributes:
        usage: set it once a complete reply is there; the end of the `with` block settles the reservation by it.
    """

    endpoint: Billed
    worst: float
    reserved: float
    number: int
    usage: Usage | None = None


class Gate:
    """One for all endpoints of a run; called from any thread. Use it in a `with` if it has a purse.

    Attributes:
        spent: dollars of replies. lost: kept for attempts that may have been charged. in_flight: reserved for
            attempts under way. The first two are over all runs of the purse.

    Args:
        prices: what a reply costs.
        max_cost: dollars that are never exceeded; None is no cap.
        rpm, tpm: requests and tokens a minute at most; None is no limit.
        purse: file that keeps what was reserved and spent from run to run; None keeps nothing.
        lasting: an error that would end a run (key, quota, model, a server that is down) concerns only the request
            that meets it: those of a service have nothing to do with each other.
        clock, sleep: injectable.

    Raises:
        UsageError: another process spends from the purse, or a limit is out of its range.
        InputError: the purse cannot be read.
    """

    def __init__(
        self,
        prices: Prices | None = None,
        *,
        max_cost: float | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        purse: Path | None = None,
        lasting: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        if max_cost is not None and not (math.isfinite(max_cost) and max_cost >= 0):
            raise UsageError(f"--max-cost: {max_cost} is no amount of dollars", hint="give a number from 0")
        for name, limit in (("rpm", rpm), ("tpm", tpm)):
            if limit is not None and not 1 <= limit < math.inf:
                raise UsageError(f"--{name}: {limit} is out of range", hint="give a whole number from 1")
        self.prices = prices or Prices()
        self.max_cost, self.rpm, self.tpm = max_cost, rpm, tpm
        self.lasting = lasting
        self._purse = Purse(purse)
        self.spent, self.in_flight, self.lost = self._purse.spent, 0.0, self._purse.lost
        self.replies = 0
        self._clock, self._sleep = clock, sleep or self._wait
        self._changed = threading.Condition()
        self._sent: deque[tuple[float, int]] = deque()
        self._tokens_in_window = 0
        self._not_before = 0.0
        self._failures = 0
        # How far a reply has exceeded the bound of its request: a provider may count more than is sent.
        self._excess = 1.0
        self._broken: DncError | None = None

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self._purse.close()

    @contextlib.contextmanager
    def attempt(self, endpoint: Billed, body: Mapping[str, Any]) -> Iterator[Attempt]:
        """Wait until an attempt may be sent; settle its reservation when the block ends.

        A block that ends without a usage, by an error or because nobody reads on, may have been charged: it keeps its
        reservation, unless the error says that the server turned the request down unread.

        Args:
            endpoint: who is asked.
            body: the request as sent.

        Raises:
            BudgetReached: it could exceed the cap. UsageError: under a cap, its cost has no bound.
            SolverError: the server is down. PurseError: what is spent cannot be written down.
        """
        attempt = self._admit(endpoint, body)
        ended: BaseException | None = None
        try:
            yield attempt
        except BaseException as error:
            ended = error
            raise
        finally:
            self._settle(attempt, ended)

    def _admit(self, endpoint: Billed, body: Mapping[str, Any]) -> Attempt:
        most, worst = self._most(endpoint, body)
        with cancellation.current().waking(self._wake):
            reserved = self._reserve(worst)
            number: int | None = None
            try:
                number = self._purse.reserve(reserved)
                while (pause := self._pause(most.input_tokens + most.output_tokens)) > 0:
                    self._sleep(pause)
            except BaseException:
                # Nothing was sent.
                self._release(number, reserved, 0.0)
                raise
        return Attempt(endpoint, worst, reserved, number)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _most(self, endpoint: Billed, body: Mapping[str, Any]) -> tuple[Usage, float]:
        """The most that a request can use and cost; without a cap, 0 dollars if that is not known."""
        try:
            most = bound(body)
        except UsageError:
            if self.max_cost is not None or self.tpm:
                raise
            return Usage(requests=1), 0.0
        worst = endpoint.cost(most, self.prices)
        if worst is None and self.max_cost is not None:
            raise UsageError(
                f"no price is known for {endpoint.name}, so a cap cannot be kept",
                hint="give one with --price INPUT OUTPUT (dollars per million tokens)",
            )
        return most, worst or 0.0

    def _reserve(self, worst: float) -> float:
        """Wait for room under the cap; returns the dollars that are now reserved."""
        with self._changed:
            while True:
                self._check()
                amount = worst * self._excess
                if self.max_cost is None or self.spent + self.lost + self.in_flight + amount <= self.max_cost:
                    self.in_flight += amount
                    return amount
                if self.spent + self.lost + amount > self.max_cost:
                    raise BudgetReached(
                        f"the next request could cost ${amount:.6f}; of ${self.max_cost:g}, ${self.spent:.6f} are "
                        f"spent and ${self.lost:.6f} kept for requests that may have been charged",
                        hint="raise --max-cost and run the same command again: it goes on where it stopped",
                    )
                # What is in flight mostly costs less than it could: there may be room once it is settled.
                self._changed.wait()

    def _pause(self, tokens: int) -> float:
        """Seconds to wait before the next attempt; 0 counts it as sent."""
        with self._changed:
            self._check()
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

    def _check(self) -> None:
        """Raise the error that has ended the run, a copy for each thread; or `Cancelled`."""
        cancellation.current().check()
        if self._broken:
            error = copy.copy(self._broken)
            error.usage = None
            raise error

    def _wait(self, seconds: float) -> None:
        """Sleep, but not past the end of the run."""
        with self._changed:
            if not self._broken and not cancellation.current().cancelled:
                self._changed.wait(seconds)

    def _settle(self, attempt: Attempt, error: BaseException | None) -> None:
        """Turn a reservation into what is known of its cost, and the error into what it says of the server."""
        cost: float | None = None
        try:
            cost = self._cost(attempt, error)
        finally:
            self._note(attempt, error, cost)
            self._release(attempt.number, attempt.reserved, cost)

    def _release(self, number: int | None, reserved: float, cost: float | None) -> None:
        """End a reservation; None keeps it as lost. Whatever fails, those that wait for room are woken."""
        try:
            if cost is not None and number is not None:
                self._purse.settle(number, cost)
        except PurseError as error:
            # The reply is as good as it was, and on disk its reservation stands: only what follows must not be sent.
            self._broken = self._broken or error
        finally:
            with self._changed:
                self.in_flight -= reserved
                if cost is None:
                    self.lost += reserved
                else:
                    self.spent += cost
                self._changed.notify_all()

    def _cost(self, attempt: Attempt, error: BaseException | None) -> float | None:
        """Dollars of an attempt that has ended; None if they are not known."""
        if isinstance(error, SolverError) and error.complete:
            # A reply that is no answer is paid for like any other.
            attempt.usage = error.usage
        if attempt.usage is not None:
            return None if attempt.usage.estimated else attempt.endpoint.cost(attempt.usage, self.prices)
        unsent = isinstance(error, UsageError) or (isinstance(error, SolverError) and not error.charged)
        return 0.0 if unsent else None

    def _note(self, attempt: Attempt, error: BaseException | None, cost: float | None) -> None:
        """Remember what the end of an attempt says of the server and of its prices."""
        with self._changed:
            if attempt.usage is not None:
                self.replies += 1
                self._failures = 0
                if cost is not None and attempt.worst > 0:
                    self._excess = max(self._excess, cost / attempt.worst)
            elif isinstance(error, SolverError):
                if error.fatal:
                    # Quota, key, model, a long wait: every further request would be turned down alike.
                    self._broken = self._broken or (None if self.lasting else error)
                elif isinstance(error, SolverRateLimited):
                    # A server that asks for time gets it from all that wait here, not from one.
                    self._not_before = max(self._not_before, self._clock() + (error.retry_after or 1.0))
                elif not isinstance(error, SolverRejected | SolverFiltered):
                    # One that turns a single question down is at work.
                    self._failures += 1
                if self._failures >= MOST_FAILURES and not self.lasting:
                    self._broken = self._broken or SolverDown(
                        f"{attempt.endpoint.name} has failed {self._failures} times without a reply: {error.message}",
                        hint="what was done is kept; run the same command again once the server is up",
                    )
