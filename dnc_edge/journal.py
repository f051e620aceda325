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

    Args:
        path: the file; it is made if it is not there.
        opening: what such a file begins with; one that begins otherwise is left as it is.
        clock: injectable.

    Raises:
        UsageError: another process writes to it.
        InputError: it cannot be opened, or is another kind of file.
    """

    def __init__(self, path: Path, *, opening: bytes = b"{", clock: Callable[[], float] = time.monotonic) -> None:
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
        self._synced = clock()
        try:
            self._recognise(opening)
            self._drop_a_cut_line()
        except BaseException:
            os.close(self._file)
            raise

    def _recognise(self, opening: bytes) -> None:
        found = os.pread(self._file, len(opening), 0)
        if not opening.startswith(found):
            raise InputError(
                f"{self.path} is not a file that dnc-edge has written; it is left as it is",
                hint="move it away, or choose another output",
            )

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
            raise self._cannot_write(error) from error
        return place

    def sync(self) -> None:
        """Have the disk hold what was written.

        Raises:
            InputError: it cannot.
        """
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._cannot_write(error) from error
        self._synced = self._clock()

    def _cannot_write(self, error: OSError) -> InputError:
        return InputError(
            f"cannot write {self.path}: {error.strerror}",
            hint="everything finished is kept; make room and run the same command again",
        )

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(place, record) of every line, oldest first.

        Raises:
            InputError: a line is no JSON object.
        """
        place = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    values = json.loads(line)
                    if not isinstance(values, dict):
                        raise ValueError("not an object")
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"{self.path}, line {number} is unreadable",
                        hint="repair or delete that line, or move the file away to begin anew",
                    ) from error
                yield place, values
                place += len(line)

    def close(self) -> None:
        """Sync and close; calling it twice is harmless. Raises as `sync` does, closed nevertheless."""
        if self._file >= 0:
            try:
                self.sync()
            finally:
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
