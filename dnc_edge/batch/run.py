"""Bounded work: items are taken as there is room, results come as they are ready, a stop loses nothing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _End:
    """Marks the end of a queue."""


class _Failed(Generic[Item]):
    def __init__(self, error: BaseException) -> None:
        self.error = error


def run(items: Iterable[Item], work: Callable[[Item], Result], *, jobs: int) -> Generator[Result]:
    """Run `work` on every item in up to `jobs` threads.

    The iterable is read in its own thread, at most `jobs` items ahead, so that an engine can decode the next plans
    while others are being solved. Running work and results that were not taken yet are at most `jobs` together. If
    `work` or the iterable raises, no further items are taken; running work ends and its results are yielded before the
    error is raised. Closing the generator stops it without yielding.

    The threads are daemons and not those of a ThreadPoolExecutor, which the interpreter joins at exit: Ctrl-C would
    wait for every request in flight.

    Args:
        items: what to work on.
        work: called in any thread.
        jobs: how many at a time, at least 1.

    Yields:
        results in the order in which they are ready.
    """
    todo: queue.Queue[Item | _End] = queue.Queue(maxsize=jobs)
    done: queue.Queue[tuple[Result] | _Failed[Item] | _End] = queue.Queue()
    stop = threading.Event()
    # No work begins for a result that is still to be taken: no more than `jobs` can be lost if it cannot be kept.
    room = threading.Semaphore(jobs)

    def feed() -> None:
        source = iter(items)
        try:
            for item in source:
                while not stop.is_set():
                    try:
                        todo.put(item, timeout=0.1)
                        break
                    except queue.Full:
                        continue
                if stop.is_set():
                    break
        except BaseException as error:
            stop.set()
            done.put(_Failed(error))
        finally:
            close = getattr(source, "close", None)
            if close:
                close()
            for _ in range(jobs):
                todo.put(_End())

    def worker() -> None:
        while True:
            item = todo.get()
            if isinstance(item, _End):
                break
            if stop.is_set():
                continue
            room.acquire()
            if stop.is_set():
                room.release()
                continue
            try:
                done.put((work(item),))
            except BaseException as error:
                stop.set()
                done.put(_Failed(error))
        done.put(_End())

    threads = [threading.Thread(target=feed, daemon=True)]
    threads += [threading.Thread(target=worker, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    failure: BaseException | None = None
    ended = 0
    try:
        while ended < jobs:
            result = done.get()
            if isinstance(result, _End):
                ended += 1
            elif isinstance(result, _Failed):
                room.release()
                failure = failure or result.error
            else:
                yield result[0]
                room.release()
    finally:
        stop.set()
        for _ in range(jobs):
            room.release()
    if failure:
        raise failure
