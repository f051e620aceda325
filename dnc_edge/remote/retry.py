"""The one retry policy, for every remote request, and how long servers ask to wait."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dnc_edge import cancellation
from dnc_edge.errors import SolverError, SolverWait

# Seconds of waiting from which on a line says so.
WORTH_SAYING = 2.0


@dataclass(frozen=True)
class Retry:
    """When a failed request is sent again.

    Attributes:
        attempts: how often a request is sent at most, the first time included.
        first: seconds before the second attempt, doubled for each next one up to `longest`.
        jitter: share of the pause that is random, so that clients do not return in step.
        patience: longest wait in seconds that a server may ask for; a longer one ends the run.
        sleep, rng: injectable, so that tests take no time.
    """

    attempts: int = 4
    first: float = 0.5
    longest: float = 8.0
    jitter: float = 0.25
    patience: float = 60.0
    sleep: Callable[[float], None] = cancellation.sleep
    rng: random.Random = field(default_factory=random.Random)

    def checked(self, error: SolverError, name: str) -> SolverError:
        """Return the error, or a `SolverWait` in its place if the server asks for more than patience."""
        wait = error.retry_after
        if wait is None or wait <= self.patience or not error.retryable:
            return error
        longer = SolverWait(
            f"{name} asks to wait until {until(wait)}, longer than {self.patience:g} s of patience: {error.message}",
            hint="what was done is kept; run the same command again then, or raise --patience",
        )
        longer.retry_after = wait
        return longer

    def pause(self, attempt: int, error: SolverError) -> float | None:
        """Return the seconds to wait before attempt + 1, or None to give up.

        Args:
            attempt: how many attempts have been made.
            error: what the last one ended with.
        """
        if not error.retryable or error.fatal or attempt >= self.attempts:
            return None
        if error.retry_after is not None:
            return None if error.retry_after > self.patience else error.retry_after
        pause = min(self.longest, self.first * 2.0 ** (attempt - 1))
        return pause * (1 - self.jitter * self.rng.random())


def until(seconds: float) -> str:
    """The time of day after some seconds, with the date if it is not today's."""
    now = time.time()
    then = time.localtime(min(now + seconds, 2**35))
    same_day = then[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S", then)


_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
_NAMES = r"ns|us|µs|ms|milliseconds?|d(?:ays?)?|h(?:ours?|rs?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?"
_PART = rf"(\d+(?:\.\d+)?)\s*({_NAMES})(?![a-z])"
_DURATION = re.compile(rf"(?:{_PART}[\s,]*(?:and\s+)?)+", re.IGNORECASE)
_IN_WORDS = re.compile(r"(?:try again|retry|wait|available|resets?)[^.\d]{0,40}?\b(?:in|after|for)\s+", re.IGNORECASE)


def asked_wait(
    headers: Mapping[str, str], error: Any = None, words: str = "", *, now: float | None = None
) -> float | None:
    """Return the seconds that a server asks to wait; None if it does not say, or says nothing that makes sense.

    Args:
        headers: of the response, with names in lower case.
        error: JSON of the response; Google's RetryInfo is read.
        words: the provider's words ("Please try again in 7m12s").
        now: seconds since 1970; None is the present.
    """
    now = time.time() if now is None else now
    if (wait := _number(headers.get("retry-after-ms", ""))) is not None:
        return wait / 1000
    if (header := headers.get("retry-after")) and (wait := duration(header, now)) is not None:
        return wait
    if (delay := _retry_info(error, 0)) and (wait := duration(delay, now)) is not None:
        return wait
    if (begun := _IN_WORDS.search(words)) and (found := _DURATION.match(words, begun.end())):
        return duration(found[0], now)
    return None


def duration(text: str, now: float) -> float | None:
    """Read a wait: seconds, "1m30s", "500ms", a date, or a time in seconds or milliseconds since 1970.

    What lies in the past is no wait (0); what is negative, infinite or unreadable is None.
    """
    text = text.strip()
    if (number := _number(text)) is not None:
        if number > 1e11:
            return max(0.0, number / 1000 - now)
        return max(0.0, number - now) if number > 1e9 else number
    if _DURATION.fullmatch(text):
        parts = re.findall(_PART, text, re.IGNORECASE)
        return sum(float(count) * _unit(unit) for count, unit in parts)
    return _date(text, now)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _unit(name: str) -> float:
    name = name.lower().replace("µ", "u")
    return _UNITS.get(name) or (_UNITS["ms"] if name.startswith("milli") else _UNITS[name[0]])


def _date(text: str, now: float) -> float | None:
    import datetime
    from email.utils import parsedate_to_datetime

    for read in (parsedate_to_datetime, datetime.datetime.fromisoformat):
        try:
            date = read(text)
            if date.tzinfo is None:
                date = date.replace(tzinfo=datetime.UTC)
            return max(0.0, date.timestamp() - now)
        except (ValueError, TypeError, OverflowError, OSError):
            continue
    return None


def _retry_info(value: Any, depth: int) -> str | None:
    """Google's RetryInfo ("retryDelay": "34s"), and "retry_after" as others write it, anywhere in an error."""
    if depth > 6:
        return None
    if isinstance(value, list):
        return next((found for item in value[:10] if (found := _retry_info(item, depth + 1))), None)
    if isinstance(value, dict):
        for name in ("retryDelay", "retry_after", "retry_after_seconds"):
            if isinstance(delay := value.get(name), str | int | float) and not isinstance(delay, bool):
                return str(delay)
        return next((found for item in value.values() if (found := _retry_info(item, depth + 1))), None)
    return None
