"""Complete replies by the request as sent, those that are no answer too: the same request is never bought twice."""

from __future__ import annotations

import json
import sqlite3
import threading
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from dnc_edge.errors import SolverError
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.protocol import Chat, Messages
from dnc_edge.remote.reply import Reply
from dnc_edge.types import Usage, record_key


class Store:
    """A SQLite file of replies; from any thread.

    A run does not depend on it: if the file is damaged or cannot be written, a warning says so once, and requests are
    sent as if nothing was kept.

    Args:
        path: the file; it is made if it is not there.
        retry_failed: do not give out replies that are no answer: they are asked for again.

    Attributes:
        hits: how many replies were given out.
    """

    def __init__(self, path: Path, *, retry_failed: bool = False) -> None:
        self.path = path
        self.retry_failed = retry_failed
        self.hits = 0
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._usable = True

    def get(self, request: str) -> Reply | SolverError | None:
        """Return what a request was answered; an error is a complete reply that is no answer."""
        row = self._execute("SELECT reply FROM replies WHERE request = ?", request)
        found = _read(row[0]) if row else None
        if found is None or (self.retry_failed and isinstance(found, SolverError)):
            return None
        self.hits += 1
        return found

    def put(self, request: str, reply: Reply | SolverError) -> None:
        """Keep what a request was answered."""
        self._execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", request, _written(reply))

    def _execute(self, statement: str, *values: str) -> tuple[str] | None:
        """Run a statement on the file, which is made when it is first needed; its first row, if any."""
        with self._lock:
            try:
                if self._usable and self._database is None:
                    self._database = self._connect()
                return self._database.execute(statement, values).fetchone() if self._database else None
            except (sqlite3.Error, OSError) as error:
                self._close()
                told = f"{self.path} keeps no replies in this run: {error}; move it away if it is damaged"
        warnings.warn(told, stacklevel=3)
        return None

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            # A kill takes nothing; a power cut may take the last replies.
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("CREATE TABLE IF NOT EXISTS replies (request TEXT PRIMARY KEY, reply TEXT NOT NULL)")
        except sqlite3.Error:
            database.close()
            raise
        return database

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._usable = False
        if self._database:
            self._database.close()
            self._database = None


def _written(reply: Reply | SolverError) -> str:
    if isinstance(reply, Reply):
        return json.dumps({"text": reply.text, "finish_reason": reply.finish_reason, "usage": vars(reply.usage)})
    usage = vars(reply.usage) if reply.usage else {}
    return json.dumps({"error": reply.code, "message": reply.message, "hint": reply.hint, "usage": usage})


def _read(text: str) -> Reply | SolverError | None:
    """A reply as it was written; None if it is damaged."""
    try:
        values = json.loads(text)
        usage = Usage(**values["usage"])
        if "error" not in values:
            return Reply(values["text"], values["finish_reason"], usage)
        kinds = {kind.default_code: kind for kind in SolverError.__subclasses__()}
        error = kinds[values["error"]](values["message"], hint=values["hint"])
    except (ValueError, TypeError, KeyError):
        return None
    error.complete, error.usage = True, usage
    return error


class StoredChat:
    """A chat whose complete replies are kept and given again."""

    def __init__(self, chat: Chat, store: Store) -> None:
        self.chat, self.store = chat, store
        self.name, self.identity = chat.name, chat.identity

    def prepare(self) -> None:
        self.chat.prepare()

    def cost(self, usage: Usage, prices: Prices) -> float | None:
        return self.chat.cost(usage, prices)

    def stream(self, messages: Messages) -> Generator[str, None, Reply]:
        settings: Mapping[str, Any] = {**self.identity, "messages": [dict(message) for message in messages]}
        key = record_key(settings)
        stored = self.store.get(key)
        if isinstance(stored, SolverError):
            raise stored
        if stored:
            yield stored.text
            return stored
        try:
            reply = yield from self.chat.stream(messages)
        except SolverError as error:
            if error.complete:
                self.store.put(key, error)
            raise
        self.store.put(key, reply)
        return reply
