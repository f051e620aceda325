"""What the engines have in common: one scheduler, one caller at a time, a close that never pulls memory away."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import numpy as np

from dnc_edge.engines.protocol import Request, Step
from dnc_edge.engines.scheduler import Backend, Entry, Scheduler
from dnc_edge.errors import PromptTooLong, StudentError, UsageError

MOST_SLOTS = 256


def check_slots(slots: int) -> None:
    """Raise UsageError unless so many sequences can be asked for."""
    if not 1 <= slots <= MOST_SLOTS:
        raise UsageError(f"slots must be 1 to {MOST_SLOTS}, not {slots}")


class ScheduledEngine:
    """An engine over a backend; calls from several threads wait for each other."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._scheduler = Scheduler(backend)
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._closed = False

    def run(self, requests: Iterable[Request]) -> Generator[Step]:
        if self._owner == threading.get_ident():
            raise StudentError(
                "this thread is in the middle of another request to the same engine",
                hint="finish or close the first stream before the next",
            )
        with self._lock:
            self._owner = threading.get_ident()
            try:
                if self._closed:
                    raise StudentError("the engine is closed")
                yield from self._scheduler.run(requests)
            finally:
                self._owner = None
                if self._closed:
                    self.free()

    def cancel(self, id: str) -> None:
        self._scheduler.cancel(id)

    def close(self) -> None:
        # Sequences in flight keep their memory until they end: closing never waits and never pulls it away.
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self.free()
            finally:
                self._lock.release()

    def free(self) -> None:
        """Give back what the engine holds; calling it twice is harmless."""

    def logits(self, prompt: Sequence[int], completion: Sequence[int], *, adapter: str | None = None) -> Any:
        """What each token of a given completion would be predicted from: float32, [len(completion), vocabulary].

        Raises:
            PromptTooLong: the two do not fit the context.
        """
        tokens = [*prompt, *completion[:-1]]
        if len(tokens) > self._backend.context:
            raise PromptTooLong(f"{len(tokens)} tokens do not fit the context of {self._backend.context}")
        with self._lock:
            self._scheduler.reset()
            self._backend.use(adapter)
            first = len(prompt) - 1
            rows = []
            for start in range(0, len(tokens), self._backend.batch):
                part = enumerate(tokens[start : start + self._backend.batch], start)
                entries = [Entry(0, position, token, position >= first) for position, token in part]
                if any(entry.wanted for entry in entries):
                    rows.append(np.array(self._backend.decode(entries)))
                else:
                    self._backend.decode(entries)
            self._backend.use(self._scheduler.adapter)
            self._scheduler.reset()
            return np.concatenate(rows)
