"""Questions from JSONL, JSON, CSV, TSV, Parquet or plain text, compressed or not, each with the line it stands on."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dnc_edge import files
from dnc_edge.edge import check_question
from dnc_edge.errors import ExtraMissing, InputError, UsageError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.types import Question

DELIMITERS = {"csv": ",", "tsv": "\t"}
FORMATS = ("jsonl", *DELIMITERS, "parquet", "txt")
COLUMNS = ("question", "context", "id")
LONGEST_ID = 512


@dataclass(frozen=True)
class Row:
    """A row before its columns are read: values by name, where it stands, and what is wrong with its bytes."""

    where: str
    values: Any = None
    broken: InputError | None = None


def format_of(path: str, given: str | None = None) -> str:
    """A file's format by its name, or as given.

    Raises:
        UsageError: neither tells, or it is Parquet in gzip.
    """
    name = path.lower().removesuffix(".gz")
    found = given or next((form for form in FORMATS if name.endswith(f".{form}")), None)
    if found is None and name.endswith((".json", ".ndjson")):
        found = "jsonl"
    if found not in FORMATS:
        raise UsageError(f"cannot tell the format of {path}", hint=f"name it with --format: {', '.join(FORMATS)}")
    if found == "parquet" and path.lower().endswith(".gz"):
        raise UsageError(f"{path}: Parquet is compressed by itself", hint="name it .parquet")
    return found


def column_map(pairs: list[str], known: Sequence[str] = COLUMNS) -> dict[str, str]:
    """`question=prompt` and the like: our name to the file's.

    Raises:
        UsageError: a pair names no column of ours.
    """
    columns = {name: name for name in known}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if ours not in known or not equals or not theirs:
            raise UsageError(f"--column {pair!r}: write one of {', '.join(known)}, = and the file's name for it")
        columns[ours] = theirs
    return columns


def read(
    path: str,
    *,
    form: str | None = None,
    columns: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    progress: Progress = SILENT,
) -> Iterator[Question]:
    """Questions of a file, in order; "-" is stdin.

    Only the columns that are needed are read. Their names match whatever their case and the spaces around them.

    Args:
        path: the file.
        form: its format if the name does not tell; stdin is JSONL unless said otherwise.
        columns: our name to the file's, see `column_map`.
        skip_bad: skip rows that cannot be used instead of raising their error.
        progress: gets the error of each skipped row.

    Raises:
        InputError: the file or a row cannot be read; file and row are named.
    """
    form = format_of(path, form or ("jsonl" if path == "-" else None))
    columns = columns or column_map([])
    rows = _parquet(path, columns) if form == "parquet" else _text(path, form, columns)
    for row in rows:
        try:
            yield question(row, columns)
        except InputError as error:
            if not skip_bad:
                raise
            progress.skipped(error)


def question(row: Row, columns: Mapping[str, str]) -> Question:
    """The question of a row.

    Raises:
        InputError: it holds none that can be asked; the row is named.
    """
    if not isinstance(row.values, dict):
        if row.broken:
            raise row.broken
        raise InputError(f"{row.where}: not a JSON object", hint='write {"question": "..."} on each line')
    text, context, id = (_value(row.values, columns[name]) for name in COLUMNS)
    if text is None or (isinstance(text, str) and not text.strip()):
        have = ", ".join(map(str, list(row.values)[:8]))
        raise InputError(
            f"{row.where}: no text in {columns['question']!r}",
            hint=f"it has: {have}; name it with --column question=NAME",
        )
    for name, value in (("question", text), ("context", context)):
        if value is not None and not isinstance(value, str):
            raise InputError(f"{row.where}: {columns[name]!r} is no text")
    if isinstance(id, (dict, list)) or (isinstance(id, float) and not math.isfinite(id)):
        raise InputError(f"{row.where}: {columns['id']!r} is neither text nor a number that can be kept")
    id = None if id in (None, "") else str(id)
    if id is not None and len(id) > LONGEST_ID:
        raise InputError(f"{row.where}: the id has {len(id):,} characters; at most {LONGEST_ID} are kept")
    asked = Question(text.strip(), context or None, id)
    try:
        check_question(asked)
    except InputError as error:
        raise row.broken or InputError(f"{row.where}: {error.message}", hint=error.hint) from error
    return asked


def _value(values: Mapping[Any, Any], name: str) -> Any:
    """The value under a name, or under one that differs in case and outer spaces alone."""
    if name in values:
        return values[name]
    return next((values[key] for key in values if _folded(key) == _folded(name)), None)


def _folded(name: Any) -> str:
    return str(name).strip().casefold()


def _text(path: str, form: str, columns: Mapping[str, str]) -> Iterator[Row]:
    name = "stdin" if path == "-" else Path(path).name
    with _opened(path) as file:
        if form in DELIMITERS:
            yield from _csv(file, name, DELIMITERS[form], columns)
        elif form == "jsonl" and _first(file) == b"[":
            yield from _array(file, name)
        else:
            for number, line in files.numbered(file, name):
                row = _decoded(line, f"{name}, line {number}")
                if row.values is None or row.values.strip():
                    yield Row(row.where, {"question": row.values}, row.broken) if form == "txt" else _parsed(row)


def _decoded(line: bytes | None, where: str) -> Row:
    """A line as text. Bytes that are not UTF-8 stand in it as surrogates, which harm only in needed columns."""
    if line is None:
        return Row(where, None, InputError(f"{where}: longer than {files.LONGEST_LINE:,} bytes"))
    try:
        return Row(where, line.decode("utf-8"))
    except UnicodeDecodeError as error:
        broken = InputError(f"{where}: not UTF-8 (byte {error.start})", hint="convert the file with: iconv")
        return Row(where, line.decode("utf-8", errors="surrogateescape"), broken)


def _parsed(row: Row) -> Row:
    """A line of JSON."""
    if row.values is None:
        return row
    try:
        # Python refuses to convert integers of thousands of digits, which other columns may hold.
        return Row(row.where, json.loads(row.values, parse_int=_integer), row.broken)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        hint = "pass bad lines over with --skip-bad"
        return Row(row.where, None, InputError(f"{row.where}: not JSON ({reason})", hint=hint))


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= LONGEST_ID else math.inf


def _array(file: IO[bytes], name: str) -> Iterator[Row]:
    """A file that is one JSON list; it is read whole."""
    try:
        values = json.loads(file.read().decode("utf-8-sig", errors="surrogateescape"), parse_int=_integer)
    except (ValueError, RecursionError, OSError, EOFError) as error:
        raise InputError(
            f"{name}: not JSON ({error})", hint="write one JSON object a line, or a list of them"
        ) from error
    for number, value in enumerate(values if isinstance(values, list) else [values], start=1):
        yield Row(f"{name}, item {number}", value)


def _csv(file: IO[bytes], name: str, delimiter: str, columns: Mapping[str, str]) -> Iterator[Row]:
    # A wide column that nobody needs is no reason to stop.
    csv.field_size_limit(files.LONGEST_LINE)
    broken: InputError | None = None
    count = 0

    def text() -> Iterator[str]:
        nonlocal count, broken
        for count, line in files.numbered(file, name):
            row = _decoded(line, f"{name}, line {count}")
            broken = broken or row.broken
            yield (row.values or "") + "\n"

    lines = text()
    first = next(lines, "")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
        delimiter, first = first.strip()[4], next(lines, "")
    elif delimiter not in first:
        delimiter = next((other for other in ";\t|" if other in first), delimiter)
    reader = csv.reader(_chained(first, lines), strict=True, delimiter=delimiter)
    header = _csv_row(reader)
    if isinstance(header, csv.Error):
        raise InputError(f"{name}, line 1: not CSV ({header})") from header
    if header is None:
        return
    _check_columns(header, columns, name)
    while True:
        start, broken = count + 1, None
        row = _csv_row(reader)
        if row is None:
            return
        where = f"{name}, line {start}"
        if isinstance(row, csv.Error):
            yield Row(where, None, InputError(f"{where}: not CSV ({row})", hint="pass bad lines over with --skip-bad"))
        elif len(row) > len(header):
            yield Row(where, None, InputError(f"{where}: more fields than the header has"))
        elif row:
            yield Row(where, dict(zip(header, row, strict=False)), broken)


def _chained(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _csv_row(reader: Any) -> list[str] | csv.Error | None:
    """The next row, what is wrong with it, or None at the end."""
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error as error:
        return error
    return row


def _check_columns(header: Sequence[str], columns: Mapping[str, str], name: str) -> None:
    """Refuse a header without questions, or with two columns of one name that is needed."""
    for ours, theirs in columns.items():
        found = sum(_folded(column) == _folded(theirs) for column in header)
        if theirs not in header and found == 0 and ours == "question":
            raise InputError(
                f"{name}: no column {theirs!r}",
                hint=f"it has: {', '.join(header[:8])}; name it with --column question=NAME",
            )
        if found > 1 and header.count(theirs) != 1:
            raise InputError(f"{name}: {found} columns are called {theirs!r}", hint="rename one of them")


@contextlib.contextmanager
def _opened(path: str) -> Generator[IO[bytes]]:
    if path != "-":
        with files.opened(path) as file:
            yield file
        return
    if sys.stdin is None:
        raise InputError("cannot read stdin: it is closed", hint="name a file")
    with files.decompressed(sys.stdin.buffer) as file:  # type: ignore[arg-type]
        yield file


def _first(file: IO[bytes]) -> bytes:
    """The first byte that is no white space, without taking it."""
    try:
        return file.peek(4096)[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]  # type: ignore[attr-defined,no-any-return]
    except (OSError, EOFError):
        return b""  # whoever reads it will say what is wrong


def _parquet(path: str, columns: Mapping[str, str]) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ExtraMissing("pyarrow", "parquet") from error
    name = Path(path).name
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            header = file.schema_arrow.names
            _check_columns(header, columns, name)
            needed = [column for column in header if _folded(column) in map(_folded, columns.values())]
            for batch in file.iter_batches(batch_size=1000, columns=needed):
                values = {column: _texts(batch.column(column)) for column in needed}
                for index in range(batch.num_rows):
                    number += 1
                    yield Row(f"{name}, row {number}", {column: values[column][index] for column in needed})
    except (OSError, pyarrow.ArrowException) as error:
        first = (str(error).splitlines() or ["unreadable"])[0]
        raise InputError(f"cannot read {path}: {first}") from error


def _texts(array: Any) -> list[Any]:
    """A column's values; dates and times as text, for Python's own hold fewer of them."""
    import pyarrow

    if pyarrow.types.is_temporal(array.type):
        array = array.cast(pyarrow.string())
    values: list[Any] = array.to_pylist()
    return values
