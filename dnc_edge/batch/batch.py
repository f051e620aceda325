"""Run a file of questions: what is done already is kept, what is paid for is written before it is counted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from dnc_edge import files
from dnc_edge.batch import outputs
from dnc_edge.batch.ledger import Ledger
from dnc_edge.batch.passages import leaders_first
from dnc_edge.batch.records import records
from dnc_edge.edge import Edge
from dnc_edge.errors import DncError, InputError, RecordsFailed, UsageError
from dnc_edge.journal import Journal, Reader
from dnc_edge.pipeline import Pipeline
from dnc_edge.progress import SILENT, Progress, RunStatus
from dnc_edge.types import Question, Record

# What every journal of records begins with.
OPENING = b'{"schema": '


def batch(
    questions: Iterable[Question],
    out: Path | None,
    edge: Edge,
    *,
    solve: bool = True,
    jobs: int = 8,
    retry_failed: bool = False,
    in_input_order: bool = True,
    progress: Progress = SILENT,
) -> RunStatus:
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
        progress: gets the counts at the start and after each record, and each record as it is finished.

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
        status = RunStatus(ledger.total, ledger.repeated)
        if journal:
            status.before = ledger.enter(journal)
        paid = edge.gate.spent if edge.gate else 0.0
        failure: BaseException | None = None
        pipeline = edge.pipeline(solve=solve)
        progress.run(status)
        # A provider has a passage in its cache once a request with it is answered.
        todo = leaders_first(_todo(ledger, pipeline, status, retry_failed=retry_failed), ahead=jobs)
        try:
            for record in records(todo, pipeline, jobs=jobs):
                if journal:
                    place = journal.append(record.to_json())
                    ledger.put(record.id, record.key, place, failed=record.error is not None)
                progress.record(record)
                edge.log(record)
                _count(status, record, edge.gate.spent - paid if edge.gate else 0.0)
                progress.run(status)
        except (DncError, KeyboardInterrupt) as error:
            failure = error
        failed = status.failed
        if journal and out:
            journal.sync()
            failed = _write(out, ledger, in_input_order=in_input_order)
        if failure:
            raise failure
    if failed:
        raise RecordsFailed(f"{failed} of {status.total} questions failed", hint="ask them again with --retry-failed")
    return status


def journal_path(out: Path) -> Path:
    return out.with_name(out.name + ".journal")


def store_path(out: Path) -> Path:
    return out.with_name(out.name + ".replies")


def purse_path(out: Path) -> Path:
    return out.with_name(out.name + ".spent")


def _todo(ledger: Ledger, pipeline: Pipeline, status: RunStatus, *, retry_failed: bool) -> Iterator[Question]:
    for question in ledger.questions():
        done = ledger.done(question.id or "")
        if done and done.key == pipeline.key(question) and not (done.failed and retry_failed):
            status.kept += 1
        else:
            yield question


def _count(status: RunStatus, record: Record, paid: float) -> None:
    status.done += 1
    status.failed += record.error is not None
    status.output_tokens += sum(usage.output_tokens for usage in record.usage.values())
    if status.spent is not None:
        status.spent = None if record.cost_usd is None else max(status.spent + record.cost_usd, paid)


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
