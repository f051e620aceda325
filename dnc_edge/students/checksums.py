"""Checksums of a student's files: recorded when a file is made, verified before it is read."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from dnc_edge.errors import StudentError
from dnc_edge.files import sha256_of
from dnc_edge.students.manifest import WeightFile
from dnc_edge.students.measured import Measured


def recorded(path: Path, engine: str, level: str, part: str = "model", measured: Measured | None = None) -> WeightFile:
    """Return the manifest's entry for a file, with its checksum and size; see `WeightFile`."""
    return WeightFile(path.name, engine, level, sha256_of(path), path.stat().st_size, part, measured)


class Verification:
    """Compares a weight file with its checksum in a thread of its own; `path` waits for the result."""

    def __init__(self, directory: Path, weights: WeightFile) -> None:
        self._path = directory / weights.file
        self._weights = weights
        self._holds = False
        self._thread = threading.Thread(target=self._compare, daemon=True)
        self._thread.start()

    def _compare(self) -> None:
        with contextlib.suppress(OSError):
            same_size = self._path.stat().st_size == self._weights.bytes
            self._holds = same_size and sha256_of(self._path) == self._weights.sha256

    def path(self) -> Path:
        """Return the file's path once its checksum is verified.

        Raises:
            StudentError: the file is missing, or is not the one that the manifest describes.
        """
        self._thread.join()
        if not self._path.is_file():
            raise StudentError(f"student file {self._path} is missing", hint="convert or pull the student again")
        if not self._holds:
            raise StudentError(
                f"student file {self._path} is not the one its manifest describes (checksum differs)",
                hint="it is damaged or was replaced; convert or pull the student again",
            )
        return self._path
