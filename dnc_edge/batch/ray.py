"""The same run on Ray Data: a pool of actors, each with its own engine, on one machine or many.

Ray reads the questions and writes the records; nothing here moves them. The output is a folder of JSON
lines. Run again, questions whose record is there (same id, same key, no error) are not asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dnc_edge import files
from dnc_edge.batch import inputs
from dnc_edge.edge import Edge
from dnc_edge.errors import ExtraMissing, InputError, UsageError
from dnc_edge.pipeline import question_id
from dnc_edge.types import Question

# Questions that an actor takes at once: enough to keep its slots full.
ROWS = 64
# Reading and writing take next to nothing; asking for whole cores they would wait for the actors for ever.
LIGHT = 0.1


class Worker:
    """One actor: its own decomposer and solver, made once.

    Args:
        settings: of `Edge`. columns: our name to the file's. solve: answer too.
        jobs: questions being solved at a time. done: keys by id of what has a record.
    """

    def __init__(
        self, settings: Mapping[str, Any], columns: Mapping[str, str], solve: bool, jobs: int, done: Mapping[str, str]
    ) -> None:
        self.edge = Edge(**settings)
        self.columns, self.solve, self.jobs, self.done = columns, solve, jobs, done
        self.pipeline = self.edge.pipeline(solve=solve)

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[str]]:
        from dnc_edge.batch.records import records

        made = list(records(self._questions(rows), self.edge.pipeline(solve=self.solve), jobs=self.jobs))
        return {"id": [record.id for record in made], "record": [record.to_json() for record in made]}

    def _questions(self, rows: dict[str, Any]) -> Iterator[Question]:
        """What of a batch of rows is still to be asked."""
        names = [name for name in self.columns.values() if name in rows]
        for values in zip(*(rows[name] for name in names), strict=True):
            row = inputs.Row("a row", dict(zip(names, map(_plain, values), strict=True)))
            question = inputs.question(row, self.columns)
            question = Question(question.text, question.context, question.id or question_id(question))
            if self.done.get(question.id or "") != self.pipeline.key(question):
                yield question


def _plain(value: Any) -> Any:
    """A value of numpy as Python's own; what is missing from a column of numbers is None."""
    value = value.item() if hasattr(value, "item") else value
    return None if value != value else value


def ray_batch(
    source: str,
    out: Path,
    settings: Mapping[str, Any],
    *,
    columns: Mapping[str, str],
    solve: bool = True,
    jobs: int = 8,
    workers: int = 2,
) -> int:
    """Run a file of questions on a Ray cluster: the one that RAY_ADDRESS names, or this machine.

    Args:
        source: JSONL, CSV or Parquet, or a folder of them, wherever Ray reads.
        out: folder of the records, on a disk that this process reads too.
        settings: of `Edge`, the same for every actor.
        columns: our name to the file's.
        solve: answer too, else plans alone.
        jobs: questions being solved at a time, in each actor.
        workers: actors; each takes a core.

    Returns:
        how many records this run made.

    Raises:
        UsageError: the format is none that Ray reads here. InputError: the input has no such column, or a row of it
            is no question; Ray does not tell which, `batch` without it does.
        ExtraMissing: ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ExtraMissing("ray", "ray") from error
    readers = {"jsonl": ray.data.read_json, "csv": ray.data.read_csv, "parquet": ray.data.read_parquet}
    form = inputs.format_of(source)
    if form not in readers:
        raise UsageError(f"Ray does not read {source}", hint="take JSONL, CSV or Parquet")
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    options = {"lines": True} if form == "jsonl" else {}
    data = readers[form](source, num_cpus=LIGHT, **options)
    names = data.columns() or []
    if columns["question"] not in names:
        raise InputError(f"{source} has no column {columns['question']!r}", hint=f"it has: {', '.join(names)}")
    done = finished(out)
    out.mkdir(parents=True, exist_ok=True)
    made = data.map_batches(
        Worker,
        fn_constructor_args=(dict(settings), dict(columns), solve, jobs, done),
        batch_size=ROWS,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1 - LIGHT,
    )
    try:
        made.write_json(str(out), ray_remote_args={"num_cpus": LIGHT})
    except ray.exceptions.RayTaskError as error:
        # What a worker raised on purpose is one line here too; Ray passes its text on, not the error.
        if raised := re.findall(r"dnc_edge\.errors\.\w+: (.+)", str(error)):
            raise InputError(raised[0]) from error
        raise
    return len(finished(out)) - len(done)


def finished(out: Path) -> dict[str, str]:
    """Key by id of the records without an error that a folder holds."""
    done: dict[str, str] = {}
    for record in written(out):
        if not record["error"]:
            done[record["id"]] = record["key"]
    return done


def written(out: Path) -> Iterator[dict[str, Any]]:
    """All records of a folder; a later run's come after an earlier one's."""
    for path in sorted(out.glob("*.json"), key=lambda path: path.stat().st_mtime_ns) if out.is_dir() else ():
        for where, row in files.objects(path):
            try:
                values: dict[str, Any] = json.loads(row["record"])
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{where}: not a record of the ray runner", hint="choose another folder") from error
            yield values
