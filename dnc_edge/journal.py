"""An append-only file of records that survives a kill, and the one run that may write to it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dnc_edge.errors import InputError, UsageError

# Seconds between two syncs to the disk: what a power cut may take. A kill takes nothing.
SYNC_SECONDS = 1.0


class Journal:
    """Lines of JSON beside an output. Open it in a `with`; one process at a time.

    Every record goes out in one write, so a line is whole or, at the very end of the file, cut off; a cut one
    is dropped when the journal is opened again.

    Raises:
        UsageError: another process writes to it.
        InputError: it cannot be opened.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}", hint="choose another output") from error
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise UsageError(
                f"another process is writing {path}", hint="wait for it, or choose another output"
            ) from error
        self._drop_a_cut_line()
        self._synced = clock()

    def _drop_a_cut_line(self) -> None:
        size = os.fstat(self._file).st_size
        end = size
        while end:
            start = max(0, end - 65_536)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, line: str) -> int:
        """Write one line; returns the place where it begins.

        Raises:
            InputError: it cannot be written; everything before it is kept.
        """
        data = line.encode("utf-8", errors="surrogatepass") + b"\n"
        place = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, data)
            if written < len(data):
                os.ftruncate(self._file, place)
                raise OSError(28, "No space left on device")
            if self._clock() - self._synced >= SYNC_SECONDS:
                self.sync()
        except OSError as error:
            raise InputError(
                f"cannot write {self.path}: {error.strerror}",
                hint="everything finished is kept; make room and run the same command again",
            ) from error
        return place

    def sync(self) -> None:
        os.fsync(self._file)
        self._synced = self._clock()

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(place, record) of every line that is JSON, oldest first."""
        place = 0
        with self.path.open("rb") as file:
            for line in file:
                try:
                    values = json.loads(line)
                except ValueError:
                    values = None
                if isinstance(values, dict):
                    yield place, values
                place += len(line)

    def close(self) -> None:
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1


class Reader:
    """Lines of a journal by their place."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def line(self, place: int) -> str:
        self._file.seek(place)
        return self._file.readline().decode("utf-8", errors="surrogatepass").rstrip("\n")

    def close(self) -> None:
        self._file.close()
