"""The one retry policy, for every remote request."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dnc_edge.errors import DncError


@dataclass(frozen=True)
class Retry:
    """When a failed request is sent again.

    Attributes:
        attempts: how often a request is sent at most, the first time included.
        first: seconds before the second attempt, doubled for each next one up to `longest`.
        jitter: share of the pause that is random, so that clients do not return in step.
        patience: longest Retry-After that is waited for; a longer one ends the request.
        sleep, rng: injectable, so that tests take no time.
    """

    attempts: int = 4
    first: float = 0.5
    longest: float = 8.0
    jitter: float = 0.25
    patience: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    rng: random.Random = field(default_factory=random.Random)

    def pause(self, attempt: int, error: DncError, retry_after: float | None = None) -> float | None:
        """Seconds to wait before attempt + 1, or None to give up.

        Args:
            attempt: how many attempts have been made.
            error: what the last one ended with.
            retry_after: what the server asked for, in seconds.
        """
        if not error.retryable or attempt >= self.attempts:
            return None
        if retry_after is not None:
            return None if retry_after > self.patience else max(0.0, retry_after)
        pause = min(self.longest, self.first * 2.0 ** (attempt - 1))
        return pause * (1 - self.jitter * self.rng.random())
