"""Questions that run in threads, their events read from the event loop: as many at a time as there is room for."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from dnc_edge.cancellation import Scope
from dnc_edge.errors import Cancelled, DncError, Unexpected
from dnc_edge.types import Event

# Seconds of events that go to a client together; a message for each token would cost more than the token.
COALESCED = 0.03


@dataclass(frozen=True)
class Limits:
    """What one client may ask for, and all of them together.

    Attributes:
        body: bytes of a request.
        seconds: from the request to the end of its reply.
        running: questions at a time; waiting: those that wait for them to end.
    """

    body: int = 1_000_000
    seconds: float = 600.0
    running: int = 32
    waiting: int = 64


class Busy(Exception):
    """There is no room for another question; `retry_after` seconds are a fair guess."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"all places are taken; try again in {retry_after} s")
        self.retry_after = retry_after


class Job:
    """One question. Its events are read once, by one task of the event loop.

    Attributes:
        error: why it ended without a record.
    """

    def __init__(self, start: Callable[[], Generator[Event]], *, streamed: bool) -> None:
        self._start = start
        self._streamed = streamed
        self._loop = asyncio.get_running_loop()
        self._scope = Scope()
        self._events: deque[Event] = deque()
        self._ended = False
        self._woken = asyncio.Event()
        self._waking = False
        self.future: Future[None] | None = None
        self.error: DncError | None = None

    def run(self) -> None:
        """Run it, in whatever thread this is."""
        try:
            with self._scope.entered(), contextlib.closing(self._start()) as events:
                for event in events:
                    self._events.append(event)
                    if self._streamed:
                        self._wake()
        except DncError as error:
            self.error = error
        except Exception as error:
            self.error = Unexpected(
                f"unexpected {type(error).__name__}: {error}", hint="this is a bug; please report it"
            )
            self.error.__cause__ = error
        finally:
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._waking = False
        self._wake()

    def _wake(self) -> None:
        """Wake the reader, unless it will look anyway."""
        if not self._waking:
            self._waking = True
            with contextlib.suppress(RuntimeError):  # the loop is gone, and the reader with it
                self._loop.call_soon_threadsafe(self._woken.set)

    async def bursts(self) -> AsyncIterator[list[Event]]:
        """Events as they come, `COALESCED` seconds of them at a time; nothing more comes after `Finished`.

        Raises:
            DncError: the question could not be run.
        """
        while True:
            await self._woken.wait()
            self._woken.clear()
            self._waking = False
            ended = self._ended
            burst = []
            while self._events:
                burst.append(self._events.popleft())
            if burst:
                yield burst
            if ended:
                if self.error:
                    raise self.error
                return
            await asyncio.sleep(COALESCED)

    async def events(self) -> list[Event]:
        """All events, once the question has ended. Raises as `bursts` does."""
        return [event async for burst in self.bursts() for event in burst]

    def cancel(self, reason: str = "nobody waits for the answer any more") -> None:
        """End it wherever it is; what has ended stays as it is."""
        self._scope.cancel(reason)
        if self.future and self.future.cancel():  # it had not begun
            self.error = Cancelled(reason)
            self._end()


class Jobs:
    """All jobs of a server; used from its event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._jobs: set[Job] = set()
        self._threads = ThreadPoolExecutor(limits.running, thread_name_prefix="dnc-edge-job")
        self._seconds = 1.0  # that a question takes, lately

    @property
    def running(self) -> int:
        return min(len(self._jobs), self.limits.running)

    @property
    def waiting(self) -> int:
        return len(self._jobs) - self.running

    def begin(self, start: Callable[[], Generator[Event]], *, streamed: bool = False) -> Job:
        """Run a question; whoever begins a job must `cancel` it when its events are not read any more.

        Args:
            start: makes the events, in the thread that runs them.
            streamed: its events are read with `bursts`; else with `events`.

        Raises:
            Busy: there are too many.
        """
        if len(self._jobs) >= self.limits.running + self.limits.waiting:
            raise Busy(max(1, math.ceil(self._seconds * self.waiting / self.limits.running)))
        job = Job(start, streamed=streamed)
        self._jobs.add(job)
        loop, began = asyncio.get_running_loop(), time.monotonic()
        late = f"not finished within {self.limits.seconds:g} s"
        timer = loop.call_later(self.limits.seconds, job.cancel, late)

        def ended(future: Future[None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(timer.cancel)
                loop.call_soon_threadsafe(self._ended, job, None if future.cancelled() else time.monotonic() - began)

        job.future = self._threads.submit(job.run)
        job.future.add_done_callback(ended)
        return job

    def _ended(self, job: Job, seconds: float | None) -> None:
        self._jobs.discard(job)
        if seconds is not None:
            self._seconds += 0.1 * (seconds - self._seconds)

    def close(self) -> None:
        """Cancel what is left."""
        for job in list(self._jobs):
            job.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
