"""Records to JSONL, CSV, TSV or Parquet, gzip-compressed or not; a file appears whole, in the place of the old one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dnc_edge import files
from dnc_edge.batch.inputs import DELIMITERS, format_of
from dnc_edge.errors import ExtraMissing, InputError, UsageError
from dnc_edge.types import RECORD_FIELDS

ROWS = 1000


def check_format(path: Path) -> str:
    """An output's format by its name.

    Raises:
        UsageError: none that is written.
    """
    form = format_of(str(path))
    if form == "txt":
        raise UsageError(
            f"cannot write records to {path}", hint="name it .jsonl, .csv, .tsv or .parquet; with .gz all but .parquet"
        )
    return form


def write(path: Path, lines: Iterator[str]) -> None:
    """Write records, given as lines of JSON, and put the file in its place.

    Raises:
        InputError: it cannot be written; the old file is then as it was.
        ExtraMissing: pyarrow is not installed.
    """
    form = check_format(path)
    try:
        with files.writing(path) as file:
            if form == "parquet":
                _parquet(file, lines)
            else:
                _text(file, form, lines)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {files.reason(error)}",
            hint="every record is in the journal; run the same command again",
        ) from error


def _text(file: Any, form: str, lines: Iterator[str]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogatepass", newline="")
    if form in DELIMITERS:
        _csv(text, lines, DELIMITERS[form])
    else:
        text.writelines(f"{line}\n" for line in lines)
    text.flush()
    text.detach()  # the file below is closed by whoever opened it


def _csv(file: IO[str], lines: Iterator[str], delimiter: str) -> None:
    writer = csv.DictWriter(file, RECORD_FIELDS, extrasaction="ignore", delimiter=delimiter)
    writer.writeheader()
    writer.writerows(flat(json.loads(line)) for line in lines)


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record in one row: lists a line each, other nested values as JSON."""
    row = dict(record)
    for name, value in row.items():
        if name in ("subquestions", "subanswers") and isinstance(value, list):
            row[name] = "\n".join(value)
        elif isinstance(value, (dict, list)):
            row[name] = json.dumps(value, ensure_ascii=False)
    return row


def _parquet(file: IO[bytes], lines: Iterator[str]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ExtraMissing("pyarrow", "parquet") from error
    text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
    lists = pyarrow.list_(text)
    kinds = {"subquestions": lists, "subanswers": lists, "schema": whole, "repaired": whole}
    kinds |= dict.fromkeys(("plan_logprob", "plan_confidence", "cost_usd", "seconds"), number)
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in RECORD_FIELDS])
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        rows: list[dict[str, Any]] = []
        for line in lines:
            record = json.loads(line)
            rows.append(record | {name: json.dumps(record[name]) for name in ("usage", "error") if record.get(name)})
            if len(rows) == ROWS:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                rows.clear()
        writer.write_table(pyarrow.Table.from_pylist(rows, schema))
