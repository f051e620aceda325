"""How long-running work reports what it does. Libraries call it; `cli.terminal` shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from dnc_edge.errors import InputError
from dnc_edge.types import Record


@dataclass
class RunStatus:
    """Counts of a run of many questions.

    Attributes:
        total: questions.
        repeated: rows of the input whose question was in it already; they share its record.
        kept: questions whose record was made by an earlier run; done: by this one.
        failed: how many of these records hold an error.
        output_tokens: of this run.
        spent: dollars of this run, with requests of unfinished questions; before: of earlier runs. None if the cost of
            a record is unknown.
        started: `time.monotonic()` at the start.
    """

    total: int
    repeated: int = 0
    kept: int = 0
    done: int = 0
    failed: int = 0
    output_tokens: int = 0
    spent: float | None = 0.0
    before: float | None = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def left(self) -> int:
        return self.total - self.kept - self.done

    @property
    def rate(self) -> float:
        """Questions per second."""
        return self.done / self.seconds if self.done else 0.0

    @property
    def seconds_left(self) -> float | None:
        return self.left / self.rate if self.rate else None

    @property
    def expected(self) -> float | None:
        """Dollars for all questions, estimated from those that are done; None if that is not possible."""
        if self.spent is None or self.before is None or not self.done:
            return None
        return self.before + self.spent * (self.done + self.left) / self.done

    @property
    def cost(self) -> float | None:
        """Dollars of all runs so far; None if unknown."""
        return None if self.spent is None or self.before is None else self.before + self.spent

    def to_dict(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "repeated": self.repeated,
            "kept": self.kept,
            "done": self.done,
            "failed": self.failed,
            "questions_per_second": round(self.rate, 2),
            "output_tokens": self.output_tokens,
            "cost_usd": None if self.cost is None else round(self.cost, 6),
            "seconds": round(self.seconds, 2),
        }


class Progress:
    """Receives reports of long-running work. Every method ignores them; a subclass overrides what it needs."""

    def note(self, text: str) -> None:
        """Receive a line for a person: what was left out, what was chosen, why there is a wait."""

    def step(self, what: str, done: int = 0, total: int = 0) -> None:
        """Receive how much of a piece of work is done; reported with `done` = 0 when it begins.

        Args:
            what: the piece of work, the same text in each report about it.
            done: number of units that are done.
            total: number of all units; 0 if it is unknown.
        """

    def skipped(self, error: InputError) -> None:
        """Receive what is wrong with a row of the input that was skipped."""

    def record(self, record: Record) -> None:
        """Receive the finished record of a question of a run; it is in the journal by then."""

    def run(self, status: RunStatus) -> None:
        """Receive the counts of a run at its start and after each record; the same object is updated."""


SILENT = Progress()
