"""Files: lines that can be named when they are broken, outputs that appear whole, checksums."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import stat
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

from dnc_edge.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
# Longer lines are not read: no record is, and memory stays bounded.
LONGEST_LINE = 4_000_000
# File names may have 255 bytes; a temporary file's name adds some.
LONGEST_NAME = 200


def reason(error: Exception) -> str:
    """What went wrong, without the path that the message names already."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


@contextlib.contextmanager
def opened(path: Path | str) -> Generator[IO[bytes]]:
    """A file's bytes, decompressed if they are gzip, whatever the file is called.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        file = Path(path).open("rb")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from error
    with file, decompressed(file) as whole:
        yield whole


@contextlib.contextmanager
def decompressed(file: io.BufferedReader) -> Generator[IO[bytes]]:
    """A stream's bytes, decompressed if they are gzip."""
    try:
        packed = file.peek(2)[:2] == GZIP_MAGIC
    except OSError as error:  # a folder
        raise InputError(f"cannot read {file.name}: {reason(error)}") from error
    if packed:
        with gzip.GzipFile(fileobj=file) as unpacked, io.BufferedReader(unpacked) as buffered:
            yield buffered
    else:
        yield file


def numbered(file: IO[bytes], name: str) -> Iterator[tuple[int, bytes | None]]:
    """(number, line without its end) of every line, split at newlines alone; None for one that is far too long.

    Raises:
        InputError: the file cannot be read to its end.
    """
    number = 0
    try:
        while line := file.readline(LONGEST_LINE):
            number += 1
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                while (more := file.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                    pass
                yield number, None
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            yield number, line.rstrip(b"\r\n")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}, after line {number}: cannot be read ({reason(error)})") from error


def lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """(its place, as errors name it, the line) for every line of a file that is not blank.

    Raises:
        InputError: the file cannot be read, or a line is far too long.
    """
    with opened(path) as file:
        for number, line in numbered(file, str(path)):
            if line is None:
                raise InputError(f"{path}, line {number}: longer than {LONGEST_LINE:,} bytes")
            if line.strip():
                yield f"{path}, line {number}", line


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(its place, the object) for every line of a file of JSON objects.

    Raises:
        InputError: the file cannot be read, or a line is no JSON object.
    """
    for where, line in lines(path):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON ({error})") from error
        if not isinstance(value, dict):
            raise InputError(f"{where}: not a JSON object")
        yield where, value


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A path beside `path` to write to; what is there at the end takes the place of `path`, on an error nothing does.

    A link stays a link, and its target is replaced; a file that was there keeps its mode; what is no file (a device,
    a pipe) is written to as it is.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    partial = target.with_name(f".{target.name[:LONGEST_NAME]}.partial")
    try:
        yield partial
        with contextlib.suppress(FileNotFoundError):
            partial.chmod(stat.S_IMODE(target.stat().st_mode))
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def writing(path: Path) -> Generator[IO[bytes]]:
    """A file that appears whole when all of it is on the disk, see `replacing`; compressed where its name ends in .gz.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as partial, partial.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield raw
        raw.flush()
        with contextlib.suppress(OSError):  # a pipe cannot be synced
            os.fsync(raw.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with writing(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8") + b"\n")


def sha256_of(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
