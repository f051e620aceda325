"""How many compute threads to use when nobody says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from dnc_edge.errors import UsageError

MOST_THREADS = 1024
_LOOKS = 5
_LOADAVG = Path("/proc/loadavg")
_TASKS = Path("/proc/self/task")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chosen_threads(threads: int | None) -> int:
    """The number asked for, or the default.

    Raises:
        UsageError: it is not 1 to 1,024.
    """
    if threads is None:
        return default_threads()
    if not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"threads must be 1 to {MOST_THREADS}, not {threads}")
    return threads


def default_threads(running: Callable[[], int | None] | None = None) -> int:
    """One thread for each core that nothing else is using now, at least one.

    Threads of one model wait for each other after every operation. Where another process holds a core, they
    wait for its time slices: two threads beside a busy process were seen to decode a plan in 60 s that one
    thread decodes in 0.1 s.

    Args:
        running: tells how many threads want a core now, this one included, or None where that cannot be
            told; injectable for tests.
    """
    available = cores()
    wanted = (running or _running)()
    return available if wanted is None else max(1, min(available, available - (wanted - 1)))


def _running() -> int | None:
    """Threads that want a core, this process counted once: the least of a few looks, for what flickers past."""
    least: int | None = None
    for look in range(_LOOKS):
        if look:
            time.sleep(0.002)
        try:
            # Threads of our own spin for a while when a library has just been loaded.
            ours = sum(_wants_a_core(task) for task in _TASKS.iterdir())
            count = int(_LOADAVG.read_text(encoding="ascii").split()[3].split("/")[0])
        except (OSError, ValueError, IndexError):
            return None
        others = max(0, count - max(1, ours))
        least = others + 1 if least is None else min(least, others + 1)
        if least == 1:
            break
    return least


def _wants_a_core(task: Path) -> bool:
    try:
        # The state follows the name, which is in brackets and may hold anything.
        return (task / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].startswith("R")
    except OSError:
        return False
