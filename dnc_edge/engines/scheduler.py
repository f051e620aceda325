"""Continuous batching: whose requests get the slots of an engine, and who decodes the next round.

A slot is taken again the moment its request ends. Several runs share the slots: whichever of their readers needs a
step decodes the next round, for all of them. So a run that nobody reads just now holds nobody up, and questions that
many threads ask are decoded together.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterable, Iterator

from dnc_edge.engines.decoding import Caller
from dnc_edge.engines.protocol import Request, Step
from dnc_edge.engines.slots import Backend, Slots
from dnc_edge.errors import StudentError

# Steps that a run may be behind in reading before no more of its requests are taken.
MOST_UNREAD = 4096


class _Run(Caller):
    """The requests of one caller."""

    def __init__(self, requests: Iterator[Request | None]) -> None:
        super().__init__()
        self._requests = requests
        self._first: Request | None = None
        self._exhausted = False
        self.served = 0  # when a request of it was last taken
        self.error: BaseException | None = None
        self.closed = False

    def first(self) -> Request | None:
        """The next request, looked at before it is taken; what the iterable raises is the run's own error."""
        if self.error is not None:
            return None
        if self._first is None and not self._exhausted:
            try:
                self._first = next(self._requests)
            except StopIteration:
                self._exhausted = True
            except Exception as error:
                self.error, self._exhausted = error, True
        return self._first

    def take(self, turn: int) -> None:
        self._first, self.served = None, turn

    @property
    def ended(self) -> bool:
        """Whether no step will be added any more."""
        return self.error is not None or (self._exhausted and not self.active)


class Scheduler:
    """Runs requests on a backend, from any threads."""

    def __init__(self, backend: Backend) -> None:
        self._slots = Slots(backend)
        self._runs: list[_Run] = []
        self._taken = 0
        self._changed = threading.Condition()
        self._turning: int | None = None  # the thread that is decoding a round
        self._closed = self._released = False

    def cancel(self, id: str) -> None:
        self._slots.cancel(id)

    def run(self, requests: Iterable[Request | None]) -> Generator[Step]:
        """Decode all requests; they are taken from the iterable as slots become free.

        None says that there is no request now; the iterable is asked again before the next round.

        Raises:
            StudentError: the scheduler is closed, or the iterable itself asks it for something.
        """
        run = _Run(iter(requests))
        with self._changed:
            if self._closed:
                raise StudentError("the engine is closed")
            self._runs.append(run)
        try:
            while True:
                ended = run.ended
                while run.steps:
                    yield run.steps.popleft()
                if run.error:
                    raise run.error
                if ended:
                    return
                if self._begin_turn(run):
                    try:
                        self._turn()
                    finally:
                        self._end_turn()
        finally:
            # Whoever stops listening frees the slots, in the next turn; what they hold stays for who comes next.
            run.closed = True

    def close(self) -> None:
        """Take no new runs."""
        with self._changed:
            self._closed = True

    def released(self) -> bool:
        """Whether the backend may be freed: closed, and all runs at their end. True once."""
        with self._changed:
            if self._released or not self._closed or self._turning is not None:
                return False
            self._released = all(run.closed for run in self._runs)
            return self._released

    @contextlib.contextmanager
    def alone(self, adapter: str | None) -> Iterator[None]:
        """The backend to oneself, with an adapter: what is in flight ends first; the slots are empty before and after.

        Raises:
            StudentError: the scheduler is closed, or the adapter cannot be used.
        """
        self._begin_turn(None)
        try:
            if self._closed:
                raise StudentError("the engine is closed")
            while self._slots.active:
                self._slots.round()
            self._slots.reset()
            try:
                self._slots.use(adapter)
                yield
            finally:
                self._slots.reset()
        finally:
            self._end_turn()

    def _begin_turn(self, run: _Run | None) -> bool:
        """Wait until nobody is decoding; False where a run has something to read or has ended meanwhile."""
        thread = threading.get_ident()
        with self._changed:
            if self._turning == thread:
                raise StudentError(
                    "this thread is in the middle of a request to the same engine",
                    hint="requests cannot be made out of what the engine itself is to decode",
                )
            while self._turning is not None and not (run and (run.steps or run.ended)):
                self._changed.wait()
            if run and (run.steps or run.ended):
                return False
            self._turning = thread
            return True

    def _end_turn(self) -> None:
        with self._changed:
            self._turning = None
            self._changed.notify_all()

    def _turn(self) -> None:
        """Take what requests there is room for, and decode a round."""
        with self._changed:
            closed = [run for run in self._runs if run.closed]
            runs = [run for run in self._runs if not run.closed]
            self._runs = list(runs)
        for run in closed:
            self._slots.drop(run)
        try:
            self._admit(runs)
            if self._slots.active:
                self._slots.round()
        except BaseException as error:
            for run in runs:
                if run.active:
                    run.error = error
            self._slots.free_all()
            raise
        if not self._slots.active and all(run.ended for run in runs):
            self._slots.forget_cancelled()

    def _admit(self, runs: list[_Run]) -> None:
        """Give free slots to requests; of several runs the one that has waited longest comes first."""
        while not self._slots.full:
            ready = [run for run in runs if len(run.steps) <= MOST_UNREAD and run.first()]
            if not ready:
                return
            run = min(ready, key=lambda run: run.served)
            request = run.first()
            assert request is not None
            if self._slots.active and request.adapter != self._slots.adapter:
                return  # the batch has one adapter; those before it end first
            self._taken += 1
            run.take(self._taken)
            try:
                self._slots.add(run, request)
            except StudentError as error:
                run.error = error  # an adapter that cannot be used is nobody else's
