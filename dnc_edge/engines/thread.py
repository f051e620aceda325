"""An engine in a thread of its own, for callers in many others.

Without it, whichever caller needs a step decodes the next round and wakes all others. Here one thread decodes, and a
caller is woken by its first step, by its last one, and in between when `INTERVAL` seconds of steps are waiting.
"""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace

from dnc_edge import cancellation
from dnc_edge.engines.observer import Observer
from dnc_edge.engines.protocol import Engine, Request, Step
from dnc_edge.errors import StudentError

INTERVAL = 0.03
# Seconds that `close` waits for what is in flight.
PATIENCE = 10.0

_Inbox = queue.SimpleQueue[list[Step] | Exception]


class _Ending(Observer):
    """Ends a sequence at its next token once nobody wants it any more."""

    ended = False

    @property
    def done(self) -> bool:
        return self.ended


class _Caller:
    """Who waits for a request."""

    def __init__(self, request: Request, inbox: _Inbox) -> None:
        self.ending = _Ending()
        self.request = replace(request, observers=(*request.observers, self.ending))
        self.inbox = inbox
        self._steps: list[Step] = []
        self._sent = 0.0

    def take(self, step: Step) -> None:
        """Keep a step until it is worth waking the caller."""
        self._steps.append(step)
        now = time.monotonic()
        if step.finish or now - self._sent >= INTERVAL:
            self.inbox.put(self._steps)
            self._steps, self._sent = [], now


class EngineThread:
    """Drives an engine; itself an engine whose requests may come from any thread.

    A request whose steps nobody reads on, because the generator is closed or its scope cancelled, ends at its next
    token and leaves its slot.

    Args:
        engine: closed by `close`, once what is in flight has ended.
    """

    def __init__(self, engine: Engine) -> None:
        self.name, self.context = engine.name, engine.context
        self._engine = engine
        self._arriving: queue.SimpleQueue[_Caller | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        # Requests that the engine has taken and not ended; written by the thread alone.
        self._running: dict[str, _Caller] = {}
        self._thread = threading.Thread(target=self._work, name="dnc-edge-engine", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        """How many requests the engine has taken and not ended."""
        return len(self._running)

    def run(self, requests: Iterable[Request | None]) -> Generator[Step]:
        """Decode all requests; steps come in order, several at a time.

        Raises:
            Cancelled: the current scope was cancelled. StudentError: the engine is closed.
        """
        scope = cancellation.current()
        inbox: _Inbox = queue.SimpleQueue()
        callers = [_Caller(request, inbox) for request in requests if request is not None]
        with self._lock:
            if self._closed:
                raise StudentError("the engine is closed")
            for caller in callers:
                self._arriving.put(caller)
        left = len(callers)
        try:
            with scope.waking(lambda: inbox.put([])):
                while left:
                    steps = inbox.get()
                    scope.check()
                    if isinstance(steps, Exception):
                        raise steps
                    for step in steps:
                        left -= step.finish is not None
                        yield step
        finally:
            for caller in callers:
                caller.ending.ended = True

    def cancel(self, id: str) -> None:
        if caller := self._running.get(id):
            caller.ending.ended = True

    def close(self) -> None:
        """Take no more requests; those in flight end first. Calling it twice is harmless."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._arriving.put(None)
        # A process that ends while its model is being freed crashes.
        self._thread.join(PATIENCE)

    def _work(self) -> None:
        while not self._closed or self._running or not self._arriving.empty():
            try:
                for step in self._engine.run(self._feed()):
                    caller = self._running.pop(step.id) if step.finish else self._running[step.id]
                    caller.take(step)
            except Exception as error:
                self._fail(error)
        self._engine.close()

    def _feed(self) -> Iterator[Request | None]:
        """Requests as they come; waits for them only while the engine has nothing else to do."""
        while True:
            try:
                caller = self._arriving.get(block=not self._running)
            except queue.Empty:
                yield None
                continue
            if caller is None:
                return
            if not caller.ending.ended:
                self._running[caller.request.id] = caller
                yield caller.request

    def _fail(self, error: Exception) -> None:
        """Tell those whose requests the engine has lost, or, if it took none, the one who comes next."""
        callers: list[_Caller | None] = [*self._running.values()] or [self._arriving.get()]
        self._running.clear()
        for caller in callers:
            if caller is not None:
                caller.inbox.put(copy.copy(error))
