"""A provider's batch service over HTTP: files up, batches, results down."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from dnc_edge.errors import SolverBadReply
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.events import loads

# Seconds that a file may take, up or down.
TRANSFER_SECONDS = 3600.0
# Batches that are looked through for one that was submitted already.
MOST_LISTED = 1000


class Service:
    """The files and batches endpoints of the address that an endpoint names.

    Every method raises SolverError if the provider refuses or cannot be reached.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def batches(self) -> Iterator[dict[str, Any]]:
        """Yield the batches that the provider knows, the latest first."""
        after: dict[str, str] = {}
        for _ in range(MOST_LISTED // 100):
            page = self._object("GET", "/batches", params={"limit": "100", **after})
            found = [batch for batch in page.get("data") or () if isinstance(batch, dict)]
            yield from found
            if not page.get("has_more") or not found:
                return
            after = {"after": str(found[-1].get("id"))}

    def submit(self, file: Path, digest: str) -> dict[str, Any]:
        """Upload a file of requests and start its batch, which carries the file's hash."""
        form: dict[str, Any] = {"files": {"file": (file.name, file.read_bytes())}, "data": {"purpose": "batch"}}
        uploaded = self._object("POST", "/files", **form)
        asked = {
            "input_file_id": uploaded.get("id"),
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"dnc_edge": digest},
        }
        return self._object("POST", "/batches", json=asked)

    def batch(self, id: str) -> dict[str, Any]:
        """Return how a batch stands."""
        return self._object("GET", f"/batches/{id}")

    def lines(self, file: str) -> Generator[dict[str, Any]]:
        """Yield the objects of a file of results; what is no object, or cut off, is left out."""
        rest: list[bytes] = []
        for piece in self.endpoint.call("GET", f"/files/{file}/content", seconds=TRANSFER_SECONDS, most=None):
            # Lines end at \n alone: text may hold every other character that could separate lines.
            *lines, last = piece.split(b"\n")
            for line in lines:
                yield from _objects(b"".join([*rest, line]))
                rest = []
            rest.append(last)
        yield from _objects(b"".join(rest))

    def _object(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        data = b"".join(self.endpoint.call(method, path, seconds=TRANSFER_SECONDS, **request))
        value = loads(data.decode("utf-8", "replace"))
        if not isinstance(value, dict):
            raise SolverBadReply(f"{self.endpoint.name}: {path} gave no JSON object; does it offer a batch service?")
        return value


def _objects(line: bytes) -> Iterator[dict[str, Any]]:
    value = loads(line.decode("utf-8", "replace"))
    if isinstance(value, dict):
        yield value
