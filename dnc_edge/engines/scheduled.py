"""What the engines have in common: one scheduler for all callers, a close that never pulls memory away."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from dnc_edge.engines.protocol import Request, Step
from dnc_edge.engines.scheduler import Scheduler
from dnc_edge.engines.slots import Backend, Entry
from dnc_edge.errors import PromptTooLong, UsageError

MOST_SLOTS = 256


def check_slots(slots: int) -> None:
    """Raise UsageError unless so many sequences can be asked for."""
    if not 1 <= slots <= MOST_SLOTS:
        raise UsageError(f"slots must be 1 to {MOST_SLOTS}, not {slots}")


class ScheduledEngine:
    """An engine that has a backend and a scheduler for it; calls from several threads share the slots."""

    def __init__(self, backend: Backend) -> None:
        self.context, self.slots = backend.context, backend.slots
        self._backend = backend
        self._scheduler = Scheduler(backend)

    def run(self, requests: Iterable[Request | None]) -> Generator[Step]:
        with self._freed_at_the_end():
            yield from self._scheduler.run(requests)

    def cancel(self, id: str) -> None:
        self._scheduler.cancel(id)

    def close(self) -> None:
        # Sequences in flight keep their memory until they end: closing never waits and never pulls it away.
        with self._freed_at_the_end():
            self._scheduler.close()

    @contextlib.contextmanager
    def _freed_at_the_end(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._scheduler.released():
                self._backend.free()

    def logits(self, prompt: Sequence[int], completion: Sequence[int], *, adapter: str | None = None) -> Any:
        """What each token of a given completion would be predicted from: float32, [len(completion), vocabulary].

        Raises:
            PromptTooLong: the two do not fit the context. StudentError: the engine is closed.
        """
        tokens = [*prompt, *completion[:-1]]
        if len(tokens) > self._backend.context:
            raise PromptTooLong(f"{len(tokens)} tokens do not fit the context of {self._backend.context}")
        with self._freed_at_the_end(), self._scheduler.alone(adapter):
            first = len(prompt) - 1
            rows = []
            for start in range(0, len(tokens), self._backend.batch):
                part = enumerate(tokens[start : start + self._backend.batch], start)
                entries = [Entry(0, position, token, position >= first) for position, token in part]
                if any(entry.wanted for entry in entries):
                    rows.append(np.array(self._backend.decode(entries)))
                else:
                    self._backend.decode(entries)
            return np.concatenate(rows)
