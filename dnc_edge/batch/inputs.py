"""Questions from JSONL, CSV, Parquet or plain text, gzip-compressed or not, each with the line it stands on."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from dnc_edge.edge import check_question
from dnc_edge.errors import ExtraMissing, InputError, UsageError
from dnc_edge.types import Question

FORMATS = ("jsonl", "csv", "parquet", "txt")
COLUMNS = ("question", "context", "id")
# Longer lines are not read: no question is, and memory stays bounded.
LONGEST_LINE = 4_000_000


def format_of(path: str, given: str | None = None) -> str:
    """A file's format by its name, or as given.

    Raises:
        UsageError: neither tells.
    """
    name = path.removesuffix(".gz").lower()
    found = given or next((form for form in FORMATS if name.endswith(f".{form}")), None)
    if found is None and name.endswith((".json", ".ndjson")):
        found = "jsonl"
    if found not in FORMATS:
        raise UsageError(f"cannot tell the format of {path}", hint=f"name it with --format: {', '.join(FORMATS)}")
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
    bad: Callable[[InputError], None] | None = None,
) -> Iterator[Question]:
    """Questions of a file, in order; "-" is stdin.

    Args:
        path: the file.
        form: its format where the name does not tell; stdin is JSONL unless said otherwise.
        columns: our name to the file's, see `column_map`.
        bad: told of a line that cannot be used, which is then passed over; None raises it.

    Raises:
        InputError: the file or a line cannot be read; file and line are named.
    """
    form = format_of(path, form or ("jsonl" if path == "-" else None))
    columns = columns or column_map([])
    rows = _parquet(path) if form == "parquet" else _text(path, form)
    for where, row in rows:
        try:
            yield _question(row, columns, where)
        except InputError as error:
            if bad is None:
                raise
            bad(error)


def _question(row: Any, columns: Mapping[str, str], where: str) -> Question:
    if isinstance(row, InputError):
        raise row
    if not isinstance(row, dict):
        raise InputError(f"{where}: not a JSON object", hint='write {"question": "..."} on each line')
    text = row.get(columns["question"])
    if not isinstance(text, str) or not text.strip():
        have = ", ".join(map(str, list(row)[:8]))
        raise InputError(
            f"{where}: no text in {columns['question']!r}", hint=f"it has: {have}; name it with --column question=NAME"
        )
    context, id = row.get(columns["context"]), row.get(columns["id"])
    if context is not None and not isinstance(context, str):
        raise InputError(f"{where}: {columns['context']!r} is no text")
    question = Question(text.strip(), context or None, None if id in (None, "") else str(id))
    try:
        check_question(question)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", hint=error.hint) from error
    return question


def _text(path: str, form: str) -> Iterator[tuple[str, Any]]:
    name = "stdin" if path == "-" else Path(path).name
    with _opened(path) as file:
        lines = _lines(file, name)
        if form == "csv":
            yield from _csv(lines, name)
            return
        for number, line in lines:
            where = f"{name}, line {number}"
            if isinstance(line, InputError):
                yield where, line
            elif form == "txt":
                if line.strip():
                    yield where, {"question": line}
            elif line.strip():
                try:
                    yield where, json.loads(line)
                except (json.JSONDecodeError, RecursionError) as error:
                    reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
                    yield where, InputError(f"{where}: not JSON ({reason})", hint="pass bad lines over with --skip-bad")


def _csv(lines: Iterator[tuple[int, Any]], name: str) -> Iterator[tuple[str, Any]]:
    count = 0

    def text() -> Iterator[str]:
        nonlocal count
        for number, line in lines:
            count = number
            if isinstance(line, InputError):
                raise line
            yield line + "\n"

    reader = csv.DictReader(text(), strict=True)
    try:
        for row in reader:
            where = f"{name}, line {count}"
            if None in row:
                yield where, InputError(f"{where}: more fields than the header has")
            else:
                yield where, row
    except csv.Error as error:
        raise InputError(f"{name}, line {count}: not CSV ({error})") from error


def _lines(file: IO[bytes], name: str) -> Iterator[tuple[int, Any]]:
    """Numbered lines without their ends; one that is not UTF-8 or far too long is an InputError in its place."""
    number = 0
    try:
        while raw := file.readline(LONGEST_LINE):
            number += 1
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                while (more := file.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                    pass
                yield number, InputError(f"{name}, line {number}: longer than {LONGEST_LINE:,} bytes")
                continue
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                yield number, raw.rstrip(b"\r\n").decode("utf-8")
            except UnicodeDecodeError as error:
                yield (
                    number,
                    InputError(
                        f"{name}, line {number}: not UTF-8 (byte {error.start})", hint="convert the file with: iconv"
                    ),
                )
    except (OSError, EOFError) as error:
        raise InputError(f"{name}, after line {number}: cannot be read ({error})") from error


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file: Any = gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    with file, io.BufferedReader(file) as buffered:
        yield buffered


def _parquet(path: str) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ExtraMissing("pyarrow", "parquet") from error
    name = Path(path).name
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{name}, row {number}", row
    except (OSError, pyarrow.ArrowException) as error:
        first = (str(error).splitlines() or ["unreadable"])[0]
        raise InputError(f"cannot read {path}: {first}") from error
