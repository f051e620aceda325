"""A Hugging Face hub on loopback: the few addresses that huggingface_hub asks to fetch files."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves folders as repositories; use it in a `with`.

    Args:
        repositories: folder by OWNER/NAME; None for a gated one.
        cut: break off each file after so many bytes, once; None sends all.
    """

    daemon_threads = True

    def __init__(self, repositories: dict[str, Path | None], *, cut: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories, self.cut = repositories, cut
        self.sent: list[tuple[str, int]] = []

    def __enter__(self) -> Hub:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        parts = unquote(self.path).split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            parts = parts[2:]
        elif parts[0] == "datasets":
            parts = parts[1:]
        repository = "/".join(parts[:2])
        if repository not in self.server.repositories:
            return self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        folder = self.server.repositories[repository]
        if folder is None:
            return self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        revision = parts[3] if len(parts) > 3 else "main"
        if revision not in ("main", COMMIT):
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        if "resolve" not in parts:
            listing = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": f.name} for f in folder.iterdir()]}
            return self._send(200, json.dumps(listing).encode(), {"Content-Type": "application/json"})
        file = folder / parts[-1]
        if not file.is_file():
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        data = file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = int(self.headers["Range"].removeprefix("bytes=").split("-")[0]) if "Range" in self.headers else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if not body:
            return self._send(200, b"", headers, length=len(data))
        self.server.sent.append((file.name, start))
        part = data[start:]
        cut = self.server.cut
        if cut is not None and len(part) > cut:
            self.server.cut = None
            self._send(206 if start else 200, part[:cut], headers, length=len(part))
            self.wfile.flush()
            self.connection.close()
            return None
        return self._send(206 if start else 200, part, headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)
