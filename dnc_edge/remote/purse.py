"""What the requests of a run have cost, on disk: a promise counts in full until a smaller cost is known."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any, TypeGuard

from dnc_edge.errors import InputError, PurseError
from dnc_edge.journal import Journal

OPENING = b'{"attempt": '


class Purse:
    """Dollars promised and paid, over all runs on one file; called from any thread.

    A reservation is written before its request is sent and a cost when the reply is there, so that what was in
    flight when a run was killed still counts in the next one. The file is made with the first dollar.

    Args:
        path: the file; None keeps nothing.

    Attributes:
        spent: dollars of replies in earlier runs. lost: promised there, with no cost known.

    Raises:
        UsageError: another process spends from it. InputError: it holds something else, or a line is damaged.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._journal: Journal | None = None
        self._closed = False
        self._next = 0
        self.spent = self.lost = 0.0
        if path is not None and path.exists():
            self._open(path)

    def _open(self, path: Path) -> Journal:
        journal = Journal(path, opening=OPENING)
        promised: dict[int, float] = {}
        try:
            for number, (_, line) in enumerate(journal.lines(), start=1):
                attempt, dollars = _entry(line, f"{path}, line {number}")
                if "cost" in line:
                    self.spent += dollars
                    promised.pop(attempt, None)
                else:
                    # The same number twice: two purses in one file. Both promises count.
                    self.lost += promised.pop(attempt, 0.0)
                    promised[attempt] = dollars
                self._next = max(self._next, attempt + 1)
        except BaseException:
            journal.close()
            raise
        self.lost += sum(promised.values())
        self._journal = journal
        return journal

    def reserve(self, dollars: float) -> int:
        """Promise so much for an attempt that is about to be sent; returns its number.

        Raises:
            PurseError: it cannot be written, so it must not be sent.
        """
        with self._lock:
            if self._closed:
                raise PurseError("the run has ended")
            attempt, self._next = self._next, self._next + 1
            self._note(attempt, "reserved", dollars)
            return attempt

    def settle(self, attempt: int, dollars: float) -> None:
        """Write what an attempt cost; after the end of the run its promise stands.

        Raises:
            PurseError: it cannot be written; the promise stands.
        """
        with self._lock:
            if not self._closed:
                self._note(attempt, "cost", dollars)

    def _note(self, attempt: int, name: str, dollars: float) -> None:
        # Without a promise there is nothing that a cost of nothing would take back.
        if self.path is None or not (dollars or self._journal):
            return
        try:
            journal = self._journal or self._open(self.path)
            journal.append(json.dumps({"attempt": attempt, name: dollars}))
        except InputError as error:
            raise PurseError(error.message, hint=error.hint) from error

    def close(self) -> None:
        """End the run: what is in flight keeps its promise. Calling it twice is harmless."""
        with self._lock:
            self._closed = True
            if self._journal:
                self._journal.close()
                self._journal = None


def _entry(line: dict[str, Any], where: str) -> tuple[int, float]:
    """The number and the dollars of a line."""
    attempt, dollars = line.get("attempt"), line.get("cost", line.get("reserved"))
    if not _is_number(attempt) or not _is_number(dollars) or attempt != int(attempt):
        raise InputError(
            f"{where} does not hold what runs have spent: {json.dumps(line)[:200]}",
            hint="move the file away if earlier runs need not count under the cap",
        )
    return int(attempt), float(dollars)


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number from 0; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
