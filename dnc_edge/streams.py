"""Generators that yield as they go and return a result at the end: mapped, run to that end, or run side by side."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")
Other = TypeVar("Other")
Result = TypeVar("Result")


def mapped(stream: Generator[Item, None, Result], function: Callable[[Item], Other]) -> Generator[Other, None, Result]:
    """Yield `function(item)` for each item; return what the stream returns."""
    while True:
        try:
            item = next(stream)
        except StopIteration as ended:
            result: Result = ended.value
            return result
        yield function(item)


def result_of(stream: Generator[object, None, Result]) -> Result:
    """Run a stream to its end; what it returns."""
    while True:
        try:
            next(stream)
        except StopIteration as ended:
            result: Result = ended.value
            return result


@dataclass(frozen=True)
class Ended(Generic[Key, Item, Result]):
    """A stream that has ended: what it yielded, and what it returned or raised."""

    key: Key
    items: list[Item]
    result: Result | None
    error: Exception | None


class Together(Generic[Key, Item, Result]):
    """Run streams side by side, each in a thread of its own. Use it in a `with`.

    Leaving the `with` block closes the streams that still run, each at its next item; it does not wait for them.
    """

    def __init__(self) -> None:
        self._ended: queue.SimpleQueue[Ended[Key, Item, Result]] = queue.SimpleQueue()
        self._closed = threading.Event()
        self.running = 0

    def start(self, key: Key, stream: Generator[Item, None, Result]) -> None:
        """Run a stream; `ended` gives it back under its key."""
        self.running += 1
        # In the same context, so that whoever cancels the caller's scope ends the stream too.
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._run, key, stream), daemon=True).start()

    def ended(self, *, wait: bool) -> Ended[Key, Item, Result] | None:
        """Return a stream that has ended; None if none runs, or none has ended and there is no `wait`."""
        if not self.running:
            return None
        try:
            one = self._ended.get(block=wait)
        except queue.Empty:
            return None
        self.running -= 1
        return one

    def _run(self, key: Key, stream: Generator[Item, None, Result]) -> None:
        items: list[Item] = []
        result: Result | None = None
        error: Exception | None = None
        try:
            while not self._closed.is_set():
                items.append(next(stream))
            stream.close()
        except StopIteration as ended:
            result = ended.value
        except Exception as raised:
            error = raised
        self._ended.put(Ended(key, items, result, error))

    def __enter__(self) -> Together[Key, Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
