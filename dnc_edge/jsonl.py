"""Files of one JSON object a line, plain or gzipped: read so that a broken line can be named."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from dnc_edge.errors import InputError


def lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """(its place, as errors name it, the line) for every line of a file that is not blank.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        raw = path.read_bytes()
        whole = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"cannot read {path}: {reason}") from error
    for number, line in enumerate(whole.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line
