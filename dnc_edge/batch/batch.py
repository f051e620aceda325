"""Run a file of questions: what is done already is kept, what is paid for is written before it is counted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnc_edge import files
from dnc_edge.batch import outputs
from dnc_edge.batch.ledger import Ledger
from dnc_edge.batch.records import records
from dnc_edge.edge import Edge
from dnc_edge.errors import DncError, InputError, RecordsFailed, UsageError
from dnc_edge.journal import Journal, Reader
from dnc_edge.pipeline import Pipeline
from dnc_edge.types import Question, Record

# What every journal of records begins with.
OPENING = b'{"schema": '


@dataclass
class Progress:
    """How a run stands.

    Attributes:
        total: questions; repeated: rows that hold one that was there already, and share its record.
        spent: dollars of this run, with replies whose question is not finished; before: of earlier runs. None if
            the cost of a record is not known.
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
        """Questions a second."""
        return self.done / self.seconds if self.done else 0.0

    @property
    def seconds_left(self) -> float | None:
        return self.left / self.rate if self.rate else None

    @property
    def expected(self) -> float | None:
        """Dollars for all, by what the questions so far cost; None where that cannot be told."""
        if self.spent is None or self.before is None or not self.done:
            return None
        return self.before + self.spent * (self.done + self.left) / self.done

    @property
    def cost(self) -> float | None:
        """Dollars of all runs so far; None if that is not known."""
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


def batch(
    questions: Iterable[Question],
    out: Path | None,
    edge: Edge,
    *,
    solve: bool = True,
    jobs: int = 8,
    retry_failed: bool = False,
    in_input_order: bool = True,
    tell: Callable[[Progress], None] = lambda _: None,
    emit: Callable[[str], None] = lambda _: None,
) -> Progress:
    """Plan, and with `solve` answer, every question; write the records to `out`.

    A record goes to the journal beside `out` (its name and `.journal`) the moment it is there. Run again with
    the same arguments, only questions without a record, or with one of another key, are asked.

    Args:
        questions: read whole before anything is asked.
        out: .jsonl, .csv or .parquet, with .gz if wished; None writes no file, and keeps no journal.
        edge: decomposer, solver and their settings.
        jobs: questions that are being solved at a time.
        retry_failed: ask questions again whose record holds an error.
        in_input_order: else as finished.
        tell: told how the run stands, after every record.
        emit: given every record as a line of JSON, as it is finished.

    Returns:
        how the run ended, where all questions have a record without an error.

    Raises:
        RecordsFailed: some records hold an error. BudgetReached, SolverError: the run ended early.
        InputError: a question, or the output, cannot be used.
        UsageError: another process writes to the output.
    """
    ledger = Ledger()
    with contextlib.ExitStack() as stack:
        stack.callback(ledger.close)
        journal = None
        if out is not None:
            outputs.check_format(out)
            journal = stack.enter_context(Journal(journal_path(out), opening=OPENING))
        ledger.ask(questions)
        progress = Progress(ledger.total, ledger.repeated)
        if journal:
            progress.before = ledger.enter(journal)
        paid = edge.gate.spent if edge.gate else 0.0
        failure: BaseException | None = None
        pipeline = edge.pipeline(solve=solve)
        tell(progress)
        todo = _todo(ledger, pipeline, progress, retry_failed=retry_failed)
        try:
            for record in records(todo, pipeline, jobs=jobs):
                line = record.to_json()
                if journal:
                    place = journal.append(line)
                    ledger.put(record.id, record.key, place, failed=record.error is not None)
                emit(line)
                edge.log(record)
                _count(progress, record, edge.gate.spent - paid if edge.gate else 0.0)
                tell(progress)
        except (DncError, KeyboardInterrupt) as error:
            failure = error
        failed = progress.failed
        if journal and out:
            journal.sync()
            failed = _write(out, ledger, in_input_order=in_input_order)
        if failure:
            raise failure
    if failed:
        raise RecordsFailed(f"{failed} of {progress.total} questions failed", hint="ask them again with --retry-failed")
    return progress


def journal_path(out: Path) -> Path:
    return out.with_name(out.name + ".journal")


def store_path(out: Path) -> Path:
    return out.with_name(out.name + ".replies")


def purse_path(out: Path) -> Path:
    return out.with_name(out.name + ".spent")


def _todo(ledger: Ledger, pipeline: Pipeline, progress: Progress, *, retry_failed: bool) -> Iterator[Question]:
    for question in ledger.questions():
        done = ledger.done(question.id or "")
        if done and done.key == pipeline.key(question) and not (done.failed and retry_failed):
            progress.kept += 1
        else:
            yield question


def _count(progress: Progress, record: Record, paid: float) -> None:
    progress.done += 1
    progress.failed += record.error is not None
    progress.output_tokens += sum(usage.output_tokens for usage in record.usage.values())
    if progress.spent is not None:
        progress.spent = None if record.cost_usd is None else max(progress.spent + record.cost_usd, paid)


def _write(out: Path, ledger: Ledger, *, in_input_order: bool) -> int:
    """The output from the journal; returns how many records hold an error."""
    reader, failed = Reader(journal_path(out)), 0

    def lines() -> Iterator[str]:
        nonlocal failed
        for place, error in ledger.places(in_input_order=in_input_order):
            failed += error
            yield reader.line(place)

    try:
        outputs.write(out, lines())
    finally:
        reader.close()
    return failed


def check_paths(source: str, out: Path | None) -> None:
    """Refuse an output that is the input, before anything is read.

    Raises:
        UsageError, InputError: they are the same file, or the output cannot be a file there.
    """
    if out is None:
        return
    try:
        if source != "-" and Path(source).exists() and out.exists() and Path(source).samefile(out):
            raise UsageError(f"{out} is the input too", hint="choose another output")
        if not out.parent.is_dir():
            raise InputError(f"cannot write {out}: there is no folder {out.parent}")
        if out.is_dir():
            raise InputError(f"cannot write {out}: it is a folder")
        # The files beside the output have longer names, which may be too long.
        for beside in (journal_path(out), store_path(out), purse_path(out)):
            beside.exists()
    except OSError as error:
        raise InputError(f"cannot write {out}: {files.reason(error)}", hint="choose another output") from error
