"""The installed engines side by side: an answer from a cold start, plans/s, memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dnc_edge.bench.delivered import own_questions
from dnc_edge.bench.machine import machine, must_be_idle
from dnc_edge.bench.overhead import QUESTION
from dnc_edge.bench.speed import speed, student_target
from dnc_edge.engines.loading import installed, none_installed
from dnc_edge.errors import MissingError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.prompts import user_message


@dataclass(frozen=True)
class EngineRow:
    """A student on one engine, at the level that the engine takes by itself.

    Attributes:
        bytes: of all files.
        first_answer_seconds: of a whole `dnc-edge ask`, the interpreter's start included; median.
        figures: of `bench.speed.speed`.
    """

    engine: str
    level: str
    bytes: int
    first_answer_seconds: float
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class EnginesResult:
    """The installed engines, the preferred one first; `load` is how many cores other processes kept busy."""

    rows: tuple[EngineRow, ...]
    repeat: int
    busy: bool
    load: float | None
    machine: Mapping[str, Any]


def engines(
    student: str | None = None,
    *,
    threads: int | None = None,
    questions: int = 200,
    repeat: int = 5,
    busy: bool = False,
    progress: Progress = SILENT,
) -> EnginesResult:
    """Measure a student on each installed engine, at the level that the engine takes by itself.

    Args:
        student: see `Student.open`.
        threads: compute threads of all; None takes the default.
        questions: real ones to turn into plans.
        repeat: measurements of each figure; first answers are timed in turn.
        busy: measure although other processes run.
        progress: gets a note of what is being measured.

    Raises:
        EngineMissing: no engine is installed. MissingError: a measurement failed.
        UsageError: the machine is busy, and that was not allowed.
    """
    load = must_be_idle(busy)
    names = installed()
    if not names:
        raise none_installed()
    progress.note("measuring first answers")
    rounds = [[_first_answer(student, name) for name in names] for _ in range(repeat)]
    rows = []
    for name, seconds in zip(names, zip(*rounds, strict=True), strict=True):
        asked = [user_message(question.text, question.context) for question in own_questions(questions)]
        target = student_target(student, None, name, asked, role="decompose")
        made = speed(target, threads=threads, repeat=repeat, busy=True, peers=False, say=progress.note)
        rows.append(
            EngineRow(
                engine=name,
                level=target.level,
                bytes=sum(path.stat().st_size for path in target.files.values()),
                first_answer_seconds=round(statistics.median(seconds), 3),
                figures=made["figures"],
            )
        )
    return EnginesResult(tuple(rows), repeat, busy, load, machine())


def _first_answer(student: str | None, engine: str) -> float:
    """Return the seconds that `dnc-edge ask` takes, including the interpreter's start."""
    command = [sys.executable, "-m", "dnc_edge", "ask", "--engine", engine]
    command += ["--student", student] if student else []
    started = time.perf_counter()
    run = subprocess.run([*command, QUESTION], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MissingError(f"{engine} gave no answer: {last}")
    return time.perf_counter() - started


def table(result: EnginesResult) -> str:
    """Return the result as Markdown."""
    lines = [
        "| engine | level | MB | first answer from a cold start, s | plans/s | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for row in result.rows:
        rate = next(rates["median"] for name, rates in row.figures.items() if name.startswith("questions_per"))
        peak = row.figures["peak_memory_bytes"] / 1e6
        cells = (row.engine, row.level, f"{row.bytes / 1e6:.1f}", f"{row.first_answer_seconds:.2f}")
        lines.append(f"| {' | '.join(cells)} | {rate:.0f} | {peak:.0f} |")
    return "\n".join(lines)
