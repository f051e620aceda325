"""Progress of long-running work on stderr: bars in a terminal, else a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dnc_edge import output
from dnc_edge.errors import InputError
from dnc_edge.progress import Progress, RunStatus

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

# Seconds between two lines about the same piece of work, if there is no terminal.
LINE_SECONDS = 10.0
# Seconds between two redraws of a bar.
BAR_SECONDS = 0.1
RUN = "questions"


class TerminalProgress(Progress):
    """Shows notes as lines and counts as bars. Use it in a `with` if the work has steps or runs.

    Attributes:
        skipped_rows: how many rows of the input were skipped.
        status: counts of the last run; None before the first.
    """

    def __init__(self) -> None:
        self.skipped_rows = 0
        self.status: RunStatus | None = None
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        # When each piece of work was last shown.
        self._shown: dict[str, float] = {}

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def note(self, text: str) -> None:
        output.note(text)

    def skipped(self, error: InputError) -> None:
        self.skipped_rows += 1
        output.note(f"passed over: {error.message}")

    def step(self, what: str, done: int = 0, total: int = 0) -> None:
        if output.is_terminal():
            self._bar(what, done, total)
        elif what not in self._shown or done == 0:
            self._shown[what] = time.monotonic()
            output.note(what)
        elif self._due(what, LINE_SECONDS):
            output.note(f"{what}: {done:,}" + (f" of {total:,}" if total else ""))

    def run(self, status: RunStatus) -> None:
        first, self.status = status is not self.status, status
        if output.is_terminal():
            if first or self._due(RUN, BAR_SECONDS) or not status.left:
                self._bar(RUN, status.kept + status.done, status.total, summary(status))
        elif first:
            self._shown[RUN] = time.monotonic()
        elif self._due(RUN, LINE_SECONDS):
            output.note(summary(status))

    def _due(self, what: str, seconds: float) -> bool:
        """Whether a piece of work was last shown so long ago; if so, that is now."""
        now = time.monotonic()
        if now - self._shown.get(what, 0.0) < seconds:
            return False
        self._shown[what] = now
        return True

    def _bar(self, what: str, done: int, total: int, text: str = "") -> None:
        if self._bars is None:
            self._bars = _bars()
            self._bars.start()
        bars = self._bars
        if what not in self._tasks:
            for task in bars.tasks:
                if task.total is None:  # work of unknown length is over once another piece begins
                    bars.update(task.id, total=1, completed=1)
            self._tasks[what] = bars.add_task(output.safe(what), total=total or None, text=text)
        bars.update(self._tasks[what], completed=done, total=total or None, text=text)


def summary(status: RunStatus) -> str:
    """Return the counts of a run in one line: done, failed, speed, dollars spent and expected, time left."""
    parts = [f"{status.kept + status.done:,}/{status.total:,}"]
    if status.failed:
        parts.append(f"{status.failed:,} failed")
    tokens = status.output_tokens / max(status.seconds, 1e-9)
    parts.append(f"{status.rate:,.1f} questions/s, {tokens:,.0f} tokens/s")
    if status.cost:
        expected = "" if status.expected is None else f" of ${status.expected:.4f}"
        parts.append(f"${status.cost:.4f}{expected}")
    if status.seconds_left is not None:
        minutes, seconds = divmod(round(status.seconds_left), 60)
        parts.append(f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left")
    return " | ".join(parts)


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    count, remaining = MofNCompleteColumn(), TimeRemainingColumn()

    class Status(ProgressColumn):
        """A task's own text, or else its count and the time that is left."""

        def render(self, task: Task) -> Text:
            text: Any = task.fields.get("text")
            return Text(text) if text else Text.assemble(count.render(task), " ", remaining.render(task))

    return Bars(TextColumn("{task.description}"), BarColumn(), Status(), console=Console(stderr=True))
