"""What the requests of a run have cost, on disk: a promise counts in full until a smaller cost is known."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from dnc_edge.errors import InputError
from dnc_edge.journal import Journal


class Purse:
    """Dollars promised and paid, over all runs on one file; called from any thread.

    A reservation is written before its request is sent and a cost when the reply is there, so that what was in
    flight when a run was killed still counts in the next one. The file is made with the first dollar.

    Args:
        path: the file; None keeps nothing.

    Attributes:
        spent: dollars of replies in earlier runs. lost: promised there, with no cost known.
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
        self._journal = Journal(path)
        promised: dict[int, float] = {}
        for _, line in self._journal.lines():
            try:
                attempt = int(line["attempt"])
                if "cost" in line:
                    self.spent += float(line["cost"])
                    promised.pop(attempt, None)
                else:
                    promised[attempt] = float(line["reserved"])
            except (KeyError, TypeError, ValueError) as error:
                self._journal.close()
                hint = "move it away if earlier runs need not count under the cap"
                raise InputError(f"{path} does not hold what runs have spent: {json.dumps(line)}", hint=hint) from error
            self._next = max(self._next, attempt + 1)
        self.lost = sum(promised.values())
        return self._journal

    def reserve(self, dollars: float) -> int:
        """Promise so much for an attempt that is about to be sent; returns its number.

        Raises:
            InputError: it cannot be written, so it must not be sent.
        """
        with self._lock:
            if self._closed:
                raise InputError("the run has ended")
            attempt, self._next = self._next, self._next + 1
            self._note(attempt, "reserved", dollars)
            return attempt

    def settle(self, attempt: int, dollars: float) -> None:
        """An attempt cost so much; after the end of the run its promise stands."""
        with self._lock:
            if not self._closed:
                self._note(attempt, "cost", dollars)

    def _note(self, attempt: int, name: str, dollars: float) -> None:
        # Without a promise there is nothing that a cost of nothing would take back.
        if self.path is not None and (dollars or self._journal):
            journal = self._journal or self._open(self.path)
            journal.append(json.dumps({"attempt": attempt, name: dollars}))

    def close(self) -> None:
        """What is in flight keeps its promise; calling it twice is harmless."""
        with self._lock:
            self._closed = True
            if self._journal:
                self._journal.close()
                self._journal = None
