"""The one printer: commands print through it alone. Results on stdout, everything said about them on stderr."""

from __future__ import annotations

import contextlib
import json as jsons
import os
import re
import sys
from collections.abc import Generator, Iterator, Sequence
from typing import Any, TextIO

from dnc_edge.errors import DncError, InputError, UsageError
from dnc_edge.types import AnswerDelta, Event, Finished, Notice, PlanDelta, Record, SubAnswer, SubQuestion, event_dict

# C0 and C1 control characters but tab and newline: a model's text must not drive the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def safe(text: str) -> str:
    """Text from a model or a file as a terminal may show it."""
    return _CONTROL.sub("", text)


def print_line(text: str, *, end: str = "\n") -> None:
    """Text on stdout, as it is.

    Raises:
        InputError: it cannot be written; later output is dropped, so that it is said once.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:  # whoever read it has enough
        raise
    except OSError as error:
        silence_stdout()
        raise InputError(f"cannot write to stdout: {error.strerror}", code="stdout") from error


def silence_stdout() -> None:
    """Drop what was and will be printed, for a stream that failed would fail again when Python ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def require_stdout() -> None:
    """Refuse to pay for what nobody could read.

    Raises:
        UsageError: stdout is closed.
    """
    if sys.__stdout__ is None:
        raise UsageError("stdout is closed; nothing was asked", hint="send it to a file or to /dev/null")


def print_json(value: Any, *, indent: int | None = None) -> None:
    """One JSON value on stdout, as one line unless indented."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print_line(jsons.dumps(value, ensure_ascii=not unicode, indent=indent))


def print_text(text: str) -> None:
    print_line(safe(text))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows in aligned columns; a terminal folds what is wider than its window.

    Args:
        head: names of the columns; () for none.
        rows: cells; one that looks like a number is set to the right.
    """
    number = re.compile(r"\$?[\d,.]+(?: \+ [\d,.]+)?|")
    right = [all(number.fullmatch(cell) for cell in column) for column in zip(*rows, strict=True)]
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD if head else None, show_header=bool(head), pad_edge=False)
        for name, numeric in zip(head or [""] * len(right), right, strict=True):
            table.add_column(name, justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(safe(cell)) for cell in row))
        Console().print(table)
        return
    lines = [head, *rows] if head else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = zip(line, widths, right, strict=True)
        print_text("  ".join(f"{cell:{'>' if numeric else '<'}{width}}" for cell, width, numeric in cells).rstrip())


def dollars(cost: float | None) -> str:
    """An amount as people read it: "$0.0213"; "unknown" if it is None."""
    return "unknown" if cost is None else f"${cost:.6f}".rstrip("0").rstrip(".")


def note(text: str) -> None:
    """A line for the person, on stderr."""
    with contextlib.suppress(OSError):  # there is nobody left to tell
        print(_dim(safe(text), sys.stderr), file=sys.stderr, flush=True)


def is_terminal() -> bool:
    """Return whether notes are shown in a terminal."""
    return sys.stderr.isatty()


def print_error(error: DncError) -> None:
    """One line: what is wrong, and what to do."""
    hint = f"; {error.hint}" if error.hint else ""
    with contextlib.suppress(OSError):
        print(f"dnc-edge: {safe(error.message)}{safe(hint)}".replace("\n", " "), file=sys.stderr, flush=True)


def report(
    events: Generator[Event],
    *,
    json: bool = False,
    as_events: bool = False,
    live: bool = True,
    indent: int | None = None,
) -> None:
    """Print the events of one question: as its record in JSON, as JSON lines, or for a person.

    Args:
        live: in a terminal, show sub-questions and answer as they come, not all at the end.

    Raises:
        DncError: the one that the record tells of, once the record is printed.
        InputError: stdout takes no more; the record is on stderr then, for it was paid for.
        UsageError: stdout is closed.
    """
    require_stdout()
    last: Finished | None = None

    def seen() -> Iterator[Event]:
        nonlocal last
        for event in events:
            last = event if isinstance(event, Finished) else last
            yield event

    # Closed whatever happens: a stream that hangs in mid-air holds the engine.
    with contextlib.closing(events):
        try:
            if as_events:
                _show_events(seen())
            elif json:
                finished = next(event for event in seen() if isinstance(event, Finished))
                print_json(finished.record.to_dict(), indent=indent)
            else:
                _show(seen(), live and sys.stdout.isatty())
        except InputError as error:
            if error.code != "stdout":
                raise
            for _ in seen():
                pass
            if last:
                note(last.record.to_json())
            raise
    if last and last.error:
        raise last.error


def _show(events: Iterator[Event], live: bool) -> Finished:
    view = _View(live)
    for event in events:
        match event:
            case PlanDelta() if live:
                view.plan_text(event.text)
            case SubQuestion():
                view.subquestion(event)
            case SubAnswer():
                view.subanswer(event)
            case AnswerDelta() if live:
                view.answer_text(event.text)
            case Notice():
                view.end_line()
                note(event.text)
            case Finished():
                view.finish(event.record)
                return event
            case _:
                pass
    raise AssertionError("a strategy ended without a record")


def _show_events(events: Iterator[Event]) -> Finished:
    for event in events:
        print_json(event_dict(event))
        if isinstance(event, Finished):
            return event
    raise AssertionError("a strategy ended without a record")


def summary(record: Record) -> str:
    """One line: who planned and how fast, who solved, tokens, dollars, seconds."""
    parts = []
    plan, solve = record.usage.get("decompose"), record.usage.get("solve")
    if plan and record.decomposer:
        speed = f", {plan.output_tokens / plan.seconds:,.0f} tokens/s" if plan.seconds and plan.output_tokens else ""
        parts.append(f"plan: {record.decomposer}{f' {record.level}' if record.level else ''}{speed}")
    if solve and record.solver:
        parts.append(f"answer: {record.solver}")
    if record.usage:
        total = sum(u.input_tokens for u in record.usage.values()), sum(u.output_tokens for u in record.usage.values())
        about = "about " if any(usage.estimated for usage in record.usage.values()) else ""
        parts.append(f"{about}{total[0]} + {total[1]} tokens")
    parts.append("cost unknown" if record.cost_usd is None else dollars(record.cost_usd))
    parts.append(f"{record.seconds:.2f} s")
    return " | ".join(parts)


class _View:
    """The terminal's picture of a run: a numbered plan, then the answer."""

    def __init__(self, live: bool) -> None:
        # Not at the top: --help and --version need no parser.
        from dnc_edge import parse, prompts

        self._parse = parse
        self._none_needed = prompts.NO_DECOMPOSITION
        self.live = live
        self._start = ""
        self._lines = 0
        self._in_answer = False
        self._mid_line = False

    def plan_text(self, text: str) -> None:
        """A line is shown as it grows, under our numbers instead of its own."""
        self._leave_answer()
        for character in safe(text):
            if character == "\n":
                self.end_plan_line()
            elif self._mid_line:
                self._write(character)
            else:
                # Held back until it is seen to be no "No decomposition" and no number.
                self._start += character
                if len(self._start) > len(self._none_needed):
                    self._begin_plan_line()

    def _leave_answer(self) -> None:
        if self._in_answer:
            self._in_answer = False
            self.end_line()

    def _begin_plan_line(self) -> None:
        start, self._start = self._parse.without_marker(self._start), ""
        if start.lower().startswith(self._none_needed.lower()):
            self._write(start)
        elif start:
            self._lines += 1
            self._write(_dim(f"  {self._lines}. ", sys.stdout) + start)

    def end_plan_line(self) -> None:
        if self._start:
            self._begin_plan_line()
        self.end_line()

    def subquestion(self, event: SubQuestion) -> None:
        if not self.live:
            print_line(f"  {event.number}. {safe(event.text)}")
            return
        self._leave_answer()
        self.end_plan_line()
        if event.number > self._lines:
            self._lines = event.number
            self._write(_dim(f"  {event.number}. ", sys.stdout) + safe(event.text))
            self.end_line()

    def answer_text(self, text: str) -> None:
        if not self._in_answer:
            self.end_plan_line()
            self._in_answer = True
            print_line("")
        self._write(safe(text))

    def subanswer(self, event: SubAnswer) -> None:
        """The answer of one sub-question: what was shown of it as it came is not shown again."""
        if self._in_answer:
            self._leave_answer()
            return
        self.end_plan_line()
        note = " (worked out here)" if event.worked_out else ""
        print_line(f"  {_dim(f'{event.number}:', sys.stdout)} {safe(event.text)}{_dim(note, sys.stdout)}")

    def finish(self, record: Record) -> None:
        if self._start:
            self.end_plan_line()
        if record.text and not self._in_answer:
            print_line(("\n" if record.subquestions else "") + safe(record.text))
        self.end_line()
        if record.subquestions == () and not record.text and not self.live:
            print_line(self._none_needed)
        if record.solver and record.solver.startswith("student:") and record.answer is not None:
            note("The answer comes from a small local model and is often wrong; --solver asks a capable one.")
        if record.error is None:
            note(summary(record))

    def end_line(self) -> None:
        if self._mid_line:
            print_line("")
            self._mid_line = False

    def _write(self, text: str) -> None:
        print_line(text, end="")
        self._mid_line = not text.endswith("\n")


def _dim(text: str, stream: TextIO) -> str:
    return f"\x1b[2m{text}\x1b[0m" if stream.isatty() and "NO_COLOR" not in os.environ else text
